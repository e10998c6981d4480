"""Intervals against scipy, scores against scikit-learn and imbalanced-learn, Holm against a hand-worked table."""

from __future__ import annotations

import numpy as np
import pytest
from imblearn.metrics import geometric_mean_score
from scipy import stats
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    precision_score,
    recall_score,
)

from synthaug.evaluation.group_swaps import holding, least_p_value, swap_p_value
from synthaug.evaluation.held_out import HeldOut
from synthaug.evaluation.scores import f1_of_resamples, group_counts, score
from synthaug.evaluation.statistics import (
    F1Table,
    Variance,
    contrast,
    estimate,
    f1_table,
    over_folds,
    resample_groups,
)
from synthaug.metrics.holm import holm

K = 4


def predictions(n: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, K, n)
    logits = rng.normal(size=(n, K)) + 1.2 * np.eye(K)[truth]
    return truth, (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)


def test_without_test_variance_it_is_the_paired_t_interval() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(0.6, 0.05, 5), rng.normal(0.55, 0.05, 5)
    ours = estimate(a - b, Variance(0.0, 99))
    reference = stats.ttest_rel(a, b)
    interval = reference.confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((interval.low, interval.high))
    assert ours.p_value == pytest.approx(reference.pvalue)
    assert ours.standard_error == pytest.approx(stats.sem(a - b))


def test_without_seed_variance_it_is_the_t_interval_over_groups() -> None:
    ours = estimate(np.full(5, 0.1), Variance(0.04**2, 20))
    low, high = stats.t.interval(0.95, 20, loc=0.1, scale=0.04)
    assert (ours.low, ours.high) == pytest.approx((low, high))


def test_freedom_lies_between_those_of_its_parts() -> None:
    """Welch & Satterthwaite by hand: v1 = v2 = 0.01, 4 and 30 degrees of freedom."""
    values = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    values *= np.sqrt(0.05 / np.var(values, ddof=1))
    ours = estimate(values + 1, Variance(0.01, 30))
    freedom = 0.02**2 / (0.01**2 / 4 + 0.01**2 / 30)
    assert 4 < freedom < 34
    half = stats.t.ppf(0.975, freedom) * np.sqrt(0.02)
    assert ours.high - ours.mean == pytest.approx(half)


def test_no_variance_at_all() -> None:
    assert estimate(np.zeros(3), Variance(0.0, 4)).p_value == 1
    assert estimate(np.ones(3), Variance(0.0, 4)).p_value == 0
    assert estimate(np.ones(3), Variance(0.0, 4), least_p=0.125).p_value == pytest.approx(0.125)


def test_folds_give_the_corrected_interval_of_nadeau_and_bengio() -> None:
    """Where the score is a mean, the pseudo-values are the means of the folds: 1/5 + 1/4 of their variance."""
    folds = np.array([0.1, 0.3, -0.1, 0.2, 0.0])
    without = np.array([np.delete(folds, k).mean() for k in range(5)])
    ours = over_folds(folds.mean(), without, [])
    assert ours.standard_error == pytest.approx(np.sqrt((1 / 5 + 1 / 4) * folds.var(ddof=1)))
    low, high = stats.t.interval(0.95, 4, loc=0.1, scale=ours.standard_error)
    assert (ours.low, ours.high) == pytest.approx((low, high))


def test_folds_only_ever_widen_an_interval() -> None:
    seeds = np.array([0.0, 0.1, 0.2])
    test = Variance(0.01, 49)
    alone = estimate(seeds, test)
    assert estimate(seeds, test, np.full(5, 0.1)) == alone  # folds that agree by luck
    apart = estimate(seeds, test, np.array([0.3, -0.1, 0.1, 0.2, 0.0]))
    assert apart.low < alone.low
    assert apart.high > alone.high
    assert apart.p_value > alone.p_value


def test_f1_without_a_fold_is_that_of_the_other_images() -> None:
    truth, probabilities = predictions(90)
    predicted = probabilities.argmax(axis=1)
    folds = np.arange(90) % 3
    held_out = HeldOut(truth, np.arange(90), folds, [str(k) for k in range(K)])
    table = held_out.table([probabilities, probabilities])
    assert table.without_fold is not None
    for fold in range(3):
        expected = f1_score(truth[folds != fold], predicted[folds != fold], average=None)
        assert table.without_fold[fold] == pytest.approx(expected)
    assert HeldOut(truth, np.arange(90), np.zeros(90, int), ["a"] * K).table([probabilities] * 2).without_fold is None


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_holm_keeps_its_promise() -> None:
    """When nothing is true, at least one of ten wrong findings comes in 5% of cases, not in 40%."""
    rng = np.random.default_rng(0)
    wrong = np.mean([min(holm(rng.random(10).tolist())) < 0.05 for _ in range(4000)])
    assert 0.035 < wrong < 0.065


