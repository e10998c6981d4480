"""What to do next follows from the verdict; its commands are ones that the command line takes."""

from __future__ import annotations

import shlex

import pytest
from report_material import evaluation, with_everything

from synthaug.documents import EvaluateDocument, Verdict
from synthaug.evaluation.next_step import next_step

CLASSES, TARGETS = ["a", "b", "c"], ["a"]


def judged(verdict: Verdict, **changes: object) -> EvaluateDocument:
    document = with_everything(evaluation(CLASSES, TARGETS, verdict=verdict, effect=0.0))
    document.learning_curve = None
    return document.model_copy(update=changes)


def test_images_that_help_are_exported() -> None:
    step = next_step(judged("helps"), "runs of mine/00001-x")
    assert shlex.split(step.command) == ["synthaug", "export", "runs of mine/00001-x", "--recommended", "--out", "DIR"]


def test_images_of_another_tool_that_help_are_used_as_they_are() -> None:
    step = next_step(judged("helps", generator_quality=None, synthetic="their images"), None)
    assert "--recommended" not in step.command
    assert "--synthetic 'their images'" in step.command


@pytest.mark.parametrize("verdict", ["no measurable effect", "hurts"])
def test_without_help_the_free_gain_of_the_best_control_is_said(verdict: Verdict) -> None:
    document = judged(verdict)
    document.verdict.best_control = "classical"
    before, after = (sum(document.arms[arm].f1_per_seed["a"]) / document.seeds for arm in ("real", "classical"))
    assert after - before > 0.1
    step = next_step(document, "1")
    assert "train as 'classical' does (repeated real images" in step.sentence
    assert f"from {before:.2f} to {after:.2f}, for free" in step.sentence
    assert step.command == "synthaug evaluate 1 --size native --learning-curve"


def test_nothing_is_promised_of_a_control_that_gains_nothing() -> None:
    document = judged("no measurable effect")
    document.verdict.best_control = "real"
    assert next_step(document, "1").sentence.startswith("Leave the synthetic images out. Then")
    document.verdict.best_control = "classical"
    document.arms["classical"].f1_per_seed = document.arms["real"].f1_per_seed
    assert next_step(document, "1").sentence.startswith("Leave the synthetic images out. Then")


def test_what_was_left_out_is_made_up_for() -> None:
    document = judged("no measurable effect", seeds=3)
    assert next_step(document, "1").command == "synthaug evaluate 1 --size native --seeds 5"
    document.verdict.missing_controls = ["mixup"]
    assert "'mixup'" in next_step(document, "1").sentence
    assert next_step(document, "1").command == "synthaug evaluate 1 --size native"
    asked = judged("hurts", classifier="logistic", folds=4, seeds=3)
    assert next_step(asked, "1").command.endswith("evaluate 1 --classifier logistic --size native --folds 4 --seeds 5")
    curved = with_everything(evaluation(CLASSES, TARGETS, verdict="hurts"))
    assert next_step(curved, "1").command == "synthaug evaluate 1 --size native --seeds 10"


def test_the_same_generators_mix_and_classes_are_judged_again() -> None:
    asked = judged("no measurable effect", seeds=3, mix="all", generators=["g0", "g1", "g2"])
    assert "--mix all --generators 3" in next_step(asked, "1").command
    other = judged("no measurable effect", seeds=3, generator_quality=None, synthetic="theirs", data="real")
    assert "--data real --target-class a --synthetic theirs" in next_step(other, None).command
