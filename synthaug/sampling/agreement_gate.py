"""The agreement gate: classifiers trained on real images must recognise the class of a synthetic image.

Three classifiers are trained, each on two thirds of the real training images. Their probabilities for the other third
set the threshold of each class. The other gates use distances in the features before their last layers, so one pass
through these small networks is enough for all gates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from synthaug.classifiers.cnn import Cnn, SmallCnn
from synthaug.classifiers.steps import outputs
from synthaug.data.cache import LabelledImages
from synthaug.data.store import cache_root, keep_latest, touch
from synthaug.device import resolve_device
from synthaug.features.base import Features, hash_weights
from synthaug.files import digest, write_tensors
from synthaug.models.inputs import CHUNK
from synthaug.progress import Progress, Silent
from synthaug.seeds import AGREEMENT_FOLDS, stream
from synthaug.version import __version__

FOLDER = "gate-classifiers"
CACHED = 50
"""Files in the cache (about 6 MB each)."""
FOLDS = 3
QUANTILE = 0.20
TARGET_QUANTILE = 0.05
"""The share of a class's real images that its threshold may reject; smaller for the rare classes."""
SURE = 0.5
"""The highest threshold: an image with more than half of the probability always passes."""


class Members:
    """The classifiers of the folds, and a `FeatureNet` that concatenates their features."""

    name = "agreement"

    def __init__(self, networks: Sequence[SmallCnn]) -> None:
        self.networks = list(networks)
        self.dim = sum(network.dim for network in self.networks)
        self.sha256 = hash_weights(
            {f"{i}.{name}": t for i, net in enumerate(self.networks) for name, t in net.state_dict().items()}
        )

    @property
    def identity(self) -> str:
        return f"{self.name}@{self.sha256[:12]}"

    def __call__(self, pixels: NDArray[np.uint8], *, batch_size: int | None = None) -> Features:
        """Features [n, dim] of uint8 [n, C, H, W], in batches of one chunk, so they do not depend on n."""
        if not len(pixels):
            return np.empty((0, self.dim), np.float32)
        features = [outputs(network.features, network, pixels, batch_size or CHUNK) for network in self.networks]
        return torch.cat(features, dim=1).numpy()

    def probabilities(self, features: Features) -> NDArray[np.float32]:
        """Each classifier's class probabilities, [folds, n, K], for features [n, dim]."""
        votes, start = [], 0
        with torch.inference_mode():
            for network in self.networks:
                inputs = torch.from_numpy(features[:, start : start + network.dim])
                votes.append(network.head(inputs.to(next(network.parameters()).device)).softmax(1).cpu())
                start += network.dim
        return torch.stack(votes).numpy()


@dataclass(frozen=True)
class Agreement:
    """The classifiers, and the lowest probability [K] with which an image of each class passes (0: all pass)."""

    members: Members
    thresholds: NDArray[np.float64]
    folds: NDArray[np.int64]  # [N], the classifier that has not seen each training image; -1: all have

    def probability(
        self, features: Features, class_index: int, origins: NDArray[np.int64] | None = None
    ) -> NDArray[np.float64]:
        """Mean probability [n] of one class, for features [n, dim] of `members`.

        A mean varies less than one classifier does, so it rejects fewer real images than the threshold's quantile
        allows. An image that was made from a training image is judged by the classifier that has not seen that one, if
        there is one: `origins` [n] are their rows.
        """
        votes = self.members.probabilities(features)[:, :, class_index]
        mean: NDArray[np.float64] = votes.mean(0, dtype=np.float64)
        if origins is not None:
            unseen = self.folds[origins]
            rows = np.flatnonzero(unseen >= 0)
            mean[rows] = votes[unseen[rows], rows]
        return mean


def fit_agreement(
    train: LabelledImages,
    targets: Sequence[str],
    *,
    steps: int,
    seed: int,
    groups: Sequence[str | None] | None = None,
    device: str = "auto",
    cache: Path | None,
    progress: Progress | None = None,
) -> Agreement:
    """Train the classifiers, or take them from the cache, and set the thresholds.

    Args:
        train: real training images only.
        targets: the rare classes; their thresholds are lower.
        steps: optimiser steps of each classifier.
        groups: [N] images with the same group are always in the same fold.
        cache: where trained classifiers are stored (default: `store.cache_root`).

    Raises:
        SynthaugError: fewer than two classes have images.
    """
    folds = assign_folds(train.labels, groups, stream(seed, AGREEMENT_FOLDS))
    file = cache_root(cache) / FOLDER / f"{_key(train, folds, steps, seed, device)}.safetensors"
    members = _stored(file, train, device)
    if members is None:
        tensors: dict[str, Tensor] = {}
        with (progress or Silent()).task("gate: agreement", FOLDS, "classifiers") as task:
            for fold in range(FOLDS):
                state = _fit_member(train, np.flatnonzero(folds != fold), steps, seed + fold, device)
                tensors |= {f"{fold}.{name}": tensor for name, tensor in state.items()}
                task.advance()
        _store(file, tensors)
        members = _restored(tensors, train, device)  # memory formats change the last bit: always use the stored form
    probability = np.full(len(train.labels), np.nan)
    held_out = np.flatnonzero(folds >= 0)
    if len(held_out):
        probabilities = members.probabilities(members(train.pixels[held_out]))
        probability[held_out] = probabilities[folds[held_out], np.arange(len(held_out)), train.labels[held_out]]
    thresholds = np.zeros(len(train.classes))
    for index, label in enumerate(train.classes):
        of_class = probability[train.labels == index]
        quantile = TARGET_QUANTILE if label in targets else QUANTILE
        thresholds[index] = threshold(of_class[np.isfinite(of_class)], quantile)
    return Agreement(members, thresholds, folds)


