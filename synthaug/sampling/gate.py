"""What stands between the generator and the export: selection, agreement, copies of training images, near-duplicates.

Candidates are judged in the order of their index, so that the first 100 accepted images are the same ones whether 100
or 5000 are wanted, and whether the work was interrupted or not.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from synthaug.config import GateConfig
from synthaug.data.cache import LabelledImages
from synthaug.errors import RunFailed, SynthaugError
from synthaug.features.base import Features
from synthaug.metrics.distances import squared_distances
from synthaug.models.inputs import CHUNK
from synthaug.progress import Progress, Silent
from synthaug.sampling.agreement_gate import Agreement, Members, fit_agreement
from synthaug.sampling.copies import MEMORY_DIM, Accepted, Neighbourhood, low_pass, nearest_real
from synthaug.sampling.generate import Sampler
from synthaug.sampling.selection import Selector

DISCRIMINATOR = "discriminator"
AGREEMENT = "agreement"
COPY = "copy"
DUPLICATE = "duplicate"
NOT_NEEDED = "not needed"
"""Reasons against a candidate; `NOT_NEEDED` came after the last one that was wanted, and counts nowhere."""


@dataclass(frozen=True)
class Judgement:
    """What the gates found of n candidates; a measurement that was not taken is NaN, or −1 for an index."""

    reasons: list[str | None]  # [n], None where accepted
    agreement: NDArray[np.float64]  # [n], probability of the image's own class
    nearest_real_distance: NDArray[np.float64]  # [n], in the gate's feature space
    nearest_real_index: NDArray[np.int64]  # [n], into the training images
    score: NDArray[np.float64]  # [n], the discriminator's

    @property
    def accepted(self) -> NDArray[np.bool_]:
        return np.asarray([reason is None for reason in self.reasons], np.bool_)

    @property
    def rejected(self) -> Counter[str]:
        """Reason → candidates turned away."""
        return Counter(reason for reason in self.reasons if reason not in (None, NOT_NEEDED))

    def take(self, rows: NDArray[Any]) -> Judgement:
        """The judgement of some rows (indices, or a mask)."""
        indices = np.arange(len(self.reasons))[rows]
        return Judgement(
            [self.reasons[i] for i in indices],
            self.agreement[indices],
            self.nearest_real_distance[indices],
            self.nearest_real_index[indices],
            self.score[indices],
        )

    @classmethod
    def of_nothing_measured(cls, n: int, needed: int) -> Judgement:
        """No gate: the first `needed` are accepted."""
        return cls.blank([None if i < needed else NOT_NEEDED for i in range(n)])

    @classmethod
    def blank(cls, reasons: list[str | None]) -> Judgement:
        """Reasons, and no measurement yet."""
        n = len(reasons)
        return cls(reasons, np.full(n, np.nan), np.full(n, np.nan), np.full(n, -1, np.int64), np.full(n, np.nan))

    @classmethod
    def join(cls, parts: Sequence[Judgement]) -> Judgement:
        if not parts:
            return cls.of_nothing_measured(0, 0)
        return cls(
            [reason for part in parts for reason in part.reasons],
            np.concatenate([p.agreement for p in parts]),
            np.concatenate([p.nearest_real_distance for p in parts]),
            np.concatenate([p.nearest_real_index for p in parts]),
            np.concatenate([p.score for p in parts]),
        )


class Measured(NamedTuple):
    """What can be said of candidates one by one, before they are compared with those that were accepted."""

    judgement: Judgement
    fresh: Accepted | None  # of the candidates that nothing speaks against, or that were found to be copies only now
    left: NDArray[np.intp]  # which candidates the rows of `fresh` are


@dataclass
class Gate:
    """The gates of one run. It remembers what each class has accepted so far; `forget` begins anew.

    `judge` is `measure`, which other processes can do for many chunks at once, and `accept`, which goes in order.
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
    def of_nothing(cls, classes: Sequence[str]) -> Gate:
        """A gate that nothing is measured by, until it is given a selector."""
        return cls(list(classes), None, None, None, copies=False, duplicates=False)

    def judge(self, pixels: NDArray[np.uint8], class_index: int, needed: int | None = None) -> Judgement:
        """Judge candidates of one class in their order, and remember the accepted ones.

        Args:
            pixels: uint8 [n, C, H, W] at the resolution of the training images.
            class_index: the class that they were generated for.
            needed: accept no more than this many.
        """
        return self.accept(self.measure(pixels, class_index), class_index, len(pixels) if needed is None else needed)

    def prepare(self, class_indices: Iterable[int]) -> None:
        """Learn what has to be known of these classes now, so that forked processes inherit it."""
        indices = list(class_indices)
        if self.neighbourhood is not None:
            for class_index in indices:
                self.neighbourhood.reference(class_index)
        if self.selector is not None:
            self.selector.prepare([self.classes[class_index] for class_index in indices])

    def measure(self, pixels: NDArray[np.uint8], class_index: int) -> Measured:
        """What one chunk of candidates [n, C, H, W] is by itself: score, agreement, distance to the training images."""
        n = len(pixels)
        result = Judgement.blank([None] * n)
        if self.selector is not None:
            result.score[:], kept = self.selector.choose(pixels, class_index)
            for row in np.flatnonzero(~kept):
                result.reasons[row] = DISCRIMINATOR
        features = self.net(pixels) if self.net is not None else np.empty((n, 0), np.float32)
        if self.agreement is not None:
            result.agreement[:] = self.agreement.probability(features, class_index)
            for row in np.flatnonzero(result.accepted & (result.agreement < self.agreement.thresholds[class_index])):
                result.reasons[row] = AGREEMENT
        left = np.flatnonzero(result.accepted)
        fresh: Accepted | None = None
        if self.neighbourhood is not None and len(left):
            fresh = self._judge_copies(pixels, features[left], left, class_index, result)
        return Measured(result, fresh, left)

    def _judge_copies(
        self,
        pixels: NDArray[np.uint8],
        features: Features,
        left: NDArray[np.intp],
        class_index: int,
        result: Judgement,
    ) -> Accepted:
        assert self.neighbourhood is not None
        reference = self.neighbourhood.reference(class_index)
        coarse = low_pass(pixels[left])
        distance, index = nearest_real(reference, features)
        result.nearest_real_distance[left] = distance
        result.nearest_real_index[left] = index
        if self.copies:
            near = (distance < reference.limits.copy_features) | (reference.copies.copied(pixels[left]) >= 0)
            for row in left[near | self.neighbourhood.exact(pixels[left])]:
                result.reasons[row] = COPY
        return Accepted(*self.neighbourhood.project(features, coarse))

    def accept(self, measured: Measured, class_index: int, needed: int) -> Judgement:
        """Go through measured candidates in order: each is compared with all that were accepted before it.

        Args:
            measured: changed by this call, which adds the reasons that it finds.
            class_index: the class that they were generated for.
            needed: accept no more than this many.
        """
        result, fresh, left = measured
        chosen: list[int] = []  # positions in `left`
        close: NDArray[np.bool_] | None = None
        among: NDArray[np.bool_] | None = None
        if fresh is not None and self.duplicates:
            close, among = self._close(fresh, class_index)
        position_of = {int(row): position for position, row in enumerate(left)}
        taken = 0
        for row in range(len(result.reasons)):
            if taken >= needed:
                result.reasons[row] = NOT_NEEDED
                continue
            if result.reasons[row] is not None:
                continue
            position = position_of[row]
            if close is not None and among is not None and (close[position] or among[position, chosen].any()):
                result.reasons[row] = DUPLICATE
                continue
            chosen.append(position)
            taken += 1
        if fresh is not None and self.duplicates:
            self.accepted(class_index).add(fresh.features[chosen], fresh.pixels[chosen])
        return result

    def _close(self, fresh: Accepted, class_index: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which candidates [n] are near an accepted image, and which pairs [n, n] of them are near each other."""
        assert self.neighbourhood is not None
        limits = self.neighbourhood.reference(class_index).limits
        before = self.accepted(class_index)
        spaces = (
            (fresh.features, before.features, limits.duplicate_features),
            (fresh.pixels, before.pixels, limits.duplicate_pixels),
        )
        close, among = np.zeros(len(fresh.features), np.bool_), np.zeros((len(fresh.features),) * 2, np.bool_)
        for new, old, nearest_allowed in spaces:
            for start in range(0, len(old), 8192):
                close |= (squared_distances(new, old[start : start + 8192]) < nearest_allowed**2).any(axis=1)
            among |= squared_distances(new, new) < nearest_allowed**2
        return close, among

    def accepted(self, class_index: int) -> Accepted:
        """What a class has accepted so far, projected; empty where duplicates are not looked for."""
        return self._accepted.setdefault(class_index, Accepted.nothing())

    @property
    def features(self) -> str | None:
        """Name and hash of the classifiers that give probabilities and the features of distances."""
        return self.net.identity if self.net is not None else None

    @property
    def memory_dim(self) -> int:
        return MEMORY_DIM

    def memory(self, class_index: int, start: int = 0) -> NDArray[np.float32]:
        """What is remembered of a class's accepted images from `start` on, as rows that `restore` takes back."""
        return self.accepted(class_index).rows(start)

    def restore(self, class_index: int, rows: NDArray[np.float32]) -> None:
        """Begin a class with images that an interrupted export had accepted."""
        self.forget(class_index)
        self.accepted(class_index).add(*Accepted.columns(rows))

    def forget(self, class_index: int) -> None:
        """Begin a class's output anew."""
        self._accepted.pop(class_index, None)

    def thresholds(self, class_index: int) -> dict[str, float]:
        """The limits of one class, for the manifest; `copy_levels`, in grey levels, is the median of its images'."""
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
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Gate:
    """Train and calibrate the gates on real training images.

    Args:
        train: the run's training images; val and test images are never shown to a gate.
        targets: the rare classes.
        groups: [N] group of each training image, for the folds of the agreement gate.
        cache: where the agreement gate's classifiers are kept, so that the next gate of the run is there at once.

    Raises:
        SynthaugError: there are no training images, or of one class only.
    """
    if len(np.unique(train.labels)) < 2:
        raise SynthaugError("the gates need training images of at least two classes", "export without them: --no-gate")
    classes = list(train.classes)
    near = config.copies or config.duplicates
    if not (config.agreement or near):
        return Gate.of_nothing(classes)
    agreement = fit_agreement(
        train, targets, steps=config.steps, seed=seed, groups=groups, device=device, cache=cache, progress=progress
    )
    net = agreement.members
    neighbourhood = Neighbourhood(train, net) if near else None
    return Gate(classes, net, agreement if config.agreement else None, neighbourhood, config.copies, config.duplicates)


class Batch(NamedTuple):
    """One chunk of candidates and its judgement."""

    chunk: int
    pixels: NDArray[np.uint8]  # [64, C, H, W]
    judgement: Judgement


Candidates = tuple[NDArray[np.uint8], Measured | None]
"""Pixels [64, C, H, W] of a chunk, and what the gates measured of them."""
AHEAD = 4
"""Chunks that may be generated before the oldest has been judged."""


def max_candidates(count: int, keep: float = 1.0) -> int:
    """How many candidates may be looked at for `count` accepted ones: 20 times as many, and 500.

    Where a selector keeps the share `keep` of them, so many must pass it.
    """
    return math.ceil((20 * count + 500) / keep)


def candidates(sampler: Sampler, gate: Gate | None, label: str, chunk: int) -> Candidates:
    """Generate a chunk and measure it; independent of all other chunks."""
    pixels = sampler.chunk(label, chunk)
    return pixels, gate.measure(pixels, sampler.class_index(label)) if gate is not None else None


def judged(
    sampler: Sampler,
    gate: Gate | None,
    label: str,
    count: int,
    *,
    limit: int,
    chunk: int = 0,
    have: int = 0,
    submit: Callable[[str, int], Future[Candidates]] | None = None,
) -> Iterator[Batch]:
    """Generate and judge chunks of candidates until `count` are accepted or `limit` have been looked at.

    Args:
        gate: None accepts everything.
        chunk: begin at this chunk, with `have` images accepted before it (an interrupted export that goes on).
        submit: calls `candidates` elsewhere for a class and a chunk; what comes out is the same with it and without.
    """
    class_index = sampler.class_index(label)
    coming: deque[Future[Candidates]] = deque()
    looked_at = accepted = 0
    while have < count and chunk * CHUNK < limit:
        if submit is None:
            pixels, measured = candidates(sampler, gate, label, chunk)
        else:
            # As many as will be needed at the rate so far: what is generated for nothing costs as much as the rest.
            rate = max(accepted / looked_at, 1 / AHEAD) if looked_at else 1.0
            wanted = min(AHEAD, math.ceil((count - have) / (CHUNK * rate)))
            while len(coming) < wanted:
                coming.append(submit(label, chunk + len(coming)))
            pixels, measured = coming.popleft().result()
        if gate is None or measured is None:
            judgement = Judgement.of_nothing_measured(len(pixels), count - have)
        else:
            judgement = gate.accept(measured, class_index, count - have)
        looked_at += len(pixels)
        accepted += (found := int(judgement.accepted.sum()))
        have += found
        yield Batch(chunk, pixels, judgement)
        chunk += 1
    for future in coming:
        future.cancel()


def shortfall(label: str, have: int, count: int, rejected: Counter[str]) -> RunFailed:
    """The error that a class which cannot be filled ends with."""
    candidates = have + sum(rejected.values())
    reasons = ", ".join(f"{reason} {n}" for reason, n in rejected.most_common()) or "none"
    hints = {
        AGREEMENT: "the classifier does not take most of its images for this class: train longer",
        COPY: "most of its images copy training images: use an earlier checkpoint",
        DUPLICATE: "its images repeat each other: ask for fewer, or train longer",
        DISCRIMINATOR: "the discriminator takes few of its images for real: ask for a larger share with --keep",
    }
    # Most candidates fall to the selection where that is asked for; what made the class fall short is another reason.
    faults = sorted(rejected, key=lambda reason: (reason == DISCRIMINATOR, -rejected[reason]))
    main = hints[faults[0]] if faults else "ask for fewer"
    return RunFailed(
        f"class {label!r} cannot be filled: {have} of {count} images passed the gates among {candidates} candidates "
        f"(rejected: {reasons})",
        f"{main}; or take what there is with --allow-short, or everything with --no-gate",
    )


class GatedSamples(NamedTuple):
    """Accepted images of one class."""

    pixels: NDArray[np.uint8]  # [n, C, H, W]
    indices: NDArray[np.int64]  # [n], their sample indices
    rejected: dict[str, int]
    judgements: Judgement  # of the accepted ones


def gated_samples(
    sampler: Sampler,
    gate: Gate | None,
    label: str,
    count: int,
    *,
    limit: int | None = None,
    allow_short: bool = False,
    progress: Progress | None = None,
) -> GatedSamples:
    """The first `count` images of a class that pass the gates.

    Args:
        limit: how many candidates may be looked at; `max_candidates(count)` unless given.
        allow_short: return fewer images rather than fail.

    Raises:
        SynthaugError: there is no such class.
        RunFailed: the class cannot be filled, and `allow_short` is not given.
    """
    if gate is not None:
        gate.forget(sampler.class_index(label))
    shape = (sampler.trained.channels, sampler.trained.resolution, sampler.trained.resolution)
    pixels, indices = [np.empty((0, *shape), np.uint8)], [np.empty(0, np.int64)]
    judgements: list[Judgement] = []
    rejected: Counter[str] = Counter()
    limit = max_candidates(count) if limit is None else limit
    with (progress or Silent()).task(f"samples of {label}", count, "image") as task:
        for batch in judged(sampler, gate, label, count, limit=limit):
            rows = np.flatnonzero(batch.judgement.accepted)
            pixels.append(batch.pixels[rows])
            indices.append(rows.astype(np.int64) + batch.chunk * CHUNK)
            judgements.append(batch.judgement.take(rows))
            rejected += batch.judgement.rejected
            task.advance(len(rows))
            task.note(", ".join(f"{reason} {n}" for reason, n in rejected.items()))
    have = sum(map(len, indices))
    if have < count and not allow_short:
        raise shortfall(label, have, count, rejected)
    return GatedSamples(np.concatenate(pixels), np.concatenate(indices), dict(rejected), Judgement.join(judgements))
