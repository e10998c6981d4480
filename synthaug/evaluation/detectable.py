"""The smallest effect that the verdict's rule finds in 80% of cases, by simulating the rule.

The power of one contrast is not that of the rule: an arm must beat every control, and its p-value is corrected for all
comparisons. So the evaluation is repeated in thought, with the errors that were observed, together for all controls:
the scores of new seeds have the covariance of the seeds, new test images are a bootstrap resample, and the estimated
variances scatter as those of so few seeds and groups do. The controls keep their F1, and the arm's true F1 is X above
that of the best. Each repetition gives *helps* from some X on, and the answer is the 80% quantile of these.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

from synthaug.evaluation.group_swaps import attainable
from synthaug.evaluation.scores import Floats
from synthaug.evaluation.statistics import F1Table, Variance, over_folds, satterthwaite
from synthaug.seeds import DETECTABLE, stream

POWER = 0.8
REPETITIONS = 1000
_TINY = 1e-12


def smallest_detectable(
    arm: F1Table, controls: Sequence[F1Table], classes: Sequence[int], test_groups: npt.NDArray[np.int64], level: float
) -> float | None:
    """The gain in mean F1 of some classes over the best control from which on the rule finds 80%.

    Args:
        arm: F1 of the arm.
        controls: F1 of those that it must beat.
        classes: indices of classes.
        test_groups: [K] test groups that hold each class.
        level: of each contrast's two-sided test: 5% by the number of comparisons.

    Returns:
        None if no gain is found so often, as with very few groups of test images.
    """
    chosen = list(classes)
    level = attainable(level, arm.groups_of(chosen, test_groups))
    if level == 0:
        return None
    rng = stream(0, DETECTABLE)
    normals = [rng.normal(size=(REPETITIONS, count)) for count in arm.seeds.shape[:-1]]
    rows, scatter = rng.integers(len(arm.resamples), size=REPETITIONS), rng.random((3, REPETITIONS))
    best = max(float(control.seeds[..., chosen].mean()) for control in controls)
    needed = np.full(REPETITIONS, -np.inf)
    for control in controls:
        values = (arm.seeds - control.seeds)[..., chosen].mean(axis=-1)
        resamples = (arm.resamples - control.resamples)[:, chosen]
        training, test = Variance.over_trainings(values), Variance.over_groups(resamples, test_groups[chosen])
        noise = _of_trainings(values, normals) * np.sqrt(training.variance)
        noise += _standardised(resamples.mean(axis=1))[rows] * np.sqrt(test.variance)
        parts = [v.variance * _scatter(u, v.freedom) for v, u in ((training, scatter[0]), (test, scatter[1]))]
        freedom = satterthwaite((parts[0], training.freedom), (parts[1], test.freedom))
        half = stats.t.isf(level / 2, freedom) * np.sqrt(parts[0] + parts[1])
        if arm.without_fold is not None and control.without_fold is not None:
            without = (arm.without_fold - control.without_fold)[:, chosen].mean(axis=1)
            folds = over_folds(float(values.mean()), without, [])
            noise *= max(1.0, folds.standard_error / np.sqrt(training.variance + test.variance + _TINY))
            error = folds.standard_error * np.sqrt(_scatter(scatter[2], folds.freedom))
            half = np.maximum(half, stats.t.isf(level / 2, folds.freedom) * error)
        behind = best - float(control.seeds[..., chosen].mean())
        needed = np.maximum(needed, half - noise - behind)
    found = max(float(np.quantile(needed, POWER)), 0.0)
    return found if found <= 1 else None


def _of_trainings(values: Floats, normals: Sequence[Floats]) -> Floats:
    """Errors of the mean over seeds and generators, standardised; the same normals for all controls."""
    error: Floats = np.zeros(REPETITIONS)
    variance = _TINY**2
    for axis, drawn in enumerate(normals):
        means = np.moveaxis(values, axis, 0).reshape(values.shape[axis], -1).mean(axis=1)
        error += drawn @ (means - means.mean()) / np.sqrt(len(means) * (len(means) - 1))
        variance += float(np.var(means, ddof=1)) / len(means)
    standardised: Floats = error / np.sqrt(variance)
    return standardised


def _scatter(quantiles: Floats, freedom: float) -> Floats:
    """Estimated by true variance: χ²/freedom."""
    return np.asarray(stats.chi2.ppf(quantiles, freedom) / freedom, np.float64)


def _standardised(values: Floats) -> Floats:
    return (values - float(values.mean())) / max(float(values.std(ddof=1)), _TINY)
