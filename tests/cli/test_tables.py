"""What `evaluate` and `check` draw: the numbers of the document, before and after, the verdict, the report."""

from __future__ import annotations

import pytest

from synthaug.documents import (
    Arm,
    CheckDocument,
    ClassQuality,
    ClassScores,
    CombinationDocument,
    Contrast,
    EvaluateDocument,
    EvaluatedSize,
    FitPlan,
    GuessForGPU,
    Interval,
    Range,
    Recommendation,
    Score,
    Sharpness,
    TargetVerdict,
    VerdictDocument,
)
from synthaug_cli import check, evaluate, fit


def arm(share: float, f1: float) -> Arm:
    interval = Interval(mean=f1, low=f1 - 0.01, high=f1 + 0.01)
    scores = ClassScores(precision=f1, recall=f1 - 0.1, f1=f1, average_precision=f1)
    return Arm(
        share=share,
        steps=600,
        macro_f1=interval,
        balanced_accuracy=interval,
        geometric_mean=interval,
        per_class={"rare [x]": scores, "other": scores},
        f1_per_seed={},
        confusion=[],
    )


@pytest.fixture
def quality() -> CheckDocument:
    rare = ClassQuality(
        n_real=12,
        n_synthetic=100,
        scores={"kid": Score.of(Range(mean=0.123, low=0.1, high=0.2))},
        collapse="thinning",
        memorisation="clear",
        reasons=["few kinds"],
    )
    return CheckDocument(per_class={"rare [x]": rare}, features="net@0123", reference="test", gated=True)


def advice(real: int, synthetic: int, reason: str) -> Recommendation:
    share = synthetic / (real + synthetic)
    return Recommendation(real=real, synthetic=synthetic, share=share, arm="synthetic", chosen_on="val", reason=reason)


@pytest.fixture
def evaluated(quality: CheckDocument) -> EvaluateDocument:
    contrast = Contrast(mean=0.031, low=0.011, high=0.051)
    detail = TargetVerdict(
        verdict="helps", contrasts={}, best_control="classical", smallest_detectable=0.02, reason="above zero"
    )
    verdict = VerdictDocument(
        overall="helps",
        sentence="The rare class gains.",
        per_target={"rare [x]": "helps"},
        details={"rare [x]": detail},
        contrasts={"synthetic-oversample": contrast},
        best_control="classical",
        smallest_detectable=0.02,
        caveats=["one generator"],
    )
    return EvaluateDocument(
        run="00000-a",
        data="data",
        synthetic="fresh",
        classifier="cnn",
        seeds=5,
        classes=["other", "rare [x]"],
        targets=["rare [x]"],
        split={},
        mix="all",
        share_chosen_on="default",
        recommended={
            "rare [x]": advice(25, 1075, "the best on val"),
            "other": advice(300, 1300, "as the targets"),
        },
        arms={"real": arm(0, 0.411), "classical": arm(0, 0.522), "synthetic": arm(0.25, 0.633)},
        verdict=verdict,
        quality=quality,
        warnings=["few seeds"],
        seconds=1.0,
        report="out/report.html",
    )


def test_evaluate(evaluated: EvaluateDocument, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate.render(evaluated)
    shown = capsys.readouterr().out
    (after,) = [line for line in shown.splitlines() if line.strip().startswith("rare [x]  ") and "0.522" in line]
    assert after.split()[-4:] == ["0.522", "0.633", "0.422", "0.533"]
    assert "before: classical, the best control; after: synthetic" in " ".join(shown.split())
    for text in ("25%", "+0.031 (+0.011 to +0.051)", "0.020", "thinning", "few seeds", "one generator"):
        assert text in shown
    assert "1,075 synthetic images (98%) and 25 real: the best on val" in shown
    assert "and for all other classes          1,300 synthetic images" in shown
    assert shown.splitlines()[-2:] == ["verdict: helps. The rare class gains.", "report:  out/report.html"]


def test_evaluate_says_what_sharpness_tells_before_all_else(
    evaluated: EvaluateDocument, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluated.size = EvaluatedSize(asked="native", pixels=64, generator=32, real=243, enlarged=7.6)
    apart = Range(mean=0.97, low=0.95, high=0.99)
    evaluated.sharpness = {"rare [x]": Sharpness(auc=apart, told_apart=True)}
    evaluate.render(evaluated)
    shown = capsys.readouterr().out
    assert shown.startswith(
        "Sharpness alone tells synthetic from held-out real images of 'rare [x]' (the real one is sharper in 97%"
    )
    assert "tested on test images of 64 px" in shown
    evaluated.sharpness["rare [x]"].told_apart = False
    evaluate.render(evaluated)
    assert "Sharpness" not in capsys.readouterr().out


def test_parts_of_the_test_images_fit_on_80_columns_with_whole_intervals(
    evaluated: EvaluateDocument, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")  # no colours
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    values = {"camera": "Canon EOS 5D Mark IV", "site": "Northern Hospital, ward 12", "exposure": "0.004 to 0.0125"}
    evaluated.combinations = [
        CombinationDocument(
            values=values, images=40, targets={"other": 7}, before=0.411, after=0.551,
            gain=Contrast(mean=0.14, low=-0.03, high=0.31),
        )
    ]  # fmt: skip
    evaluated.arms["synthetic+classical"] = evaluated.arms["synthetic"]
    evaluate.render(evaluated)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert any("+0.140" in line and "-0.030 to +0.310" in line for line in lines)
    assert any("synthetic+classical" in line for line in lines if "0.633" in line)


def test_the_plan_of_a_training_fits_on_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    plan = FitPlan.model_construct(
        data="digits", images=1444, split={"train": {"3": 12}}, targets=["3"], draws={"3": 1.0}, channels=1,
        device="cpu", precision="32-true", parameters={"generator": 850_000, "discriminator": 710_000},
        config={"model.family": "dcgan", "data.resolution": 32}, origins={}, estimated_seconds=600.0,
        estimated_kimg=81.5, estimated_megabytes=134.2, memory_megabytes=925.7,
        guess_for_gpu=GuessForGPU(
            images_per_second=1.0, seconds=600.0, gigaflops_per_image=0.3, teraflops_per_second=10.0,
            memory_megabytes=594.7,
        ),
        warnings=["two classes have fewer than 50 images, so that none of them is kept for validation by default"],
    )  # fmt: skip
    fit.render_plan(plan)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_check(quality: CheckDocument, capsys: pytest.CaptureFixture[str]) -> None:
    check.render(quality)
    shown = capsys.readouterr().out
    assert "gated synthetic images against test images" in shown
    for text in ("rare [x]", "thinning", "clear", "0.123", "–", "net@0123", "rare [x]: few kinds"):
        assert text in shown
