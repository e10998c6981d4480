"""The arms of an evaluation: what a classifier is trained on, and which comparison decides (DESIGN §6.2, §6.4).

All arms take the same number of optimiser steps. The synthetic arms differ from their control in one thing: in each
class of the mix a share of the draws goes to synthetic images. The mix is the target classes, or all of them, so that
"synthetic" says nothing about the label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from synthaug.classifiers import FEATURE_SPACE
from synthaug.classifiers.base import Augment
from synthaug.classifiers.logistic import require_smote
from synthaug.data.cache import LabelledImages
from synthaug.errors import SynthaugError, suggest


@dataclass(frozen=True)
class ArmKind:
    """How an arm trains. `natural` draws every image alike, `balanced` every class alike."""

    draws: Literal["natural", "balanced"]
    loss_weights: bool = False
    augment: Augment = "none"
    smote: bool = False
    synthetic: bool = False


ARMS: dict[str, ArmKind] = {
    "real": ArmKind("natural"),
    "class-weights": ArmKind("natural", loss_weights=True),
    "oversample": ArmKind("balanced"),
    "classical": ArmKind("balanced", augment="classical"),
    "smote": ArmKind("natural", smote=True),
    "synthetic": ArmKind("balanced", synthetic=True),
    "synthetic+classical": ArmKind("balanced", augment="classical", synthetic=True),
}
CONTRASTS: dict[str, tuple[str, str]] = {
    "synthetic-oversample": ("synthetic", "oversample"),
    "synthetic+classical-classical": ("synthetic+classical", "classical"),
}
"""The two comparisons that decide, fixed beforehand: name → (arm, its control)."""
MIXES = {"targets": 0.25, "all": 0.5}
"""Which classes get synthetic images in the synthetic arms → their share where nothing can choose it: what was measured
to be harmless for the targets, and to help for all of them (docs/science/using-synthetic.md)."""
CONTROLS = tuple(name for name, kind in ARMS.items() if not kind.synthetic and not kind.smote)
"""What synthetic images must beat before they are said to help: all of it costs nothing."""
DEFAULT_SHARES = (0.1, 0.25, 0.5)
"""Where validation may choose; FIELD figures put the useful range between a tenth and a half of the draws."""


@dataclass(frozen=True)
class TrainingSet:
    """What one trial learns from; the fields are arguments of `Classifier.fit`. `groups` is -1 for synthetic images."""

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    draw_weights: npt.NDArray[np.float64]
    loss_weights: npt.NDArray[np.float64] | None
    augment: Augment
    groups: npt.NDArray[np.int64]


def choose_arms(asked: Sequence[str] | None, classifier: str) -> tuple[list[str], list[str]]:
    """The arms to train, in the order of the table, and what had to be left out.

    Raises:
        SynthaugError: an arm does not exist, cannot be had with this classifier, or nothing is left to compare.
    """
    feature_space = classifier == FEATURE_SPACE
    if asked is None:
        names, notes = [name for name, kind in ARMS.items() if feature_space or not kind.smote], []
        if feature_space:
            try:
                require_smote()
            except SynthaugError as error:
                names.remove("smote")
                notes.append(
                    f"the arm smote was left out: {error.message.removeprefix('the arm smote ')} ({error.hint})"
                )
        return names, notes
    for name in asked:
        if name not in ARMS:
            raise SynthaugError(f"there is no arm {name!r}", suggest(name, ARMS))
        if ARMS[name].smote:
            if not feature_space:
                raise SynthaugError(
                    f"the arm {name!r} works in feature space, and the classifier {classifier!r} has none",
                    "use --classifier logistic, or leave the arm out",
                )
            require_smote()
    if not any(arm in asked and control in asked for arm, control in CONTRASTS.values()):
        raise SynthaugError(
            f"the arms {', '.join(asked)} hold no comparison" if asked else "no arm was given",
            "name synthetic with oversample, or synthetic+classical with classical",
        )
    return [name for name in ARMS if name in asked], []


def training_set(
    name: str,
    train: LabelledImages,
    groups: npt.NDArray[np.int64],
    pool: LabelledImages,
    *,
    share: float,
    seed: int,
    per_seed: int,
) -> TrainingSet:
    """Assemble what an arm learns from.

    Args:
        name: of the arm.
        train: real training images.
        groups: [len(train)] numbers of what must not be divided.
        pool: synthetic images of the classes of the mix.
        share: of each of their draws, taken by synthetic images (0 … 1); used by the synthetic arms only.
        seed: which synthetic images are taken from the pool; the same for every arm of a seed.
        per_seed: how many of each class are taken at most.
    """
    kind = ARMS[name]
    counts = np.bincount(train.labels, minlength=len(train.classes))
    if kind.draws == "natural":
        weights = np.full(len(train), 1 / len(train))
    else:
        weights = (1 / (counts * np.count_nonzero(counts)).clip(1))[train.labels]
    loss_weights = None
    if kind.loss_weights:  # the mean over the images is 1, so that the step length stays what it was
        loss_weights = len(train) / (np.count_nonzero(counts) * counts.clip(1))
    position = places(train.labels, counts)
    if not kind.synthetic:
        order = np.argsort(train.labels + position, kind="stable")
        return TrainingSet(
            train.pixels[order], train.labels[order], weights[order], loss_weights, kind.augment, groups[order]
        )
    taken = redraw(pool, seed, per_seed)
    drawn = np.bincount(pool.labels[taken], minlength=len(train.classes))
    weights[drawn[train.labels] > 0] *= 1 - share
    labels = np.concatenate([train.labels, pool.labels[taken]])
    mass = share / (np.count_nonzero(counts) * drawn.clip(1))
    weights = np.concatenate([weights, mass[pool.labels[taken]]])
    # Synthetic images stand right behind real ones, so that where their control draws a real image, this arm draws
    # the same image or a synthetic one in its place (see `Classifier.fit`): seeds are paired down to the draw.
    position = np.concatenate([position, places(pool.labels[taken], drawn) + 1e-9])
    order = np.argsort(labels + position, kind="stable")
    return TrainingSet(
        pixels=np.concatenate([train.pixels, pool.pixels[taken]])[order],
        labels=labels[order],
        draw_weights=weights[order],
        loss_weights=loss_weights,
        augment=kind.augment,
        groups=np.concatenate([groups, np.full(len(taken), -1)])[order],
    )


def places(labels: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Where in [0, 1) each image stands within its class: 0, 1/n, 2/n, …

    >>> places(np.array([0, 1, 0, 1]), np.array([2, 2])).tolist()
    [0.0, 0.0, 0.5, 0.5]
    """
    order = np.argsort(labels, kind="stable")
    starts = np.cumsum(counts) - counts
    rank = np.empty(len(labels), np.int64)
    rank[order] = np.arange(len(labels)) - starts[labels[order]]
    place: npt.NDArray[np.float64] = rank / counts[labels].clip(1)
    return place


