"""The real training images that a family starts from: which classes are translated into which, and which rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synthaug.data.cache import LabelledImages
from synthaug.data.edges import edge_maps
from synthaug.data.maps import OwnMap, OwnMaps, own_maps
from synthaug.data.run_data import RunData
from synthaug.data.split import Split, SplitRow
from synthaug.errors import SynthaugError, suggest
from synthaug.features.base import FeatureNet, Features
from synthaug.metrics.distances import squared_distances
from synthaug.models.inputs import Sources
from synthaug.progress import Progress, Silent
from synthaug.runs import Run
from synthaug.translators.modes import Mode
from synthaug.translators.options import Pix2PixOptions, SourceOptions

MOST_CLASSES = 3
NEAR = 1.25
"""A class is near enough if its `remoteness` is at most this."""
COMPARED = 200
"""Images of a class that are compared."""


Remoteness = Mapping[str, Mapping[str, float]]
"""Class → other class → `remoteness`."""


def source_classes(classes: Sequence[str], far: Remoteness, given: Sequence[str] = ()) -> dict[str, list[str]]:
    """Class → the classes whose images are translated into it, the nearest first; empty if none is near enough.

    Args:
        classes: all classes.
        far: from `remoteness_of_classes`; without effect if classes are given.
        given: the user's choice, instead of the nearest; a class is never its own source.

    Raises:
        SynthaugError: there is no such class.
    """
    for name in given:
        if name not in classes:
            raise SynthaugError(f"there is no source class {name!r}", suggest(name, classes))
    if given:
        return {label: [name for name in dict.fromkeys(given) if name != label] for label in classes}
    return {label: [name for name in nearest(far[label]) if far[label][name] <= NEAR] for label in classes}


def nearest(others: Mapping[str, float]) -> list[str]:
    """The least remote classes, the nearest first."""
    return sorted(others, key=lambda name: (others[name], name))[:MOST_CLASSES]


def remoteness_of_classes(train: LabelledImages, features: FeatureNet) -> Remoteness:
    """How remote the classes are from each other; those without images are nobody's others."""
    counts = train.counts()
    known = {name: features(_spread(train.of_class(name), COMPARED)) for name in train.classes if counts[name]}
    pairs = {frozenset((a, b)): remoteness(known[a], known[b]) for a, b in combinations(known, 2)}
    return {
        label: {name: pairs[frozenset((label, name))] for name in known if name != label and label in known}
        for label in train.classes
    }


def remoteness(one: Features, other: Features) -> float:
    """How many times as far an image's nearest neighbour is in the other class as in its own; 1: no farther.

    Both ways: (d(a, b) + d(b, a)) / (d(a, a) + d(b, b)), d being the median distance to the nearest neighbour, which
    is never the image itself. It depends on the number of images, so the larger class is compared in parts of the size
    of the smaller one.
    """
    n = min(len(one), len(other))
    ones, others = _parts(one, n), _parts(other, n)
    squared = [squared_distances(a, b) for a in ones for b in others]
    across = sum(np.mean([_nearest(pair, axis) for pair in squared]) for axis in (0, 1))
    own = sum(np.mean([_nearest(_without_itself(part), 0) for part in parts]) for parts in (ones, others))
    return float(across / own) if own else np.inf


def _nearest(squared: NDArray[np.float64], axis: int) -> float:
    """Median distance to the nearest neighbour along an axis of squared distances."""
    return float(np.sqrt(np.median(squared.min(axis))))


def _without_itself(part: Features) -> NDArray[np.float64]:
    """Squared distances of images to each other; infinite to themselves."""
    found = squared_distances(part, part)
    np.fill_diagonal(found, np.inf)
    return found


def _parts(rows: Features, n: int) -> list[Features]:
    """Rows in parts of n; neighbouring files, which may be a series, go to different parts."""
    count = len(rows) // n
    return [rows[k::count][:n] for k in range(count)]


def _spread(images: NDArray[np.uint8], most: int) -> NDArray[np.uint8]:
    """At most so many images, at even steps."""
    places = np.linspace(0, len(images) - 1, min(most, len(images))).round().astype(int)
    return np.ascontiguousarray(images[places])


