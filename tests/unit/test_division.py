"""How `run` divides a budget: training, gate, classifiers and export fit into it, and what is reduced is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from synthaug.documents import FitPlan
from synthaug.pipelines import division
from synthaug.pipelines.division import EXPORT, Division, divide
from synthaug.requests import RunRequest

PLAN = FitPlan.model_construct(
    images=1000, split={"train": {"a": 90, "b": 12}, "val": {"a": 10, "b": 0}}, targets=["b"], channels=1,
    estimated_seconds=100.0, origins={"gate.steps": "default"},
    config={"gate.steps": 600, "gate.agreement": True, "data.resolution": 16},
)  # fmt: skip


@pytest.fixture
def divided(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`divide` on a machine where a step of a classifier takes 10 ms: an evaluation of 60 · 600 steps takes 6 min."""
    monkeypatch.setattr(division, "_seconds_per_step", lambda *_: 0.01)
    monkeypatch.setattr(division, "_seconds_per_picture", lambda *_: 0.01)

    def divided(seconds: float | None, plan: FitPlan = PLAN, **given: Any) -> Division:
        return divide(RunRequest(data=Path(), budget=f"{seconds or 1}s", **given), plan, seconds)

    return divided


@pytest.mark.parametrize("seconds", [120.0, 300.0, 600.0, 850.0, 1e4])
def test_everything_fits_into_the_budget(divided: Any, seconds: float) -> None:
    found = divided(seconds)
    assert found.training >= seconds / 2
    assert found.training + found.evaluation + EXPORT == pytest.approx(seconds)
    assert bool(found.warnings) == (seconds < 850)


def test_steps_are_reduced_before_seeds_and_it_is_said(divided: Any) -> None:
    enough, less, little = (divided(seconds).size for seconds in (1e4, 600.0, 120.0))
    assert (enough.seeds, enough.steps, enough.gate_steps) == (5, 600, 600)
    assert less.seeds == 5
    assert less.steps == less.gate_steps < 600
    assert little.seeds == 3
    (said,) = divided(120.0).warnings
    assert said.startswith("120.0s is too short for 5 seeds of 600 steps and a gate of 600, which take about 6 min")
    assert f"reduced to {little.text()}" in said
    minutes = int(said.rpartition("--budget ")[2].partition("min")[0])
    assert not divided(60.0 * minutes).warnings
    assert divided(60.0 * (minutes - 1)).warnings


def test_too_short_a_budget_is_said_with_the_time_that_all_takes(divided: Any) -> None:
    found = divided(20.0)
    assert (found.training, found.size.seeds, found.size.steps) == (10.0, 3, 50)
    assert found.warnings[-1].startswith("the evaluation does not fit into 20.0s even so: everything takes about 1 min")


def test_what_the_user_gave_stays(divided: Any) -> None:
    assert divided(120.0, seeds=5, steps=600).size.text() == "5 seeds of 600 steps and a gate of 50"
    fixed = PLAN.model_copy(update={"origins": {"gate.steps": "--set"}})
    assert divided(120.0, fixed).size.gate_steps == 600


def test_without_a_time_nothing_is_reduced(divided: Any) -> None:
    found = divided(None)
    assert (found.training, found.warnings) == (100.0, [])
    assert found.size.text() == "5 seeds of 600 steps and a gate of 600"
    assert found.evaluation == pytest.approx(60 * 6.0 + 18 + 20)


def test_half_is_for_the_training_where_the_classifiers_time_is_not_known(divided: Any) -> None:
    found = divided(120.0, classifier="logistic")
    assert (found.training, found.evaluation) == (60.0, None)
    assert "how long logistic classifiers take is not known before" in found.warnings[-1]


def test_the_speeds_are_measured() -> None:
    assert division._seconds_per_step("cnn", "cpu", PLAN) > 0
    assert division._seconds_per_picture("cpu", PLAN) > 0
