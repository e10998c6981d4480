"""Comparisons at equal numbers: the scores of one class and, beside them, what real images score against real ones.

Two comparisons, because they need different images. *Fidelity* (KID, PRDC) must be held against real images that the
generator has not seen; the floor is then what the real training images score against them, since no generator that
learned from these can be expected to do better, or, where those are fewer, one half of the held-out images against the
other. *Diversity* asks only how varied a set is in itself, so all real images of the class serve as the yardstick, and
the floor is one random half of them against the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from synthaug.documents import Range
from synthaug.metrics import fidelity
from synthaug.metrics.distances import mean_pairwise
from synthaug.metrics.diversity import bandwidth, duplicate_rate, duplicate_threshold, pairwise_ratio, vendi
from synthaug.metrics.spread import quantile_range

Array = NDArray[Any]
MIN_KID = 4
MIN_PRDC = 10
MAX_FIDELITY = 1000
MAX_DIVERSITY = 300
DRAWS = 10
WORK = 2000
"""Images in all draws of a fidelity comparison: many draws of few images, few of many."""


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Scores at `n` images on each side, averaged over draws where there are more to draw from."""

    n: int
    kid: Range
    kid_floor: Range | None
    fid: float
    prdc: fidelity.PRDC | None
    coverage_floor: Range | None


@dataclass(frozen=True, slots=True)
class Diversity:
    """Scores at `n` images on each side; the pairwise ratio needs no matching and is of all images."""

    n: int
    pairwise: float
    pairwise_floor: Range
    vendi: float
    vendi_floor: Range
    duplicates: float
    duplicate_floor: float


def compare_fidelity(
    reference: Array, train: Array | None, synthetic: Array, *, rng: np.random.Generator, draws: int = DRAWS
) -> Fidelity | None:
    """KID, FID and PRDC of `synthetic` against `reference`, and of real against real, all at one number of images.

    Args:
        reference: features [n, d] of real images, held out if there are any.
        train: features [t, d] of real training images, disjoint from `reference`; None or few: halves of `reference`.
        synthetic: features [m, d].
        rng: chooses the images.
        draws: how many choices are averaged.

    Returns:
        None where fewer than four images are left on a side.
    """
    by_train = train is not None and len(train) >= max(len(reference) // 2, MIN_KID)
    others = len(train) if by_train and train is not None else len(reference) // 2
    n = min(len(reference), len(synthetic), MAX_FIDELITY)
    floor_there = others >= MIN_KID
    if floor_there:
        n = min(n, others)
    if n < MIN_KID:
        return None
    sizes = {len(reference), len(synthetic)} | ({others} if floor_there else set())
    rounds = 1 if sizes == {n} else max(2, min(draws, WORK // n))
    kids, kid_floors, fids, scores, floors = [], [], [], [], []
    with_prdc = n >= MIN_PRDC
    for _ in range(rounds):
        order = rng.permutation(len(reference))
        real = reference[order[:n]]
        fake = synthetic[rng.permutation(len(synthetic))[:n]]
        kids.append(fidelity.kid_unbiased(real, fake))
        fids.append(fidelity.fid(real, fake))
        if with_prdc:
            scores.append(fidelity.prdc(real, fake))
        if floor_there:
            other = (
                train[rng.permutation(len(train))[:n]]
                if by_train and train is not None
                else reference[order[n : 2 * n]]
            )
            kid_floors.append((real, other))
            if with_prdc:
                floors.append(fidelity.prdc(real, other).coverage)
    kid = fidelity.kid(real, fake, rng=rng)
    return Fidelity(
        n=n,
        kid=_recentred(kid, float(np.mean(kids))),
        kid_floor=_kid_floor(kid_floors, rng),
        fid=float(np.mean(fids)),
        prdc=_mean_prdc(scores),
        coverage_floor=proportion_range(float(np.mean(floors)), n) if floors else None,
    )


def compare_diversity(
    real: Array, synthetic: Array, *, rng: np.random.Generator, draws: int = DRAWS
) -> Diversity | None:
    """Pairwise distance, Vendi score and near-duplicates of `synthetic` against all `real` images of the class.

    Args:
        real: features [n, d] of all real images of the class.
        synthetic: features [m, d].
        rng: chooses the images.
        draws: how many choices are averaged.

    Returns:
        None where fewer than four real or two synthetic images are there.
    """
    n = min(len(real) // 2, len(synthetic), MAX_DIVERSITY)
    if n < 2:
        return None
    rows = []
    for _ in range(draws):
        order = rng.permutation(len(real))
        half, other = real[order[:n]], real[order[n : 2 * n]]
        fake = synthetic[rng.permutation(len(synthetic))[:n]]
        scale, near = bandwidth(half), duplicate_threshold(half)
        effective = vendi(half, scale)
        rows.append(
            (
                mean_pairwise(other) / max(mean_pairwise(half), 1e-12),
                vendi(fake, scale) / effective,
                vendi(other, scale) / effective,
                duplicate_rate(fake, near),
                duplicate_rate(other, near),
            )
        )
    table = np.array(rows)
    some = rng.permutation(len(synthetic))[: 4 * MAX_DIVERSITY], rng.permutation(len(real))[: 4 * MAX_DIVERSITY]
    return Diversity(
        n=n,
        pairwise=pairwise_ratio(real[some[1]], synthetic[some[0]]),
        pairwise_floor=quantile_range(table[:, 0]),
        vendi=float(table[:, 1].mean()),
        vendi_floor=quantile_range(table[:, 2]),
        duplicates=float(table[:, 3].mean()),
        duplicate_floor=float(table[:, 4].mean()),
    )


def proportion_range(share: float, n: int) -> Range:
    """A share of n images with its 95% interval (Clopper & Pearson 1934)."""
    hits = share * n
    low = float(beta.ppf(0.025, hits, n - hits + 1)) if hits > 0 else 0.0
    high = float(beta.ppf(0.975, hits + 1, n - hits)) if hits < n else 1.0
    return Range(mean=share, low=low, high=high)


def _recentred(spread: Range, mean: float) -> Range:
    return Range(mean=mean, low=mean + spread.low - spread.mean, high=mean + spread.high - spread.mean)


def _kid_floor(pairs: list[tuple[Array, Array]], rng: np.random.Generator) -> Range | None:
    if not pairs:
        return None
    mean = float(np.mean([fidelity.kid_unbiased(real, other) for real, other in pairs]))
    return _recentred(fidelity.kid(*pairs[-1], rng=rng), mean)


def _mean_prdc(scores: list[fidelity.PRDC]) -> fidelity.PRDC | None:
    if not scores:
        return None
    mean = np.mean([(s.precision, s.recall, s.density, s.coverage) for s in scores], axis=0)
    return fidelity.PRDC(*(float(value) for value in mean))
