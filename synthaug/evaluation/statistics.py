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
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import stats

from synthaug.evaluation.group_swaps import holding, least_p_value, swap_p_value
from synthaug.evaluation.scores import Floats, f1_of_resamples, group_counts

BOOTSTRAP = 1000
CONFIDENCE = 0.95
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


@dataclass(frozen=True)
class F1Table:
    """F1 of one arm: for each seed [S, K], and for bootstrap resamples of the test groups, mean over seeds [B, K].

    With R generators, `seeds` is [R, S, K]. With folds, `without_fold` [F, K] is F1 of all folds but one, mean over
    seeds. `counts` are those of `group_counts` for each seed, [S, 3, G, K] or [R·S, 3, G, K], for the exact test.
    """

    seeds: Floats
    resamples: Floats
    without_fold: Floats | None = None
    counts: Floats | None = None

    def groups_of(self, classes: Sequence[int], test_groups: npt.NDArray[np.int64]) -> int:
        """The number of test groups that hold any of some classes; without counts, the least that it can be."""
        if self.counts is None:
            return int(test_groups[list(classes)].max())
        return int(holding(self.counts, classes).sum())


def satterthwaite(*parts: tuple[Floats | float, float]) -> Floats:
    """Degrees of freedom of a sum of variances, each given with its own (Welch, Biometrika 34, 1947, p. 28).

    Without any variance they are infinite.

    >>> float(satterthwaite((1.0, 4), (1.0, 4)))
    8.0
    """
    variances = [np.asarray(variance, np.float64) for variance, _ in parts]
    total = np.sum(variances, axis=0)
    below = np.sum([v**2 / freedom for v, (_, freedom) in zip(variances, parts, strict=True)], axis=0)
    freedom: Floats = np.divide(total**2, below, out=np.full_like(below, np.inf), where=below > 0)
    return freedom


@dataclass(frozen=True)
class Variance:
    """The variance of a mean, and its degrees of freedom."""

    variance: float
    freedom: float

    @classmethod
    def over_trainings(cls, values: Floats) -> Variance:
        """Over other seeds of the classifier, and over other generators.

        With several generators, those and the seeds are crossed random effects (Searle, Casella & McCulloch, Variance
        Components, 1992, section 4.3): the variance of the mean is (MS of generators + MS of seeds − MS of the rest) /
        RS, and at least each of the first two.

        Args:
            values: [S], or [R, S] of R generators; S and R at least two.
        """
        if values.ndim == 1:
            return cls(float(np.var(values, ddof=1)) / len(values), len(values) - 1.0)
        generators, seeds = values.shape
        by_generator, by_seed = values.mean(axis=1), values.mean(axis=0)
        rest = values - by_generator[:, None] - by_seed + values.mean()
        parts = (
            (float(np.var(by_generator, ddof=1)) / generators, generators - 1),
            (float(np.var(by_seed, ddof=1)) / seeds, seeds - 1),
        )
        freedom = (generators - 1) * (seeds - 1)
        both = parts[0][0] + parts[1][0] - float(np.square(rest).sum()) / freedom / values.size
        largest = max(parts)
        if both <= largest[0]:
            return cls(*map(float, largest))
        return cls(both, float(both**2 / max(sum(v**2 / f for v, f in parts), 1e-300)))

    @classmethod
    def over_groups(cls, resamples: Floats, groups: npt.NDArray[np.int64]) -> Variance:
        """Over other test images of the same kind: of the mean over some classes.

        The bootstrap over G groups has (G − 1)/G of the variance (Davison & Hinkley, Bootstrap Methods, 1997, section
        2.3). Classes differ in G: each counts by its share of the variance, so the freedom of macro-F1 is near that of
        a rare class where the rare class makes the error.

        Args:
            resamples: [B, C] scores of the classes in each resample.
            groups: [C] test groups that hold each class.
        """
        freedom = np.maximum(groups - 1, 1)
        biased = np.var(resamples, axis=0, ddof=1)
        if biased.sum() == 0:
            return cls(0.0, float(freedom.min()))
        own = biased * (freedom + 1) / freedom
        variance = float(np.var(resamples.mean(axis=1), ddof=1) * own.sum() / biased.sum())
        return cls(variance, float(satterthwaite(*zip(own, freedom, strict=True))))


