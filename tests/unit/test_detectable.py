"""The smallest gain that the rule finds in 80% of cases: against formulas where there are any, and against the rule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import optimize, stats
from studies.planted_predictions import Case, repetition

from synthaug.evaluation.detectable import smallest_detectable
from synthaug.evaluation.statistics import F1Table

MANY = np.array([10_000])


def table(mean: float, *, seeds: Sequence[float] = (0.0,) * 5, error: float = 0.0, number: int = 0) -> F1Table:
    """One class; `error` is the standard error that the test set gives."""
    noise = stats.zscore(np.random.default_rng(number).normal(size=(5000, 1)))
    return F1Table(mean + np.array(seeds)[:, None], mean + error * noise)


def test_of_one_control_and_many_images_it_is_2_8_standard_errors() -> None:
    found = smallest_detectable(table(0.5), [table(0.5, error=0.04)], [0], MANY, 0.05)
    assert found == pytest.approx((stats.norm.isf(0.025) + stats.norm.isf(0.2)) * 0.04, rel=0.05)


def test_without_test_variance_it_is_the_power_of_the_paired_t_test() -> None:
    seeds = (0.03, -0.02, 0.0, 0.01, -0.02)
    found = smallest_detectable(table(0.5, seeds=seeds), [table(0.5)], [0], MANY, 0.05)
    critical = stats.t.isf(0.025, 4)
    expected = optimize.brentq(lambda x: stats.nct.sf(critical, 4, x / stats.sem(seeds)) - 0.8, 0, 1)
    assert found == pytest.approx(expected, rel=0.05)


def test_every_control_must_be_beaten() -> None:
    """Four controls with independent errors: each must be found in 0.8^(1/4) of cases. One far behind adds nothing."""
    alike = [table(0.5, error=0.04, number=k) for k in range(4)]
    found = smallest_detectable(table(0.5), alike, [0], MANY, 0.05)
    assert found == pytest.approx((stats.norm.isf(0.025) + stats.norm.isf(1 - 0.8**0.25)) * 0.04, rel=0.07)
    alone = smallest_detectable(table(0.5), alike[:1], [0], MANY, 0.05)
    assert smallest_detectable(table(0.5), [alike[0], table(0.1, error=0.04, number=9)], [0], MANY, 0.05) == alone


def test_correction_and_few_groups_raise_it() -> None:
    tables = table(0.5), [table(0.5, error=0.04)]
    many = [smallest_detectable(*tables, [0], MANY, 0.05 / n) or 0.0 for n in (1, 2, 6)]
    assert many == sorted(set(many))
    assert many[2] == pytest.approx((stats.norm.isf(0.025 / 6) + stats.norm.isf(0.2)) * 0.04, rel=0.05)
    few = [smallest_detectable(*tables, [0], np.array([groups]), 0.05) for groups in (5, 6, 8, 40)]
    assert few[0] is None  # the exact test over five groups has p ≥ 0.0625
    assert None not in few[1:]
    assert few[1:] == sorted(few[1:], reverse=True)
    assert smallest_detectable(*tables, [0], np.array([6]), 0.05 / 2) is None
    impossible = smallest_detectable(table(0.5), [table(0.5, error=0.5)], [0], MANY, 0.05)
    assert impossible is None  # F1 cannot gain more than 1


@pytest.mark.parametrize(
    "case",
    [
        Case("one target, controls behind", 40, gain=1.3, gaining=("synthetic+classical",)),
        Case("four equal controls", 40, gain=1.65, gaining=("synthetic+classical",), behind=0),
        Case("three targets", 40, gain=1.6, gaining=("synthetic+classical",), targets=3),
    ],
    ids=lambda case: case.about,
)
def test_an_effect_of_this_size_is_found_in_80_percent(case: Case) -> None:
    """The planted gain is about what is said to be detectable; the interval of 40 repetitions must hold 80%."""
    said, gains, found = [], [], 0
    for number in range(40):
        tables, verdict = repetition(case, number)
        said.append(verdict.details["0"].smallest_detectable)
        gains.append(float((tables["synthetic+classical"].seeds - tables["classical"].seeds)[:, 0].mean()))
        found += verdict.per_target["0"] == "helps"
    assert np.mean(gains) == pytest.approx(np.mean(said), rel=0.15)
    assert 0.66 < found / 40 < 0.93
