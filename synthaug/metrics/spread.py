"""95% intervals from half-samples, drawn without replacement.

A bootstrap repeats images, which corrupts metrics of pairs (KID, PRDC, duplicates). Half-samples have no repeats. For
a statistic like a mean their variance is σ²/(n/2) · (1 − 1/2) = σ²/n, the variance of the full-sample estimate, so
that no rescaling is needed (Shao & Wu 1989; Politis & Romano 1994).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

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

    The half-samples' deviations are taken about their own mean and laid around `full`, because many of these
    statistics depend on the sample size.

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
    """Half of the rows of each group, in order; of an odd number one more or one less, by chance.

    Args:
        groups: [n], n ≥ 2: the group of each row.
        rng: chooses.
    """
    order = np.lexsort((rng.random(len(groups)), groups))
    chosen = order[int(rng.integers(2)) :: 2]
    return np.sort(chosen)


def about(full: float, values: NDArray[np.float64], bounds: tuple[float, float] = (-np.inf, np.inf)) -> Range:
    """`full` with the 2.5% and 97.5% quantiles of the deviations of `values` from their own mean laid around it."""
    low, high = np.quantile(values, [0.025, 0.975]) - values.mean()
    return Range(mean=full, low=float(np.clip(full + low, *bounds)), high=float(np.clip(full + high, *bounds)))


def quantile_range(values: NDArray[np.float64]) -> Range:
    """Mean and the 2.5% and 97.5% quantiles of repeated draws."""
    low, high = np.quantile(values, [0.025, 0.975])
    return Range(mean=float(np.mean(values)), low=float(low), high=float(high))
