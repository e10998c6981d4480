"""The real training images that a family starts from: which classes are translated into which, and which rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from synthaug.data.cache import LabelledImages
from synthaug.data.run_data import RunData
from synthaug.data.split import SplitRow
from synthaug.errors import SynthaugError, suggest
from synthaug.features.base import FeatureNet, Features
from synthaug.metrics.distances import squared_distances
from synthaug.models.inputs import Sources
from synthaug.progress import Silent
from synthaug.runs import Run
from synthaug.translators.options import Mode

MOST_CLASSES = 3
NEAR = 1.5
"""A class is near enough if it is at most so many times as far away as the other images of the class itself."""
COMPARED = 200
"""Images of a class that are compared."""


def source_classes(train: LabelledImages, features: FeatureNet, given: Sequence[str] = ()) -> dict[str, list[str]]:
    """Class → the classes whose images are translated into it, the nearest first; empty if none is near enough.

    The distance of class b from class a is the median distance of a's images to the nearest image of b, at equal
    numbers of images; that of a from itself leaves the image out.

    Args:
        given: the user's choice, instead of the nearest; a class is never its own source.

    Raises:
        SynthaugError: there is no such class.
    """
    for name in given:
        if name not in train.classes:
            raise SynthaugError(f"there is no source class {name!r}", suggest(name, train.classes))
    if given:
        return {label: [name for name in dict.fromkeys(given) if name != label] for label in train.classes}
    known = {name: features(np.ascontiguousarray(train.of_class(name)[:COMPARED])) for name in train.classes}
    found = {}
    for label, own in known.items():
        limit = NEAR * _distance(own, own, itself=True) if len(own) > 1 else np.inf
        others = {name: _distance(own, rows) for name, rows in known.items() if name != label and len(rows)}
        near = sorted((d, name) for name, d in others.items() if d <= limit)
        found[label] = [name for _, name in near[:MOST_CLASSES]]
    return found


def _distance(one: Features, other: Features, itself: bool = False) -> float:
    n = min(len(one), len(other))
    distances = squared_distances(one[:n], other[:n])
    if itself:
        np.fill_diagonal(distances, np.inf)
    return float(np.sqrt(np.median(distances.min(axis=1))))


@dataclass(frozen=True)
class RunSources:
    """The training images of a run that its generator starts from, with their rows in the split.

    `draws`: the most images of a class that start from one of them.
    """

    images: Sources
    rows: Sequence[SplitRow]
    draws: int
    mode: Mode

    @classmethod
    def open(cls, run: Run, mode: Mode, draws: int) -> RunSources:
        """Load a run's training images.

        Raises:
            SynthaugError: the data folder or an image is gone, or has changed.
        """
        data = RunData.open(run)
        train = data.images("train", None, Silent())
        return cls(sources_of(train, run.facts().sources, mode), data.split.of("train"), draws, mode)

    def of_class(self, label: str, index: int) -> RunSources:
        """For the class with this index: its own images alone."""
        own = np.array([row for row, file in enumerate(self.rows) if file.label == label])
        return replace(self, images=Sources(self.images.pixels, {index: [own]}), mode="vary")


def sources_of(train: LabelledImages, classes: Mapping[str, Sequence[str]], mode: Mode) -> Sources:
    """The rows to start from. Where nothing can be translated or varied, the other is done alone.

    Args:
        train: the training images.
        classes: class → the classes to translate from.
        mode: translate images of those, vary the class's own, or both by turns.
    """
    rows = {}
    for index, label in enumerate(train.classes):
        from_classes = [train.classes.index(name) for name in classes.get(label, [])]
        lists = {
            "translate": np.flatnonzero(np.isin(train.labels, from_classes)),
            "vary": np.flatnonzero(train.labels == index),
        }
        wanted = [lists[mode]] if mode != "both" else list(lists.values())
        rows[index] = [part for part in wanted if len(part)] or [part for part in lists.values() if len(part)]
    return Sources(train.pixels, rows)
