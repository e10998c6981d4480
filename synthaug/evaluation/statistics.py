"""How sure a difference of two arms is: seeds and test images both have their luck (DESIGN §6.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from synthaug.evaluation.scores import Floats, f1_of_resamples, group_counts

BOOTSTRAP = 1000
CONFIDENCE = 0.95
DETECTABLE = 2.8
"""Standard errors of the effect that a two-sided 5% test finds in 80% of cases: 1.96 + 0.84."""
_CHUNK = 100


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95% interval, standard error, and two-sided p-value against zero."""

    mean: float
    low: float
    high: float
    standard_error: float
    p_value: float
    per_seed: list[float]

    @property
    def smallest_detectable(self) -> float:
        return DETECTABLE * self.standard_error


@dataclass(frozen=True)
class F1Table:
    """F1 of one arm: of each seed [S, K], and of bootstrap resamples of the test groups, mean over seeds [B, K]."""

    seeds: Floats
    resamples: Floats


def estimate(per_seed: Floats, test_variance: float, test_groups: int) -> Estimate:
    """Interval of a mean over seeds, with the variance of the test set added.

    The standard error is sqrt(var(seeds) / S + test variance). Its degrees of freedom follow Welch & Satterthwaite
    (Biometrika 34, 1947, p. 28) from S - 1 and `test_groups` - 1; without test variance this is the t interval over
    seeds, for differences the paired t interval.

    Args:
        per_seed: [S] values, at least two.
        test_variance: variance of the mean when the test groups are drawn again.
        test_groups: groups that the test variance rests on.

    >>> estimate(np.array([1.0, 2.0, 3.0]), 0.0, 10).mean
    2.0
    """
    count = len(per_seed)
    seed_variance = float(np.var(per_seed, ddof=1)) / count
    mean, error = float(np.mean(per_seed)), float(np.sqrt(seed_variance + test_variance))
    values = [float(v) for v in per_seed]
    if error == 0:
        return Estimate(mean, mean, mean, 0.0, 1.0 if mean == 0 else 0.0, values)
    freedom = (seed_variance + test_variance) ** 2 / (
        seed_variance**2 / (count - 1) + test_variance**2 / max(test_groups - 1, 1)
    )
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, freedom)) * error
    p_value = float(2 * stats.t.sf(abs(mean) / error, freedom))
    return Estimate(mean, mean - half, mean + half, error, p_value, values)


def resample_groups(num_groups: int, rng: np.random.Generator, count: int = BOOTSTRAP) -> Floats:
    """How often each group is drawn in each of `count` bootstrap resamples, [count, num_groups]."""
    return rng.multinomial(num_groups, np.full(num_groups, 1 / num_groups), size=count).astype(np.float64)


def f1_table(
    truth: npt.NDArray[np.int64],
    predictions: Sequence[npt.NDArray[np.int64]],
    groups: npt.NDArray[np.int64],
    num_classes: int,
    times: Floats,
) -> F1Table:
    """F1 of each seed's predictions, and their mean under each bootstrap resample.

    Args:
        truth: [N].
        predictions: for each seed [N].
        groups: [N], in 0 … G-1.
        num_classes: K.
        times: [B, G] from `resample_groups`; the same for every arm, so that differences are paired.
    """
    tables = [group_counts(truth, predicted, groups, num_classes) for predicted in predictions]
    everything = np.ones((1, times.shape[1]))
    seeds = np.concatenate([f1_of_resamples(table, everything) for table in tables])
    resamples = np.zeros((len(times), num_classes))
    for start in range(0, len(times), _CHUNK):
        rows = slice(start, start + _CHUNK)
        resamples[rows] = np.mean([f1_of_resamples(table, times[rows]) for table in tables], axis=0)
    return F1Table(seeds, resamples)


def mean_f1(table: F1Table, classes: Sequence[int], test_groups: int) -> Estimate:
    """Mean F1 of some classes, as a score of its own."""
    chosen = list(classes)
    return estimate(
        table.seeds[:, chosen].mean(axis=1), float(np.var(table.resamples[:, chosen].mean(axis=1), ddof=1)), test_groups
    )


def contrast(arm: F1Table, control: F1Table, classes: Sequence[int], test_groups: int) -> Estimate:
    """Difference of the mean F1 of some classes, arm minus control, paired over seeds and over resamples."""
    return mean_f1(F1Table(arm.seeds - control.seeds, arm.resamples - control.resamples), classes, test_groups)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values (Holm, Scand. J. Statist. 6, 1979): right together, not only each alone.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    count = len(p_values)
    adjusted = [0.0] * count
    highest = 0.0
    for rank, index in enumerate(sorted(range(count), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (count - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