def redraw(pool: LabelledImages, seed: int, per_seed: int) -> npt.NDArray[np.int64]:
    """Indices of the synthetic images of one seed: of each class, four fifths of the pool, and at most `per_seed`.

    Seeds differ in their synthetic images as well, so that the interval knows about their luck.
    """
    rng = np.random.default_rng([seed, 0x5E])
    taken = []
    for label in np.unique(pool.labels):
        own = np.flatnonzero(pool.labels == label)
        size = min(per_seed, int(np.ceil(0.8 * len(own))))
        taken.append(np.sort(rng.choice(own, size, replace=False)))
    return np.concatenate(taken) if taken else np.zeros(0, np.int64)


def fewer_real(labels: npt.NDArray[np.int64], targets: Sequence[int], share: float, seed: int) -> npt.NDArray[np.int64]:
    """Indices of the images that are left when each target class keeps `share` of its own, at least one, in order.

    The images of a smaller share are among those of a larger one, so that a learning curve is paired along its length.

    >>> fewer_real(np.array([0, 0, 1, 1, 1, 1]), [1], 0.5, seed=0).size
    4
    """
    kept = np.ones(len(labels), bool)
    for target in targets:
        own = np.random.default_rng([seed, target, 0x1C]).permutation(np.flatnonzero(labels == target))
        kept[own[max(1, round(share * len(own))) :]] = False
    return np.flatnonzero(kept).astype(np.int64)
