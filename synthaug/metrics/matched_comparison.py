"""Comparisons at equal numbers of images: scores of synthetic images, and their floors (real images against real ones).

*Fidelity* (KID, FID, PRDC) needs real images that the generator has not seen. Its floor is the score of the training
images against these: no generator trained on them can be expected to do better. If the training images are fewer, the
floor is one half of the held-out images against the other. *Diversity* measures how varied a set is in itself. It is
compared with all real images of the class; its floor is one random half of them against the other.

Several classes are compared at once as strata, with as many real as synthetic images of each class, so that different
class shares are not mistaken for different images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthaug.documents import Range
from synthaug.metrics import fidelity
from synthaug.metrics.distances import squared_distances
from synthaug.metrics.diversity import duplicate_rate, duplicate_threshold, scale_of, vendi
from synthaug.metrics.gram import Gram
from synthaug.metrics.spread import Indices, about, halves, proportion_range, quantile_range

Array = NDArray[Any]
Floats = NDArray[np.float64]
MIN_KID = 4
MIN_PRDC = 10
K = 5
MAX_FIDELITY = 1000
MAX_DIVERSITY = 300
DRAWS = 10
WORK = 2000
"""Images in all draws of a fidelity comparison together: few images are drawn often, many images seldom."""
SPREAD_DRAWS = 20
"""Half-samples behind a range."""
KID_DRAWS = 100


@dataclass(frozen=True, slots=True)
class Stratum:
    """The images of one class in a comparison, as features [n, d]."""

    reference: Array
    """Real images to judge against, held out if there are any."""
    train: Array | None
    """Real training images, disjoint from `reference`; None or few: the floor comes from halves of `reference`."""
    synthetic: Array

    @property
    def by_train(self) -> bool:
        return self.train is not None and len(self.train) >= max(len(self.reference) // 2, MIN_KID)

    @property
    def others(self) -> int:
        """How many real images the floor can take."""
        return len(self.train) if self.by_train and self.train is not None else len(self.reference) // 2


@dataclass(frozen=True, slots=True)
class Draw:
    """Equal numbers of real, synthetic and, for the floor, other real images; row by row of the same class."""

    real: Array
    synthetic: Array
    other: Array | None
    groups: NDArray[np.int64]
    """[n]: the stratum of each row."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How many images of each class are compared, and whether there is a floor."""

    strata: Sequence[Stratum]
    counts: list[int]
    floor: bool

    @property
    def n(self) -> int:
        return sum(self.counts)

    @property
    def exhausted(self) -> bool:
        """Every draw would hold the same images."""
        return all(
            {len(s.reference), len(s.synthetic), s.others if self.floor else count} == {count}
            for s, count in zip(self.strata, self.counts, strict=True)
            if count
        )

    def draw(self, rng: np.random.Generator) -> Draw:
        real, fake, other = [], [], []
        for stratum, count in zip(self.strata, self.counts, strict=True):
            order = rng.permutation(len(stratum.reference))
            real.append(stratum.reference[order[:count]])
            fake.append(stratum.synthetic[rng.permutation(len(stratum.synthetic))[:count]])
            if self.floor and stratum.by_train and stratum.train is not None:
                other.append(stratum.train[rng.permutation(len(stratum.train))[:count]])
            elif self.floor:
                other.append(stratum.reference[order[count : 2 * count]])
        return Draw(
            np.concatenate(real),
            np.concatenate(fake),
            np.concatenate(other) if self.floor else None,
            np.repeat(np.arange(len(self.counts)), self.counts),
        )


def plan(strata: Sequence[Stratum], *, at_least: int, at_most: int) -> Plan | None:
    """As many images a side as real, synthetic and floor all allow, class by class; None if fewer than `at_least`.

    There is no floor if it would leave fewer than `at_least` images. `at_most` is shared among the classes in
    proportion.
    """
    counts = [min(len(s.reference), len(s.synthetic), s.others) for s in strata]
    floor = sum(counts) >= at_least
    if not floor:
        counts = [min(len(s.reference), len(s.synthetic)) for s in strata]
    if sum(counts) < at_least:
        return None
    return Plan(strata, _shared(counts, at_most), floor)