@dataclass(frozen=True)
class RunSources:
    """The images or maps that a run's generator starts from, and their files.

    `rows` are those of `images`, with paths below `folder`. `draws` is the most images of a class that start from one
    of them. Row k belongs to training image k, unless the maps are `inputs` of the user; then there is no mode.
    """

    images: Sources
    rows: Sequence[SplitRow | OwnMap]
    folder: Path
    draws: int
    mode: Mode | None
    inputs: OwnMaps | None = None

    @classmethod
    def open(
        cls, run: Run, model: SourceOptions, mode: Mode | None, inputs: OwnMaps | None, cache: Path | None
    ) -> RunSources:
        """Load a run's training images, their maps, or the user's.

        Args:
            model: the run's.
            mode: None: as in `model`.
            inputs: maps of the user, instead of the run's.
            cache: the folder of decoded images.

        Raises:
            SynthaugError: the data folder, the folder of maps, or a file is gone, or has changed.
        """
        data, draws = RunData.open(run), model.draws_per_source
        if inputs is not None:
            maps = data.load(inputs.folder, inputs.maps, cache, Silent())
            rows = {k: [np.flatnonzero(maps.labels == k)] for k in np.unique(maps.labels).tolist()}
            return cls(Sources(maps.pixels, rows), inputs.maps, inputs.folder, draws, None, inputs)
        mode, folder, split = mode or model.mode, data.folder, data.split
        if model.map_folder is not None:
            folder, split = model.map_folder, Split.read(run.maps_file)
            if not folder.is_dir():
                raise SynthaugError(
                    f"the folder {str(folder)!r} with the maps of the run {run.name!r} is gone",
                    "put it back where it was during the training, or train again with --pairs and another folder",
                )
        train = data.images("train", cache, Silent())
        pixels = source_pixels(train, model, data, split, cache, Silent())
        sources = replace(sources_of(train, run.facts().sources, mode), pixels=pixels)
        return cls(sources, split.of("train"), folder, draws, mode)

    def of_class(self, label: str, index: int) -> RunSources:
        """For the class with this index: its own images alone."""
        own = np.array([row for row, file in enumerate(self.rows) if file.label == label])
        return replace(self, images=Sources(self.images.pixels, {index: [own]}), mode="vary")


def user_maps(run: Run, folder: Path, cache: Path | None) -> OwnMaps:
    """The user's maps in a folder, for a run that paints maps.

    Raises:
        SynthaugError: it paints none, or `own_maps` finds a fault.
    """
    family = run.config().model
    if not isinstance(family, Pix2PixOptions):
        raise SynthaugError(
            f"--inputs {str(folder)!r} is for runs of pix2pix, which paint maps; {run.name!r} is of {family.family}",
            "leave --inputs out, or train with: synthaug fit DATA --recipe pix2pix",
        )
    return own_maps(folder, RunData.open(run), cache)


def source_pixels(
    train: LabelledImages, model: SourceOptions, data: RunData, maps: Split | None, cache: Path | None,
    progress: Progress,
) -> NDArray[np.uint8]:  # fmt: skip
    """What the generator starts from for each training image, uint8[N, C, H, W]: the image, its map, or its edges.

    Args:
        train: the training images.
        model: the options of the family.
        data: where they are from.
        maps: of these images, if `model.map_folder` has some.
        cache: where decoded maps are kept.
        progress: where to report.

    Raises:
        SynthaugError: a map is gone, or has changed.
    """
    if model.map_folder is not None:
        assert maps is not None
        return data.load(model.map_folder, maps.of("train"), cache, progress).pixels
    return edge_maps(train.pixels) if isinstance(model, Pix2PixOptions) else train.pixels


def sources_of(train: LabelledImages, classes: Mapping[str, Sequence[str]], mode: Mode) -> Sources:
    """The rows to start from. Where nothing can be translated or varied, the other is done alone.

    Args:
        train: the training images.
        classes: class → the classes to translate from.
        mode: translate images of those, vary the class's own, or both in turn.
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
