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

from synthaug.evaluation.held_out import HeldOut
from synthaug.evaluation.scores import f1_of_resamples, group_counts, score
from synthaug.evaluation.statistics import contrast, estimate, f1_table, over_folds, resample_groups
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
    ours = estimate(a - b, 0.0, 100)
    reference = stats.ttest_rel(a, b)
    interval = reference.confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((interval.low, interval.high))
    assert ours.p_value == pytest.approx(reference.pvalue)
    assert ours.standard_error == pytest.approx(stats.sem(a - b))
    assert ours.smallest_detectable == pytest.approx((stats.t.ppf(0.975, 4) + stats.t.ppf(0.8, 4)) * stats.sem(a - b))


def test_with_many_degrees_of_freedom_the_smallest_detectable_is_2_8_standard_errors() -> None:
    ours = estimate(np.full(5, 0.1), 0.04**2, 10_000)
    assert ours.smallest_detectable == pytest.approx(2.8 * 0.04, rel=2e-3)


def test_without_seed_variance_it_is_the_t_interval_over_groups() -> None:
    ours = estimate(np.full(5, 0.1), 0.04**2, 21)
    low, high = stats.t.interval(0.95, 20, loc=0.1, scale=0.04)
    assert (ours.low, ours.high) == pytest.approx((low, high))


def test_freedom_lies_between_those_of_its_parts() -> None:
    """Welch & Satterthwaite by hand: v1 = v2 = 0.01, 4 and 30 degrees of freedom."""
    values = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    values *= np.sqrt(0.05 / np.var(values, ddof=1))
    ours = estimate(values + 1, 0.01, 31)
    freedom = 0.02**2 / (0.01**2 / 4 + 0.01**2 / 30)
    assert 4 < freedom < 34
    half = stats.t.ppf(0.975, freedom) * np.sqrt(0.02)
    assert ours.high - ours.mean == pytest.approx(half)


def test_no_variance_at_all() -> None:
    assert estimate(np.zeros(3), 0.0, 5).p_value == 1
    assert estimate(np.ones(3), 0.0, 5).p_value == 0


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
    alone = estimate(seeds, 0.01, 50)
    assert estimate(seeds, 0.01, 50, np.full(5, 0.1)) == alone  # folds that agree by luck
    apart = estimate(seeds, 0.01, 50, np.array([0.3, -0.1, 0.1, 0.2, 0.0]))
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
    ours = contrast(arm, control, [1], 200)
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