@dataclass(frozen=True, slots=True)
class Scores:
    """Of one set of images against the reference; None if they are too few."""

    kid: Range
    fid: Range
    precision: Range | None
    recall: Range | None
    density: Range | None
    coverage: Range | None


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Scores at `n` images on each side, averaged over draws if there are more images to draw from."""

    n: int
    synthetic: Scores
    floor: Scores | None


@dataclass(frozen=True, slots=True)
class Diversity:
    """Scores at `n` images on each side; the pairwise ratio needs no equal numbers and takes all images."""

    n: int
    pairwise: Range
    pairwise_floor: Range
    vendi: Range
    vendi_floor: Range
    duplicates: Range
    duplicate_floor: Range


def compare_fidelity(strata: Sequence[Stratum], *, rng: np.random.Generator, draws: int = DRAWS) -> Fidelity | None:
    """KID, FID and PRDC of synthetic images against the reference, and of real against real, at one number of images.

    The ranges of KID, FID and density come from half-samples. Precision, recall and coverage are shares of `n` images
    and have Clopper and Pearson's. None if fewer than four images are left on a side.

    Args:
        strata: one class, or several to be compared as one set.
        rng: chooses the images.
        draws: how many choices are averaged.
    """
    chosen = plan(strata, at_least=MIN_KID, at_most=MAX_FIDELITY)
    if chosen is None:
        return None
    rounds = 1 if chosen.exhausted else max(2, min(draws, WORK // chosen.n))
    drawn = [chosen.draw(rng) for _ in range(rounds)]
    groups = drawn[0].groups
    return Fidelity(
        n=chosen.n,
        synthetic=_scores([(d.real, d.synthetic) for d in drawn], groups, rng),
        floor=_scores([(d.real, d.other) for d in drawn if d.other is not None], groups, rng) if chosen.floor else None,
    )


def compare_diversity(
    real: Sequence[Array], synthetic: Sequence[Array], *, rng: np.random.Generator, draws: int = DRAWS
) -> Diversity | None:
    """Pairwise distance, Vendi score and near-duplicates of synthetic images against all real ones.

    The ranges of the first two come from half-samples. That of the near-duplicates is Clopper and Pearson's; an image
    and its twin count once. None if there are fewer than four real or two synthetic images.

    Args:
        real: features [n, d] of all real images, class by class.
        synthetic: features [m, d], class by class.
        rng: chooses the images.
        draws: how many choices are averaged.
    """
    counts = _shared([min(len(x) // 2, len(y)) for x, y in zip(real, synthetic, strict=True)], MAX_DIVERSITY)
    n = sum(counts)
    if n < 2:
        return None
    rows = []
    for _ in range(draws):
        orders = [rng.permutation(len(x)) for x in real]
        half, other = (
            np.concatenate([x[order[i * c : (i + 1) * c]] for x, order, c in zip(real, orders, counts, strict=True)])
            for i in (0, 1)
        )
        fake = np.concatenate([y[rng.permutation(len(y))[:c]] for y, c in zip(synthetic, counts, strict=True)])
        within, among, between = (squared_distances(x, x) for x in (half, fake, other))
        scale, near = scale_of(within), duplicate_threshold(within)
        effective = vendi(within, scale)
        rows.append(
            (
                _mean_distance(between) / max(_mean_distance(within), 1e-12),
                vendi(among, scale) / effective,
                vendi(between, scale) / effective,
                duplicate_rate(among, near),
                duplicate_rate(between, near),
            )
        )
    table = np.array(rows)
    groups = np.repeat(np.arange(len(counts)), counts)
    return Diversity(
        n=n,
        pairwise=_pairwise(real, synthetic, rng),
        pairwise_floor=quantile_range(table[:, 0]),
        vendi=about(float(table[:, 1].mean()), _vendi_of_halves(within, among, groups, rng), bounds=(0, np.inf)),
        vendi_floor=quantile_range(table[:, 2]),
        duplicates=proportion_range(float(table[:, 3].mean()), n / 2),
        duplicate_floor=proportion_range(float(table[:, 4].mean()), n / 2),
    )


def _shared(counts: list[int], at_most: int) -> list[int]:
    total = sum(counts)
    return counts if total <= at_most else [max(1, count * at_most // total) if count else 0 for count in counts]


def _scores(pairs: list[tuple[Array, Array]], groups: NDArray[np.int64], rng: np.random.Generator) -> Scores:
    """Means over the pairs of sets, with the spread of the last one's half-samples."""
    n = len(groups)
    all_rows = np.arange(n)
    grams = [Gram.of(real, other) for real, other in pairs]
    fids = [gram.fid(all_rows, all_rows) for gram in grams]
    kids = [fidelity.kid_unbiased(real, other) for real, other in pairs]
    real, other = pairs[-1]
    some = [(halves(groups, rng), halves(groups, rng)) for _ in range(KID_DRAWS)]
    kid = about(float(np.mean(kids)), fidelity.kids_of_subsets(real, other, [i for i, _ in some], [j for _, j in some]))
    few = some[:SPREAD_DRAWS]
    fid = about(float(np.mean(fids)), np.array([grams[-1].fid(i, j) for i, j in few]), bounds=(0, np.inf))
    if n < MIN_PRDC:
        return Scores(kid, fid, None, None, None, None)
    found = [gram.prdc(all_rows, all_rows, K) for gram in grams]
    # Among half of the images, the ball of half as many neighbours is as large.
    densities = [grams[-1].prdc(i, j, max(1, round(K * len(i) / n))).density for i, j in few]
    return Scores(
        kid,
        fid,
        precision=proportion_range(float(np.mean([s.precision for s in found])), n),
        recall=proportion_range(float(np.mean([s.recall for s in found])), n),
        density=about(float(np.mean([s.density for s in found])), np.array(densities), bounds=(0, np.inf)),
        coverage=proportion_range(float(np.mean([s.coverage for s in found])), n),
    )


