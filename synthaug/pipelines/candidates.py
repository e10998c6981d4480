"""The images that `curate` shows, each with the real training images of its class that look most like it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synthaug.data import store
from synthaug.data.cache import LabelledImages
from synthaug.data.run_data import RunData
from synthaug.errors import SynthaugError
from synthaug.exporters.manifest import METADATA, read_rows
from synthaug.features import features_for
from synthaug.features.feature_cache import describe
from synthaug.metrics.distances import nearest
from synthaug.models.inputs import CHUNK
from synthaug.progress import Progress
from synthaug.sampling.gate import gate_of_run
from synthaug.sampling.gated_samples import gated_samples
from synthaug.sampling.generate import SeededGenerator

NEAREST = 3
"""Real images beside a candidate."""
_FEATURES = "efficientnet_lite0"


@dataclass(frozen=True)
class Candidates:
    """Images of one class, uint8 [n, C, H, W], and their indices [n]; `like` [n, k] are rows of the training images."""

    pixels: NDArray[np.uint8]
    indices: list[int]
    like: NDArray[np.int64]


def of_run(
    sampler: SeededGenerator, data: RunData, labels: Sequence[str], count: int, *, gate: bool, device: str,
    cache: Path | None, progress: Progress,
) -> dict[str, tuple[NDArray[np.uint8], list[int]]]:  # fmt: skip
    """Class → the first `count` images that an export would write, or fewer, and their indices.

    Raises:
        SynthaugError: no image of a class passes the gates.
    """
    built = None
    if gate:
        train = data.images("train", cache, progress)
        built = gate_of_run(data, train, device=device, cache=cache, progress=progress)
    found = {}
    for label in labels:
        made = gated_samples(sampler, built, label, count, allow_short=True, progress=progress)
        if not len(made.indices):
            reasons = ", ".join(f"{reason} {n}" for reason, n in made.rejected.items())
            raise SynthaugError(
                f"no image of {label!r} passes the gates (rejected: {reasons})", "look at all images with --no-gate"
            )
        found[label] = made.pixels, made.indices.tolist()
    return found


def of_export(
    sampler: SeededGenerator, export: Path, labels: Sequence[str], count: int
) -> dict[str, tuple[NDArray[np.uint8], list[int]]]:
    """Class → the first `count` synthetic images of an export, as the generator made them, and their indices.

    Raises:
        SynthaugError: a class has none.
    """
    indices: dict[str, list[int]] = {label: [] for label in labels}
    for _, row in read_rows(export / "train" / METADATA):
        own = indices.get(str(row.get("label")))
        if row.get("synthetic") is True and own is not None and len(own) < count:
            own.append(int(row["sample_index"]))
    if empty := [label for label, own in indices.items() if not own]:
        raise SynthaugError(
            f"{str(export)!r} has no synthetic image of {empty[0]!r}", "name another class with --class"
        )
    return {label: (_generated(sampler, label, own), own) for label, own in indices.items()}


def beside_real(
    images: dict[str, tuple[NDArray[np.uint8], list[int]]], train: LabelledImages, *, device: str, cache: Path | None,
    progress: Progress,
) -> dict[str, Candidates]:  # fmt: skip
    """Find the nearest real images of the same class, by the features of the usual net."""
    net = features_for(_FEATURES, train, device=device, progress=progress)
    keep, found = store.cache_root(cache), {}
    for label, (pixels, indices) in images.items():
        rows = np.flatnonzero(train.labels == train.index(label))
        real = describe(net, train.pixels[rows], name=f"real images of {label}", progress=progress, keep=keep)
        made = describe(net, pixels, name=f"images of {label}", progress=progress)
        k = min(NEAREST, len(rows))
        like = rows[nearest(made, real, k)[1]] if k else np.empty((len(pixels), 0), np.int64)
        found[label] = Candidates(pixels, indices, like)
    return found


def _generated(sampler: SeededGenerator, label: str, indices: Sequence[int]) -> NDArray[np.uint8]:
    """The images of a class with these indices, uint8 [n, C, H, W]."""
    chunks: dict[int, NDArray[np.uint8]] = {}
    made = []
    for index in indices:
        number, row = divmod(index, CHUNK)
        if number not in chunks:
            chunks = {number: sampler.chunk(label, number)}  # indices rise
        made.append(chunks[number][row])
    return np.stack(made)