def estimate(values: Floats, test: Variance, without_fold: Floats | None = None, least_p: float = 0.0) -> Estimate:
    """The interval of a mean over seeds, with the variance of the test set added.

    The standard error is the root of the variance over trainings (for one generator var(seeds) / S) plus that of the
    test set. Its degrees of freedom follow Welch & Satterthwaite. Without test variance this is the t interval over
    seeds, for differences the paired t interval. With folds, the interval of `over_folds` is used if it is wider.

    Args:
        values: [S] of each seed, at least two; or [R, S] of R generators.
        test: variance of the mean over test groups.
        without_fold: [F] the mean without each of the folds; None without folds.
        least_p: p-value of an exact test. The standard error is enlarged until the p-value of the t test is not
            smaller, so that interval and exact test agree.

    >>> estimate(np.array([1.0, 2.0, 3.0]), Variance(0.0, 9)).mean
    2.0
    """
    training = Variance.over_trainings(values)
    mean, error = float(np.mean(values)), float(np.sqrt(training.variance + test.variance))
    freedom = training.freedom
    if error > 0:
        freedom = float(satterthwaite((training.variance, training.freedom), (test.variance, test.freedom)))
    per_seed = [float(v) for v in values.reshape(-1, values.shape[-1]).mean(axis=0)]
    found = _t_interval(mean, error, freedom, per_seed, least_p)
    if without_fold is None:
        return found
    folds = over_folds(mean, without_fold, per_seed, least_p)
    return folds if folds.high - folds.low > found.high - found.low else found


def over_folds(mean: float, without_fold: Floats, per_seed: list[float], least_p: float = 0.0) -> Estimate:
    """The t interval over the pseudo-values F·mean − (F − 1)·(mean without a fold), their variance times 1/F + 1/(F−1).

    1/(F − 1) is the ratio of test to training images in Nadeau & Bengio's corrected variance. `per_seed` is only
    returned in the estimate.
    """
    count = len(without_fold)
    pseudo = count * mean - (count - 1) * without_fold
    error = float(np.sqrt(np.var(pseudo, ddof=1) * (1 / count + 1 / (count - 1))))
    return _t_interval(mean, error, count - 1.0, per_seed, least_p)


def _t_interval(mean: float, error: float, freedom: float, per_seed: list[float], least_p: float) -> Estimate:
    if least_p > 0 and mean != 0:  # an exact p-value of 1 has no finite standard error
        error = max(error, abs(mean) / float(stats.t.isf(min(least_p, 0.99) / 2, freedom)))
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
    predictions: npt.ArrayLike,
    groups: npt.NDArray[np.int64],
    num_classes: int,
    times: Floats,
    without_fold: Floats | None = None,
) -> F1Table:
    """F1 of each seed's predictions, and the mean over seeds in each bootstrap resample.

    Args:
        truth: [N].
        predictions: [S, N] of each seed, or [R, S, N] of R generators.
        groups: [N], from 0 to G-1.
        num_classes: K.
        times: [B, G] from `resample_groups`; the same for every arm, so that differences are paired.
        without_fold: [F, G] 0 for the groups of the fold, 1 for the others.
    """
    predicted = np.asarray(predictions, np.int64)
    tables = [group_counts(truth, row, groups, num_classes) for row in predicted.reshape(-1, len(truth))]
    everything = np.ones((1, times.shape[1]))
    seeds = np.concatenate([f1_of_resamples(table, everything) for table in tables])
    seeds = seeds.reshape(*predicted.shape[:-1], num_classes)

    def resampled(times: Floats) -> Floats:
        rows: Floats = np.mean([f1_of_resamples(table, times) for table in tables], axis=0)
        return rows

    resamples = np.concatenate([resampled(times[start : start + _CHUNK]) for start in range(0, len(times), _CHUNK)])
    return F1Table(seeds, resamples, None if without_fold is None else resampled(without_fold), np.stack(tables))


def mean_f1(table: F1Table, classes: Sequence[int], test_groups: npt.NDArray[np.int64]) -> Estimate:
    """The mean F1 of some classes; `test_groups` [K] hold each class."""
    return _mean_of_classes(table, list(classes), test_groups)


def contrast(arm: F1Table, control: F1Table, classes: Sequence[int], test_groups: npt.NDArray[np.int64]) -> Estimate:
    """The difference in mean F1 of some classes, arm minus control, paired over seeds, resamples and folds.

    Each generator of an arm is compared with the same seeds of a control, which has no generator. The p-value is not
    below that of the exact test over groups, and never 0.
    """
    chosen = list(classes)
    folds = None
    if arm.without_fold is not None and control.without_fold is not None:
        folds = arm.without_fold - control.without_fold
    if arm.counts is None or control.counts is None:
        least_p = least_p_value(int(test_groups[chosen].max()))
    else:
        least_p = swap_p_value(arm.counts, control.counts, chosen)
    difference = F1Table(arm.seeds - control.seeds, arm.resamples - control.resamples, folds)
    found = _mean_of_classes(difference, chosen, test_groups, least_p)
    return replace(found, low=max(found.low, -1.0), high=min(found.high, 1.0))


def _mean_of_classes(
    table: F1Table, chosen: list[int], test_groups: npt.NDArray[np.int64], least_p: float = 0.0
) -> Estimate:
    return estimate(
        table.seeds[..., chosen].mean(axis=-1),
        Variance.over_groups(table.resamples[:, chosen], test_groups[chosen]),
        None if table.without_fold is None else table.without_fold[:, chosen].mean(axis=1),
        least_p,
    )