def test_scores_equal_scikit_learn() -> None:
    truth, probabilities = predictions()
    predicted = probabilities.argmax(axis=1)
    ours = score(truth, probabilities)
    assert ours.precision == pytest.approx(precision_score(truth, predicted, average=None))
    assert ours.recall == pytest.approx(recall_score(truth, predicted, average=None))
    assert ours.f1 == pytest.approx(f1_score(truth, predicted, average=None))
    assert ours.macro_f1 == pytest.approx(f1_score(truth, predicted, average="macro"))
    assert ours.balanced_accuracy == pytest.approx(balanced_accuracy_score(truth, predicted))
    assert ours.geometric_mean == pytest.approx(geometric_mean_score(truth, predicted, average="multiclass"))
    for k in range(K):
        assert ours.average_precision[k] == pytest.approx(average_precision_score(truth == k, probabilities[:, k]))


def test_a_class_without_test_images_is_left_out() -> None:
    truth, probabilities = predictions()
    probabilities, truth = probabilities[truth != 2], truth[truth != 2]
    ours = score(truth, probabilities)
    assert np.isnan(ours.f1[2])
    assert ours.macro_f1 == pytest.approx(
        f1_score(truth, probabilities.argmax(axis=1), labels=[0, 1, 3], average="macro")
    )


def test_resampled_f1_equals_scikit_learn_on_repeated_images() -> None:
    truth, probabilities = predictions(60)
    predicted = probabilities.argmax(axis=1)
    groups = np.arange(60) // 3
    times = resample_groups(20, np.random.default_rng(0), 5)
    ours = f1_of_resamples(group_counts(truth, predicted, groups, K), times)
    for row, weight in zip(ours, times, strict=True):
        chosen = np.concatenate([np.repeat(np.flatnonzero(groups == g), int(n)) for g, n in enumerate(weight)])
        expected = f1_score(truth[chosen], predicted[chosen], labels=range(K), average=None, zero_division=0)
        assert row == pytest.approx(expected)