def _pairwise(real: Sequence[Array], synthetic: Sequence[Array], rng: np.random.Generator) -> Range:
    """Mean distance between synthetic images ÷ that between real ones; classes in equal shares on both sides."""
    limit = 4 * MAX_DIVERSITY
    if len(real) == 1:
        counts = [(min(len(real[0]), limit), min(len(synthetic[0]), limit))]
    else:
        equal = _shared([min(len(x), len(y)) for x, y in zip(real, synthetic, strict=True)], limit)
        counts = [(count, count) for count in equal]
    of_real, of_fake = (
        np.concatenate([x[rng.permutation(len(x))[: c[side]]] for x, c in zip(sets, counts, strict=True)])
        for side, sets in ((0, real), (1, synthetic))
    )
    groups = [np.repeat(np.arange(len(counts)), [c[side] for c in counts]) for side in (0, 1)]
    within, among = (np.sqrt(squared_distances(x, x)) for x in (of_real, of_fake))
    for distances in (within, among):
        np.fill_diagonal(distances, 0)

    def mean(distances: Floats, rows: Indices) -> float:
        return float(distances[np.ix_(rows, rows)].sum() / (len(rows) * (len(rows) - 1)))

    def ratio(i: Indices, j: Indices) -> float:
        return mean(among, j) / max(mean(within, i), 1e-12)

    full = ratio(np.arange(len(within)), np.arange(len(among)))
    if min(len(within), len(among)) < 4:
        return Range(mean=full, low=full, high=full)
    values = [ratio(halves(groups[0], rng), halves(groups[1], rng)) for _ in range(SPREAD_DRAWS)]
    return about(full, np.array(values), bounds=(0, np.inf))


def _vendi_of_halves(real: Floats, fake: Floats, groups: NDArray[np.int64], rng: np.random.Generator) -> Floats:
    values = []
    for _ in range(SPREAD_DRAWS):
        i, j = (halves(groups, rng) for _ in range(2))
        within, among = real[np.ix_(i, i)], fake[np.ix_(j, j)]
        scale = scale_of(within) if len(i) > 1 else 1.0
        values.append(vendi(among, scale) * len(i) / (vendi(within, scale) * len(j)))
    return np.array(values)


def _mean_distance(squared: Floats) -> float:
    n = len(squared)
    distances = np.sqrt(squared)
    return float((distances.sum() - np.trace(distances)) / (n * (n - 1)))
