"""What is recommended for export: val chooses by the rule of the verdict, or nothing; test has a veto."""

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
from synthaug.evaluation.held_out import HeldOut
from synthaug.evaluation.recommend import Validation, images_for_share, recommend
from synthaug.files import write_json
from synthaug.pipelines.recommended import recommended_totals
from synthaug.progress import Silent
from synthaug.runs import Run

VAL = np.repeat([0, 1], 40)


def verdict(said: Verdict) -> VerdictDocument:
    contrasts = {"synthetic-oversample": Contrast(mean=0.01, low=-0.1, high=0.1)}
    details = TargetVerdict(
        verdict=said, contrasts=contrasts, best_control="oversample", smallest_detectable=0.1, reason=""
    )
    return VerdictDocument(
        overall=said, sentence="", per_target={"rare": said}, details={"rare": details}, contrasts=contrasts,
        best_control="oversample", smallest_detectable=0.1,
    )  # fmt: skip


Right = dict[tuple[str, float], list[int]]
"""(arm, share) → how many of the 40 rare validation images are recognised with each seed."""


def validation(right: Right) -> Validation:
    def probabilities(hits: int) -> np.ndarray:
        predicted = VAL.copy()
        predicted[40 : 80 - hits] = 0
        return np.eye(2, dtype=np.float32)[predicted]

    held_out = HeldOut(VAL, np.arange(80), np.zeros(80, np.int64), ["common", "rare"])
    tables = {key: held_out.table([probabilities(n) for n in hits]) for key, hits in right.items()}
    return Validation(tables, held_out.groups_of_classes())


def advised(
    said: Verdict,
    right: Right,
    chosen_on: str = "val",
    quality: dict[str, ClassQuality] | None = None,
) -> Recommendation:
    """The last share in `right` is the one that was judged on the test images."""
    return recommend(
        verdict(said), {"rare": 1}, {"common": 100, "rare": 30}, validation(right) if chosen_on == "val" else None,
        judged={"synthetic": list(right)[-1][1]}, chosen_on=chosen_on, quality=quality,  # type: ignore[arg-type]
    )["rare"]  # fmt: skip


CONTROL: Right = {("oversample", 0.0): [20, 21, 19]}


def test_images_of_the_target_classes_alone_recommend_nothing() -> None:
    """They may win by the traces of the network that made them."""
    found = advised(
        "no measurable effect",
        CONTROL | {("synthetic-targets+classical", 0.5): [39, 40, 40], ("synthetic", 0.5): [20, 21, 18]},
    )
    assert found.synthetic == 0


def test_val_chooses_the_best_share() -> None:
    found = advised(
        "no measurable effect", CONTROL | {("synthetic", 0.1): [34, 34, 33], ("synthetic", 0.25): [37, 38, 36]}
    )
    assert (found.real, found.synthetic, found.share, found.chosen_on) == (30, 10, 0.25, "val")
    assert "25%: +0." in found.reason


def test_val_chooses_the_arm_and_not_the_gain_on_the_test_images() -> None:
    judged = verdict("helps")
    judged.details["rare"].contrasts["synthetic+classical-classical"] = Contrast(mean=0.2, low=0.1, high=0.3)
    right = CONTROL | {
        ("classical", 0.0): [20, 21, 19],
        ("synthetic", 0.25): [37, 38, 36],
        ("synthetic+classical", 0.25): [24, 25, 24],
    }
    found = recommend(
        judged, {"rare": 1}, {"common": 100, "rare": 30}, validation(right),
        judged={"synthetic": 0.5, "synthetic+classical": 0.5}, chosen_on="val",
    )["rare"]  # fmt: skip
    assert (found.arm, found.share, found.chosen_on) == ("synthetic", 0.25, "val")


def test_without_val_the_arm_that_helps_is_advised() -> None:
    judged = verdict("helps")
    judged.details["rare"].helping = "synthetic-oversample"
    judged.details["rare"].contrasts["synthetic+classical-classical"] = Contrast(mean=0.2, low=-0.1, high=0.5)
    found = recommend(
        judged, {"rare": 1}, {"common": 100, "rare": 30}, None, judged={"synthetic": 0.25}, chosen_on="default"
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
    found = advised("helps", CONTROL | {("synthetic", 0.25): [37, 38, 36]}, quality=quality)
    assert found.synthetic == 10
    assert found.reason.endswith(f"; but look at the images first: {words}") == bool(words)
    none = advised("hurts", CONTROL | {("synthetic", 0.25): [37, 38, 36]}, quality=quality)
    assert "look at" not in none.reason


@pytest.mark.parametrize("hits", [[20, 22, 18], [22, 23, 21], [10, 12, 10]])
def test_a_gain_on_val_must_be_more_than_chance(hits: list[int]) -> None:
    """22, 23, 21 are above the control with every seed, but by two images of 40."""
    found = advised("no measurable effect", CONTROL | {("synthetic", 0.1): [20, 20, 20], ("synthetic", 0.25): hits})
    assert (found.synthetic, found.share, found.chosen_on) == (0, 0.0, "val")
    assert "on val nothing beats every control" in found.reason


def test_a_gain_on_val_must_be_over_every_control() -> None:
    better = {("classical", 0.0): [38, 38, 37]}
    assert advised("no measurable effect", CONTROL | better | {("synthetic", 0.25): [37, 38, 36]}).synthetic == 0


def test_what_helps_on_the_test_images_is_recommended_where_val_is_too_small_to_say() -> None:
    found = advised("helps", CONTROL | {("synthetic", 0.25): [22, 23, 21]})
    assert (found.synthetic, found.chosen_on) == (10, "val")
    assert found.reason == "the 25% that val chose was tried and helps"


def test_without_all_controls_nothing_is_recommended() -> None:
    judged = verdict("no measurable effect").model_copy(update={"missing_controls": ["classical"]})
    found = recommend(
        judged, {"rare": 1}, {"common": 100, "rare": 30}, validation(CONTROL | {("synthetic", 0.25): [37, 38, 36]}),
        judged={"synthetic": 0.25}, chosen_on="val",
    )["rare"]  # fmt: skip
    assert found.synthetic == 0
    assert found.reason == "without classical it is unknown whether they help"


def test_what_hurts_is_not_recommended_whatever_val_says() -> None:
    found = advised("hurts", CONTROL | {("synthetic", 0.1): [38, 38, 39]})
    assert (found.synthetic, found.chosen_on) == (0, "test")


@pytest.mark.parametrize(("said", "common"), [("helps", 100), ("no measurable effect", 0)])
def test_where_all_classes_got_images_the_others_get_the_share_of_the_targets(said: Verdict, common: int) -> None:
    found = recommend(
        verdict(said), {"rare": 1}, {"common": 100, "rare": 30}, None, judged={"synthetic": 0.5}, chosen_on="user",
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