def _fit_member(train: LabelledImages, seen: NDArray[np.intp], steps: int, seed: int, device: str) -> dict[str, Tensor]:
    labels = train.labels[seen]
    draw_weights = 1.0 / np.bincount(labels, minlength=len(train.classes))[labels]
    fitted = Cnn(device=device).fit(
        train.pixels[seen],
        labels,
        draw_weights,
        num_classes=len(train.classes),
        steps=steps,
        seed=seed,
        augment="classical",
    )
    assert fitted.network is not None
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in fitted.network.state_dict().items()}


def _key(train: LabelledImages, folds: NDArray[np.int64], steps: int, seed: int, device: str) -> str:
    """A digest of everything that the classifiers depend on."""
    settings = [__version__, torch.__version__, str(resolve_device(device)), steps, seed, list(train.classes)]
    return digest(settings, train.labels, folds, np.asarray(train.pixels))


def _stored(file: Path, train: LabelledImages, device: str) -> Members | None:
    """The classifiers of an earlier call; None if there are none, or the file is damaged."""
    try:
        members = _restored(load_file(file), train, device)
    except (OSError, SafetensorError, RuntimeError):
        return None
    touch(file)
    return members


def _restored(tensors: Mapping[str, Tensor], train: LabelledImages, device: str) -> Members:
    networks = []
    for fold in range(FOLDS):
        prefix = f"{fold}."
        network = SmallCnn(train.pixels.shape[1], train.pixels.shape[2], len(train.classes))
        network.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
        network.to(resolve_device(device), memory_format=torch.channels_last)  # type: ignore[call-overload]
        networks.append(network.eval().requires_grad_(False))
    return Members(networks)


def _store(file: Path, tensors: dict[str, Tensor]) -> None:
    with suppress(OSError):  # without a cache, the next call trains again
        write_tensors(file, tensors)
        keep_latest(file.parent, CACHED)


def threshold(probabilities: NDArray[np.float64], quantile: float) -> float:
    """The largest value, at most `SURE`, such that at most a share `quantile` of `probabilities` is below it.

    It is 0 if there are no probabilities.

    >>> threshold(np.array([0.1, 0.2, 0.3, 0.4]), 0.25)
    0.2
    >>> threshold(np.array([0.1, 0.2, 0.3, 0.4]), 0.2)
    0.1
    """
    if not len(probabilities):
        return 0.0
    return float(min(np.sort(probabilities)[int(quantile * len(probabilities))], SURE))


def assign_folds(
    labels: NDArray[np.int64], groups: Sequence[str | None] | None, rng: np.random.Generator
) -> NDArray[np.int64]:
    """The fold [N] that holds out each image, or -1 if none does; each class is spread evenly over the folds.

    A class whose images are all of one group (a single image, for example) is never held out: otherwise one classifier
    would be trained without it.
    """
    names = [f"\0{i}" if g is None else g for i, g in enumerate(groups or [None] * len(labels))]
    keys = np.unique(np.asarray(names, dtype=object).astype(str), return_inverse=True)[1].reshape(-1)
    folds = np.full(len(labels), -1, np.int64)
    counts = np.zeros((int(labels.max(initial=-1)) + 1, FOLDS), np.int64)
    order = rng.permutation(int(keys.max(initial=-1)) + 1)
    members: dict[int, list[int]] = {}
    for index, key in enumerate(keys):
        members.setdefault(int(key), []).append(index)
    for key in sorted(order, key=lambda k: -len(members[int(k)])):
        rows = members[int(key)]
        fold = int(np.argmin(counts[labels[rows[0]]]))
        folds[rows] = fold
        np.add.at(counts[:, fold], labels[rows], 1)
    for label in np.unique(labels):
        if np.count_nonzero(counts[label]) < 2:
            folds[labels == label] = -1
    return folds