def test_bootstrap_variance_is_that_of_new_test_sets() -> None:
    """Draw many test sets: the variance of their F1 difference is what the bootstrap says of one of them."""
    rng = np.random.default_rng(0)

    def draw(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        truth = rng.integers(0, 2, n)
        good = np.where(rng.random(n) < 0.9, truth, 1 - truth)
        poor = np.where(rng.random(n) < 0.7, truth, 1 - truth)
        return truth, good, poor

    def difference(truth: np.ndarray, good: np.ndarray, poor: np.ndarray) -> float:
        return float(f1_score(truth, good) - f1_score(truth, poor))

    true_error = np.std([difference(*draw(200)) for _ in range(300)])
    truth, good, poor = draw(200)
    times = resample_groups(200, np.random.default_rng(1))
    arm, control = (f1_table(truth, [p, p], np.arange(200), 2, times) for p in (good, poor))
    ours = contrast(arm, control, [1], np.bincount(truth))
    assert ours.mean == pytest.approx(difference(truth, good, poor))
    assert ours.standard_error == pytest.approx(true_error, rel=0.3)


def test_groups_widen_the_interval() -> None:
    """Ten copies of every image are no new evidence."""
    truth, probabilities = predictions(50)
    predicted = probabilities.argmax(axis=1)
    repeated = [np.repeat(a, 10) for a in (truth, predicted)]
    together = np.repeat(np.arange(50), 10)
    alone = np.arange(500)
    errors = [
        f1_table(repeated[0], [repeated[1]] * 2, groups, K, resample_groups(g, np.random.default_rng(0)))
        .resamples.mean(axis=1).std()
        for groups, g in ((together, 50), (alone, 500))
    ]  # fmt: skip
    assert errors[0] > 2.5 * errors[1]


def means(rows: np.ndarray) -> F1Table:
    """A table whose F1 is the mean of `rows` [G, C] over groups, the same for five seeds."""
    times = resample_groups(len(rows), np.random.default_rng(0), 20_000)
    return F1Table(np.tile(rows.mean(axis=0), (5, 1)), times @ rows / len(rows))


def test_the_variance_of_a_mean_over_few_groups_is_that_of_the_t_interval() -> None:
    """The bootstrap has (G − 1)/G of it: with two groups half."""
    for count in (2, 3, 6):
        rows = np.random.default_rng(count).normal(size=(count, 1))
        found = Variance.over_groups(means(rows).resamples, np.array([count]))
        assert found.variance == pytest.approx(float(stats.sem(rows[:, 0]) ** 2), rel=0.03)
        assert found.freedom == pytest.approx(count - 1)


def test_the_freedom_of_a_mean_over_classes_is_that_of_welch() -> None:
    """A class of 4 groups and one of 80, against scipy's test for two samples of unequal variance."""
    rng = np.random.default_rng(0)
    rare, common = rng.normal(0, 1, 4), rng.normal(0, 1, 80)
    resamples = np.stack([(resample_groups(len(x), rng, 100_000) @ x) / len(x) for x in (rare, common)], axis=1)
    found = Variance.over_groups(resamples, np.array([4, 80]))
    reference = stats.ttest_ind(rare, -common, equal_var=False)
    assert found.freedom == pytest.approx(reference.df, rel=0.02)
    error = abs((rare.mean() + common.mean()) / reference.statistic)  # of the sum, not of the mean
    assert np.sqrt(found.variance) == pytest.approx(error / 2, rel=0.02)
    assert found.freedom < 10


def test_swapping_groups_is_scipys_sign_flip_test_where_the_score_is_a_mean() -> None:
    """With one image a group, predicted as its class or as a third one, F1 grows with the recall."""
    rng = np.random.default_rng(1)
    for _ in range(5):
        truth = np.zeros(9, int)
        arm, control = (np.where(rng.random(9) < p, 0, 2) for p in (0.9, 0.4))
        counts = [np.stack([group_counts(truth, p, np.arange(9), 3)]) for p in (arm, control)]

        def f1(predicted: np.ndarray) -> np.ndarray:
            hits = (predicted == 0).sum(axis=0)
            return 2 * hits / (hits + 9)

        reference = stats.permutation_test(
            (arm, control), lambda a, b, axis=-1: f1(np.moveaxis(a, axis, 0)) - f1(np.moveaxis(b, axis, 0)),
            permutation_type="samples", n_resamples=np.inf, vectorized=True,
        )  # fmt: skip
        assert swap_p_value(counts[0], counts[1], [0]) == pytest.approx(min(1.0, reference.pvalue))


@pytest.mark.parametrize(("groups", "p_value"), [(1, 1.0), (2, 0.5), (4, 0.125), (6, 0.03125), (12, 2.0**-11)])
def test_few_groups_that_all_gain_have_the_p_value_of_the_exact_test(groups: int, p_value: float) -> None:
    """Each group has ten images of either class; the arm is always right, the control never finds the second class."""
    truth, group = np.tile(np.repeat([0, 1], 10), groups), np.repeat(np.arange(groups), 20)
    times = resample_groups(groups, np.random.default_rng(0))
    arm, control = (f1_table(truth, [p] * 5, group, 2, times) for p in (truth, np.zeros_like(truth)))
    ours = contrast(arm, control, [1], np.full(2, groups))
    assert ours.mean == 1
    assert ours.p_value == pytest.approx(min(p_value, 0.99))
    assert (ours.low > 0) == (p_value < 0.05)


def test_no_p_value_is_0() -> None:
    truth = np.repeat([0, 1], 40)
    times = resample_groups(80, np.random.default_rng(0))
    arm, control = (f1_table(truth, [p] * 5, np.arange(80), 2, times) for p in (truth, np.zeros_like(truth)))
    ours = contrast(arm, control, [1], np.array([40, 40]))
    assert ours.p_value == pytest.approx(2.0**-39)
    assert least_p_value(10_000) > 0


def test_false_positives_of_other_groups_are_swapped_with_the_few() -> None:
    """Three groups hold the class; swapping all must give the opposite sign, so 1/4 is the smallest p-value."""
    truth = np.array([1, 1, 1, *[0] * 40])
    arm, control = truth.copy(), np.where(np.arange(43) % 3, 1, 0)
    counts = [np.stack([group_counts(truth, p, np.arange(43), 2)]) for p in (arm, control)]
    assert holding(counts[0], [1]).sum() == 3
    assert swap_p_value(counts[0], counts[1], [1]) == swap_p_value(counts[1], counts[0], [1]) == 0.25


def test_generators_and_seeds_are_crossed_random_effects() -> None:
    """The estimated variance of the mean is that of many repetitions, on average; over seeds alone it is too small."""
    rng = np.random.default_rng(0)
    means, both, seeds_alone = [], [], []
    for _ in range(4000):
        values = rng.normal(0, 0.5, (4, 1)) + rng.normal(0, 0.3, (1, 5)) + rng.normal(0, 0.4, (4, 5))
        means.append(values.mean())
        both.append(Variance.over_trainings(values).variance)
        seeds_alone.append(Variance.over_trainings(values.mean(axis=0)).variance)
    assert np.mean(both) == pytest.approx(np.var(means), rel=0.1)
    assert np.mean(seeds_alone) < 0.5 * np.var(means)


def test_the_interval_over_generators_covers_the_truth() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(1000):
        values = rng.normal(0, 0.5, (4, 1)) + rng.normal(0, 0.3, (1, 5)) + rng.normal(0, 0.4, (4, 5))
        found = estimate(values, Variance(0.0, 99))
        covered += found.low < 0 < found.high
    assert 0.935 < covered / 1000 < 0.99
