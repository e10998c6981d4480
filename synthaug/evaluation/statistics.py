"""Confidence intervals of F1 and of differences of F1, which combine seed and test-set variance.

One test set: the interval is for other seeds and other test images, with the same generator and training images.

Folds: F1 is computed on the out-of-fold predictions of all images together, since F1 of a fold with two images of a
rare class means little (Forman & Scholz, SIGKDD Explorations 12(1), 2010). Generators and training sets differ too, but
training sets overlap, and the variance of a cross-validation has no unbiased estimate (Bengio & Grandvalet, JMLR 5,
2004). So the wider of two intervals is used: the one above, and one over the folds, from the jackknife's pseudo-values
with the variance of Nadeau & Bengio (Machine Learning 52, 2003, eq. 9) for overlapping training sets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from synthaug.evaluation.scores import Floats, f1_of_resamples, group_counts

BOOTSTRAP = 1000
CONFIDENCE = 0.95
POWER = 0.8
"""The probability that the two-sided 5% test finds an effect as large as the smallest detectable one."""
_CHUNK = 100


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95% interval, standard error, and two-sided p-value against zero."""

    mean: float
    low: float
    high: float
    standard_error: float
    freedom: float
    p_value: float
    per_seed: list[float]

    @property
    def smallest_detectable(self) -> float:
        """The effect found in 80% of cases: 1.96 + 0.84 standard errors, more with few degrees of freedom."""
        quantiles = stats.t.ppf([0.5 + CONFIDENCE / 2, POWER], self.freedom)
        return float(quantiles.sum()) * self.standard_error


@dataclass(frozen=True)
class F1Table:
    """F1 of one arm: for each seed [S, K], and for bootstrap resamples of the test groups, mean over seeds [B, K].

    With folds, also for all folds but one, mean over seeds [F, K].
    """

    seeds: Floats
    resamples: Floats
    without_fold: Floats | None = None


def estimate(per_seed: Floats, test_variance: float, test_groups: int, without_fold: Floats | None = None) -> Estimate:
    """The interval of a mean over seeds, with the variance of the test set added.

    The standard error is sqrt(var(seeds) / S + test variance). Its degrees of freedom follow Welch & Satterthwaite
    (Biometrika 34, 1947, p. 28) from S - 1 and `test_groups` - 1; without test variance this is the t interval over
    seeds, for differences the paired t interval. With folds, the interval of `over_folds` is used if it is wider.

    Args:
        per_seed: [S] values, at least two.
        test_variance: variance of the mean over resamples of the test groups.
        test_groups: number of groups behind the test variance.
        without_fold: [F] the mean without each of the folds; None without folds.

    >>> estimate(np.array([1.0, 2.0, 3.0]), 0.0, 10).mean
    2.0
    """
    count = len(per_seed)
    seed_variance = float(np.var(per_seed, ddof=1)) / count
    mean, error = float(np.mean(per_seed)), float(np.sqrt(seed_variance + test_variance))
    freedom = float(count - 1)
    if error > 0:
        freedom = (seed_variance + test_variance) ** 2 / (
            seed_variance**2 / (count - 1) + test_variance**2 / max(test_groups - 1, 1)
        )
    values = [float(v) for v in per_seed]
    found = _t_interval(mean, error, freedom, values)
    if without_fold is None:
        return found
    folds = over_folds(mean, without_fold, values)
    return folds if folds.high - folds.low > found.high - found.low else found


def over_folds(mean: float, without_fold: Floats, per_seed: list[float]) -> Estimate:
    """The t interval over the pseudo-values F·mean − (F − 1)·(mean without a fold), their variance times 1/F + 1/(F−1).

    1/(F − 1) is the ratio of test to training images in Nadeau & Bengio's corrected variance. `per_seed` is only
    returned in the estimate.
    """
    count = len(without_fold)
    pseudo = count * mean - (count - 1) * without_fold
    error = float(np.sqrt(np.var(pseudo, ddof=1) * (1 / count + 1 / (count - 1))))
    return _t_interval(mean, error, count - 1.0, per_seed)


def _t_interval(mean: float, error: float, freedom: float, per_seed: list[float]) -> Estimate:
    if error == 0:
        return Estimate(mean, mean, mean, 0.0, freedom, 1.0 if mean == 0 else 0.0, per_seed)
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2, freedom)) * error
    p_value = float(2 * stats.t.sf(abs(mean) / error, freedom))
    return Estimate(mean, mean - half, mean + half, error, freedom, p_value, per_seed)


def resample_groups(num_groups: int, rng: np.random.Generator, count: int = BOOTSTRAP) -> Floats:
    """How often each of `count` bootstrap resamples draws each group, [count, num_groups]."""
    return rng.multinomial(num_groups, np.full(num_groups, 1 / num_groups), size=count).astype(np.float64)


def f1_table(
    truth: npt.NDArray[np.int64],
    predictions: Sequence[npt.NDArray[np.int64]],
    groups: npt.NDArray[np.int64],
    num_classes: int,
    times: Floats,
    without_fold: Floats | None = None,
) -> F1Table:
    """F1 of each seed's predictions, and the mean over seeds in each bootstrap resample.

    Args:
        truth: [N].
        predictions: for each seed [N].
        groups: [N], from 0 to G-1.
        num_classes: K.
        times: [B, G] from `resample_groups`; the same for every arm, so that differences are paired.
        without_fold: [F, G] 0 for the groups of the fold, 1 for the others.
    """
    tables = [group_counts(truth, predicted, groups, num_classes) for predicted in predictions]
    everything = np.ones((1, times.shape[1]))
    seeds = np.concatenate([f1_of_resamples(table, everything) for table in tables])

    def resampled(times: Floats) -> Floats:
        rows: Floats = np.mean([f1_of_resamples(table, times) for table in tables], axis=0)
        return rows

    resamples = np.concatenate([resampled(times[start : start + _CHUNK]) for start in range(0, len(times), _CHUNK)])
    return F1Table(seeds, resamples, None if without_fold is None else resampled(without_fold))


def mean_f1(table: F1Table, classes: Sequence[int], test_groups: int) -> Estimate:
    """The mean F1 of some classes."""
    chosen = list(classes)
    return estimate(
        table.seeds[:, chosen].mean(axis=1),
        float(np.var(table.resamples[:, chosen].mean(axis=1), ddof=1)),
        test_groups,
        None if table.without_fold is None else table.without_fold[:, chosen].mean(axis=1),
    )


def contrast(arm: F1Table, control: F1Table, classes: Sequence[int], test_groups: int) -> Estimate:
    """The difference in mean F1 of some classes, arm minus control, paired over seeds, resamples and folds."""
    folds = None
    if arm.without_fold is not None and control.without_fold is not None:
        folds = arm.without_fold - control.without_fold
    return mean_f1(F1Table(arm.seeds - control.seeds, arm.resamples - control.resamples, folds), classes, test_groups)
