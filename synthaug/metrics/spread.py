"""95% intervals: from half-samples, and of proportions.

A bootstrap repeats images, which corrupts metrics of pairs (KID, PRDC, duplicates). Half-samples, drawn without
replacement, have no repeats. For a statistic like a mean their variance is σ²/(n/2) · (1 − 1/2) = σ²/n, the variance of
the full-sample estimate. So no rescaling is needed (Shao & Wu 1989; Politis & Romano 1994).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from synthaug.documents import Range

Indices = NDArray[np.intp]


def half_sample_range(
    full: float,
    statistic: Callable[[Indices, Indices], float],
    n_real: int,
    n_fake: int,
    *,
    draws: int,
    rng: np.random.Generator,
    bounds: tuple[float, float] = (-np.inf, np.inf),
) -> Range:
    """The full-sample estimate with a 95% range from half-samples of both sets.

    Args:
        full: the estimate on all images.
        statistic: function of the chosen indices of real and of synthetic images.
        n_real: number of real images, ≥ 4.
        n_fake: number of synthetic images, ≥ 4.
        draws: half-samples.
        rng: draws them.
        bounds: lowest and highest possible value of the statistic.
    """
    halves = (max(2, n_real // 2), max(2, n_fake // 2))
    values = np.array(
        [
            statistic(rng.choice(n_real, halves[0], replace=False), rng.choice(n_fake, halves[1], replace=False))
            for _ in range(draws)
        ]
    )
    return about(full, values, bounds)


def halves(groups: NDArray[np.int64], rng: np.random.Generator) -> Indices:
    """Half of the rows of each group, in order, at random; `groups` [n], n ≥ 2, is the group of each row."""
    order = np.lexsort((rng.random(len(groups)), groups))
    chosen = order[int(rng.integers(2)) :: 2]
    return np.sort(chosen)


def about(full: float, values: NDArray[np.float64], bounds: tuple[float, float] = (-np.inf, np.inf)) -> Range:
    """`full` ± the 2.5% and 97.5% quantiles of the deviations of `values` from their own mean.

    The values' own mean is subtracted because many statistics depend on the sample size.
    """
    low, high = np.quantile(values, [0.025, 0.975]) - values.mean()
    return Range(mean=full, low=float(np.clip(full + low, *bounds)), high=float(np.clip(full + high, *bounds)))


def quantile_range(values: NDArray[np.float64]) -> Range:
    """Mean and the 2.5% and 97.5% quantiles of repeated draws."""
    low, high = np.quantile(values, [0.025, 0.975])
    return Range(mean=float(np.mean(values)), low=float(low), high=float(high))


def proportion_range(share: float, n: float) -> Range:
    """A share of n images with its 95% interval (Clopper & Pearson 1934)."""
    hits = share * n
    low = float(beta.ppf(0.025, hits, n - hits + 1)) if hits > 0 else 0.0
    high = float(beta.ppf(0.975, hits + 1, n - hits)) if hits < n else 1.0
    return Range(mean=share, low=low, high=high)


def mean_of_proportions(shares: Sequence[float], counts: Sequence[int]) -> Range:
    """Mean of several shares, each of so many images, with its 95% interval from their binomial variances."""
    p, n = np.array(shares), np.array(counts, float)
    shrunk = (p * n + 1) / (n + 2)  # a share of 0 or 1 has a variance too
    mean, error = float(p.mean()), float(np.sqrt((shrunk * (1 - shrunk) / (n + 2)).sum())) / len(p)
    return Range(mean=mean, low=max(0.0, mean - 1.96 * error), high=min(1.0, mean + 1.96 * error))
