"""What is recommended for export: val chooses, zero is among the choices, test has a veto."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from report_material import evaluation

from synthaug.documents import (
    ClassQuality,
    Collapse,
    Contrast,
    Memorisation,
    Recommendation,
    TargetVerdict,
    Verdict,
    VerdictDocument,
)
from synthaug.errors import SynthaugError
from synthaug.evaluation.grid import Outcome, Trial
from synthaug.evaluation.recommend import images_for_share, recommend
from synthaug.files import write_json
from synthaug.pipelines.recommended import recommended_totals
from synthaug.progress import Silent
from synthaug.runs import Run

VAL = np.repeat([0, 1], 20)


def verdict(said: Verdict) -> VerdictDocument:
    contrasts = {"synthetic-oversample": Contrast(mean=0.01, low=-0.1, high=0.1)}
    details = TargetVerdict(
        verdict=said, contrasts=contrasts, best_control="oversample", smallest_detectable=0.1, reason=""
    )
    return VerdictDocument(
        overall=said, sentence="", per_target={"rare": said}, details={"rare": details}, contrasts=contrasts,
        best_control="oversample", smallest_detectable=0.1,
    )  # fmt: skip


def outcome(right: int) -> Outcome:
    """`right` of the 20 rare validation images are recognised."""
    predicted = VAL.copy()
    predicted[20 : 40 - right] = 0
    rows = np.eye(2, dtype=np.float32)[predicted]
    return Outcome(rows, rows)


def advised(
    said: Verdict,
    right: dict[tuple[str, float], list[int]],
    chosen_on: str = "val",
    quality: dict[str, ClassQuality] | None = None,
) -> Recommendation:
    outcomes = {Trial(arm, share, s): outcome(n) for (arm, share), hits in right.items() for s, n in enumerate(hits)}
    shares = sorted({share for _, share in right if share})
    return recommend(
        verdict(said), {"rare": 1}, {"common": 100, "rare": 30}, [(VAL, outcomes)],
        shares=shares, seeds=3, chosen_on=chosen_on, quality=quality,  # type: ignore[arg-type]
    )["rare"]  # fmt: skip


CONTROL = {("oversample", 0.0): [10, 11, 9]}


def test_val_chooses_the_best_share() -> None:
    found = advised(
        "no measurable effect", CONTROL | {("synthetic", 0.1): [12, 12, 11], ("synthetic", 0.25): [16, 17, 15]}
    )
    assert (found.real, found.synthetic, found.share, found.chosen_on) == (30, 10, 0.25, "val")
    assert "25%: +0." in found.reason


def test_val_chooses_the_arm_and_not_the_gain_on_the_test_images() -> None:
    judged = verdict("helps")
    judged.details["rare"].contrasts["synthetic+classical-classical"] = Contrast(mean=0.2, low=0.1, high=0.3)
    right = CONTROL | {
        ("classical", 0.0): [10, 11, 9], ("synthetic", 0.25): [16, 17, 15], ("synthetic+classical", 0.25): [12, 13, 12],
    }  # fmt: skip
    outcomes = {Trial(arm, share, s): outcome(n) for (arm, share), hits in right.items() for s, n in enumerate(hits)}
    found = recommend(
        judged, {"rare": 1}, {"common": 100, "rare": 30}, [(VAL, outcomes)], shares=[0.25], seeds=3, chosen_on="val"
    )["rare"]
    assert (found.arm, found.share, found.chosen_on) == ("synthetic", 0.25, "val")


def test_without_val_the_arm_that_helps_is_advised() -> None:
    judged = verdict("helps")
    judged.details["rare"].helping = "synthetic-oversample"
    judged.details["rare"].contrasts["synthetic+classical-classical"] = Contrast(mean=0.2, low=-0.1, high=0.5)
    found = recommend(
        judged, {"rare": 1}, {"common": 100, "rare": 30}, [], shares=[0.25], seeds=3, chosen_on="default"
    )["rare"]
    assert (found.arm, found.synthetic) == ("synthetic", 10)


@pytest.mark.parametrize(
    ("collapse", "memorisation", "words"),
    [
        ("collapsed", "clear", "they have collapsed"),
        ("healthy", "suspect", "some may be copies of training images"),
        ("collapsed", "copying", "they have collapsed and some may be copies of training images"),
        ("thinning", "clear", ""),
    ],
)
def test_doubtful_images_are_recommended_with_the_doubt(
    collapse: Collapse, memorisation: Memorisation, words: str
) -> None:
    images = evaluation(["common", "rare"], ["rare"]).quality.per_class["rare"]
    quality = {"rare": images.model_copy(update={"collapse": collapse, "memorisation": memorisation})}
    found = advised("helps", CONTROL | {("synthetic", 0.25): [16, 17, 15]}, quality=quality)
    assert found.synthetic == 10
    assert found.reason.endswith(f"; but look at the images first: {words}") == bool(words)
    none = advised("hurts", CONTROL | {("synthetic", 0.25): [16, 17, 15]}, quality=quality)
    assert "look at" not in none.reason


def test_zero_is_among_the_choices() -> None:
    found = advised("no measurable effect", CONTROL | {("synthetic", 0.1): [10, 12, 8], ("synthetic", 0.25): [5, 6, 5]})
    assert (found.synthetic, found.share) == (0, 0.0)
    assert "no share beats oversample" in found.reason


def test_what_hurts_is_not_recommended_whatever_val_says() -> None:
    found = advised("hurts", CONTROL | {("synthetic", 0.1): [18, 18, 19]})
    assert (found.synthetic, found.chosen_on) == (0, "test")


@pytest.mark.parametrize(("said", "common"), [("helps", 100), ("no measurable effect", 0)])
def test_where_all_classes_got_images_the_others_get_the_share_of_the_targets(said: Verdict, common: int) -> None:
    found = recommend(
        verdict(said), {"rare": 1}, {"common": 100, "rare": 30}, [], shares=[0.5], seeds=3, chosen_on="user",
        mixed=["common", "rare"],
    )  # fmt: skip
    assert found["common"].synthetic == common
    assert found["common"].reason.startswith("same share as 'rare': ")


@pytest.mark.parametrize(("chosen_on", "words"), [("default", "the default of 50%"), ("user", "the given 50%")])
def test_without_val_the_verdict_decides_and_the_reason_says_that_nothing_has_chosen(
    chosen_on: str, words: str
) -> None:
    found = advised("helps", CONTROL | {("synthetic", 0.5): [0, 0, 0]}, chosen_on)
    assert (found.synthetic, found.share, found.chosen_on) == (30, 0.5, chosen_on)
    assert words in found.reason
    assert "not chosen on data" in found.reason
    found = advised("no measurable effect", CONTROL | {("synthetic", 0.5): [0, 0, 0]}, chosen_on)
    assert (found.synthetic, found.share, found.chosen_on) == (0, 0.0, "test")
    assert found.reason == f"{words} was tried and made no measurable difference"


@pytest.mark.parametrize(("real", "share", "synthetic"), [(30, 0.25, 10), (1, 0.5, 1), (7, 0.1, 1), (3, 0.1, 0)])
def test_a_share_in_images(real: int, share: float, synthetic: int) -> None:
    assert images_for_share(real, share) == synthetic


def test_an_export_reads_the_evaluation_of_its_run(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    counts = {"a": 50, "b": 8}
    with pytest.raises(SynthaugError, match="has no evaluation") as caught:
        recommended_totals(run, counts, Silent())
    assert "synthaug evaluate" in caught.value.hint
    file = run.path / "evaluation" / "report.json"
    document = evaluation(["a", "b"], ["b"])
    write_json(file, document.model_dump(mode="json"))
    with pytest.raises(SynthaugError, match="holds no recommendation"):
        recommended_totals(run, counts, Silent())
    advice = Recommendation(real=8, synthetic=5, share=5 / 13, arm="synthetic", chosen_on="val", reason="best on val")
    write_json(file, document.model_copy(update={"recommended": {"b": advice}}).model_dump(mode="json"))
    assert recommended_totals(run, counts, Silent()) == {"a": 50, "b": 13}
    foreign = {"recommended": {"b": advice}, "generator_quality": None, "synthetic": "/somewhere"}
    write_json(file, document.model_copy(update=foreign).model_dump(mode="json"))
    with pytest.raises(SynthaugError, match="'/somewhere', not this run's generator"):
        recommended_totals(run, counts, Silent())
    file.write_text("{", encoding="utf-8")
    with pytest.raises(SynthaugError, match="cannot be read"):
        recommended_totals(run, counts, Silent())
