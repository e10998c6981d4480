"""The gates that candidates must pass: selection, agreement, no copies of training images, no near-duplicates.

Candidates are judged in the order of their index. So the first 100 accepted images are the same if 100 or 5000 are
requested, with or without interruptions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synthaug.config import GateConfig
from synthaug.data.cache import LabelledImages
from synthaug.data.run_data import RunData
from synthaug.errors import SynthaugError
from synthaug.features.base import Features
from synthaug.metrics.distances import squared_distances
from synthaug.progress import Progress
from synthaug.sampling.agreement_gate import Agreement, Members, fit_agreement
from synthaug.sampling.copies import Accepted, Neighbourhood, low_pass, nearest_real
from synthaug.sampling.judgement import (
    AGREEMENT,
    COPY,
    DISCRIMINATOR,
    DUPLICATE,
    NOT_NEEDED,
    UNCHANGED,
    Judgement,
    Measured,
)
from synthaug.sampling.selection import Selector


@dataclass
class Gate:
    """The gates of one run. They store the accepted images of each class until `forget`.

    `judge` is `measure` followed by `accept`. Chunks can be measured in parallel; they must be accepted in order.
    """

    classes: list[str]
    net: Members | None
    agreement: Agreement | None
    neighbourhood: Neighbourhood | None
    copies: bool
    duplicates: bool
    selector: Selector | None = None
    _accepted: dict[int, Accepted] = field(default_factory=dict)

    @classmethod
    def without_checks(cls, classes: Sequence[str]) -> Gate:
        """A gate that accepts everything, unless it is given a selector."""
        return cls(list(classes), None, None, None, copies=False, duplicates=False)

    def judge(
        self, pixels: NDArray[np.uint8], class_index: int, needed: int | None = None,
        origins: NDArray[np.int64] | None = None,
    ) -> Judgement:  # fmt: skip
        """Judge candidates of one class in order, and store the accepted ones.

        Args:
            pixels: uint8 [n, C, H, W] at the resolution of the training images.
            class_index: the class that they were generated for.
            needed: accept no more than this many.
            origins: [n] rows of the training images that the candidates were made from.
        """
        measured = self.measure(pixels, class_index, origins)
        return self.accept(measured, class_index, len(pixels) if needed is None else needed)

    def prepare(self, class_indices: Iterable[int]) -> None:
        """Measure the real images of these classes now, so that forked processes inherit the result."""
        indices = list(class_indices)
        if self.neighbourhood is not None:
            for class_index in indices:
                self.neighbourhood.reference(class_index)
        if self.selector is not None:
            self.selector.prepare([self.classes[class_index] for class_index in indices])

    def measure(
        self, pixels: NDArray[np.uint8], class_index: int, origins: NDArray[np.int64] | None = None
    ) -> Measured:
        """Measure candidates [n, C, H, W] one by one: score, agreement, distance to the training images.

        `origins` [n] are the rows of the training images that they were made from, which may be of other classes.
        """
        n = len(pixels)
        result = Judgement.blank([None] * n)
        if self.selector is not None:
            result.score[:], chosen = self.selector.choose(pixels, class_index)
            for row in np.flatnonzero(~chosen):
                result.reasons[row] = DISCRIMINATOR
        features = self.net(pixels) if self.net is not None else np.empty((n, 0), np.float32)
        if self.agreement is not None:
            result.agreement[:] = self.agreement.probability(features, class_index, origins)
            for row in np.flatnonzero(result.accepted & (result.agreement < self.agreement.thresholds[class_index])):
                result.reasons[row] = AGREEMENT
        rows = np.flatnonzero(result.accepted)
        projected: Accepted | None = None
        if self.neighbourhood is not None and len(rows):
            projected = self._judge_copies(pixels[rows], features[rows], rows, class_index, result)
            if self.copies and origins is not None:
                self._judge_unchanged(pixels, features, origins, class_index, result)
        return Measured(result, projected, rows)

    def _judge_copies(
        self, pixels: NDArray[np.uint8], features: Features, rows: NDArray[np.intp], class_index: int, result: Judgement
    ) -> Accepted:
        """Write the nearest real images and the copies among `rows` into `result`; return the rows' projections."""
        assert self.neighbourhood is not None
        reference = self.neighbourhood.reference(class_index)
        distance, index = nearest_real(reference, features)
        result.nearest_real_distance[rows] = distance
        result.nearest_real_index[rows] = index
        if self.copies:
            near = (distance < reference.limits.copy_features) | (reference.copies.copied(pixels) >= 0)
            for row in rows[near | self.neighbourhood.exact(pixels)]:
                result.reasons[row] = COPY
        return Accepted(*self.neighbourhood.project(features, low_pass(pixels)))

    def _judge_unchanged(
        self, pixels: NDArray[np.uint8], features: Features, origins: NDArray[np.int64], class_index: int,
        result: Judgement,
    ) -> None:  # fmt: skip
        """Reject what is still a copy of an image of the class that it was made from."""
        assert self.neighbourhood is not None
        classes = self.neighbourhood.train.labels[origins]
        for other in np.unique(classes[classes != class_index]):
            rows = np.flatnonzero(result.accepted & (classes == other))
            if len(rows):
                reference = self.neighbourhood.reference(int(other))
                near = nearest_real(reference, features[rows])[0] < reference.limits.copy_features
                for row in rows[near | (reference.copies.copied(pixels[rows]) >= 0)]:
                    result.reasons[row] = UNCHANGED

    def accept(
        self, measured: Measured, class_index: int, needed: int, by_hand: Sequence[str | None] | None = None
    ) -> Judgement:
        """Compare each measured candidate, in order, with all images that were accepted before it.

        Decisions by hand come last. An image that resembles one that they leave out stays out, too: nobody has seen it.

        Args:
            measured: the reasons for rejection are added to it.
            class_index: the class that they were generated for.
            needed: accept no more than this many.
            by_hand: [n] why a candidate is left out; None where it is not.
        """
        result, projected, rows = measured
        chosen: list[int] = []  # positions in `rows`
        close: NDArray[np.bool_] | None = None
        among: NDArray[np.bool_] | None = None
        if projected is not None and self.duplicates:
            close, among = self._close(projected, class_index)
        position_of = {int(row): position for position, row in enumerate(rows)}
        left_out = 0
        for row, reason in enumerate(result.reasons):
            if len(chosen) - left_out >= needed:
                result.reasons[row] = NOT_NEEDED
            elif reason is None:
                position = position_of[row]
                if close is not None and among is not None and (close[position] or among[position, chosen].any()):
                    result.reasons[row] = DUPLICATE
                else:
                    chosen.append(position)
                    if by_hand is not None and by_hand[row] is not None:
                        result.reasons[row] = by_hand[row]
                        left_out += 1
        if projected is not None and self.duplicates:
            self.accepted(class_index).add(projected.features[chosen], projected.pixels[chosen])
        return result

    def _close(self, new: Accepted, class_index: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which candidates [n] are near an accepted image, and which pairs [n, n] of them are near each other."""
        assert self.neighbourhood is not None
        limits = self.neighbourhood.reference(class_index).limits
        before = self.accepted(class_index)
        spaces = (
            (new.features, before.features, limits.duplicate_features),
            (new.pixels, before.pixels, limits.duplicate_pixels),
        )
        close, among = np.zeros(len(new.features), np.bool_), np.zeros((len(new.features),) * 2, np.bool_)
        for rows, old, nearest_allowed in spaces:
            for start in range(0, len(old), 8192):
                close |= (squared_distances(rows, old[start : start + 8192]) < nearest_allowed**2).any(axis=1)
            among |= squared_distances(rows, rows) < nearest_allowed**2
        return close, among

    def accepted(self, class_index: int) -> Accepted:
        """The projections of a class's accepted images; empty if the duplicate gate is off."""
        return self._accepted.setdefault(class_index, Accepted.nothing())

    @property
    def features(self) -> str | None:
        """Name and hash of the classifiers, which give the probabilities and the features for distances."""
        return self.net.identity if self.net is not None else None

    def memory(self, class_index: int, start: int = 0) -> NDArray[np.float32]:
        """The projections of a class's accepted images from `start` on, as rows for `restore`."""
        return self.accepted(class_index).rows(start)

    def restore(self, class_index: int, rows: NDArray[np.float32]) -> None:
        """Start a class with the images that an interrupted export accepted."""
        self.forget(class_index)
        self.accepted(class_index).add(*Accepted.columns(rows))

    def forget(self, class_index: int) -> None:
        """Delete the stored images of a class."""
        self._accepted.pop(class_index, None)

    def thresholds(self, class_index: int) -> dict[str, float]:
        """The limits of one class, for the manifest. `copy_levels` (grey levels) is the median over its images."""
        found: dict[str, float] = {}
        if self.agreement is not None:
            found["agreement"] = round(float(self.agreement.thresholds[class_index]), 6)
        if self.neighbourhood is not None:
            reference = self.neighbourhood.reference(class_index)
            limits = reference.limits
            if self.copies:
                found |= {"copy_features": limits.copy_features, "copy_levels": reference.copies.limit}
            if self.duplicates:
                found |= {"duplicate_features": limits.duplicate_features, "duplicate_pixels": limits.duplicate_pixels}
        return {name: round(value, 6) for name, value in found.items()}


def build_gate(
    train: LabelledImages,
    targets: Sequence[str],
    config: GateConfig,
    *,
    seed: int,
    groups: Sequence[str | None] | None = None,
    device: str = "auto",
    cache: Path | None,
    progress: Progress | None = None,
) -> Gate:
    """Train and calibrate the gates on real training images.

    Args:
        train: the run's training images; gates never use images of val and test.
        targets: the rare classes.
        groups: [N] group of each training image, for the folds of the agreement gate.
        cache: where the agreement gate's classifiers are stored (default: `store.cache_root`).

    Raises:
        SynthaugError: there are no training images, or of one class only.
    """
    if len(np.unique(train.labels)) < 2:
        raise SynthaugError("the gates need training images of at least two classes", "export without them: --no-gate")
    classes = list(train.classes)
    near = config.copies or config.duplicates
    if not (config.agreement or near):
        return Gate.without_checks(classes)
    agreement = fit_agreement(
        train, targets, steps=config.steps, seed=seed, groups=groups, device=device, cache=cache, progress=progress
    )
    net = agreement.members
    neighbourhood = Neighbourhood(train, net) if near else None
    return Gate(classes, net, agreement if config.agreement else None, neighbourhood, config.copies, config.duplicates)


def gate_of_run(
    data: RunData, train: LabelledImages, *, device: str = "auto", cache: Path | None, progress: Progress | None = None
) -> Gate:
    """The gates as a run's configuration sets them up, trained on its training images; see `build_gate`."""
    return build_gate(
        train, data.targets, data.config.gate, seed=data.config.seed,
        groups=[row.group for row in data.split.of("train")], device=device, cache=cache, progress=progress,
    )  # fmt: skip
