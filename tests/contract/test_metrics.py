"""Every metric of the table has its words; a new one appears in JSON, console and report; documents keep their keys."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from report_material import evaluation

from synthaug.data.cache import LabelledImages
from synthaug.documents import CheckDocument, ClassQuality, QualityScores, Range, Score
from synthaug.evaluation.report.material import ReportMaterial
from synthaug.evaluation.report.write import write_report
from synthaug.metrics import METRICS, metrics
from synthaug.metrics.quality import quality
from synthaug.metrics.table import metric
from synthaug.progress import Progress, Silent
from synthaug_cli import check

GUIDE = Path(__file__).parents[2] / "docs" / "extending.md"


class Pixels:
    name, sha256, dim, identity = "pixels", "0" * 64, 64, "pixels@000000000000"

    def __call__(self, pixels: np.ndarray, *, batch_size: int | None = None) -> np.ndarray:
        return pixels.reshape(len(pixels), -1).astype(np.float32)


def images(count: int, seed: int) -> LabelledImages:
    pixels = np.random.default_rng(seed).integers(0, 256, (2 * count, 1, 8, 8), dtype=np.uint8)
    return LabelledImages(pixels, np.repeat([0, 1], count), ["3", "8"], [f"{seed}/{i}.png" for i in range(2 * count)])


def judged(progress: Progress | None = None) -> CheckDocument:
    return quality(
        images(20, 0), images(20, 1), images(24, 2), Pixels(), reference="test", gated=True, progress=progress
    )


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The metric of docs/extending.md."""
    section = GUIDE.read_text(encoding="utf-8").partition("## A metric\n")[2]
    code = section.partition("```python\n")[2].partition("```")[0]
    (tmp_path / "toy_metric.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(METRICS._entries, "sharpness", "toy_metric:sharpness")


def test_a_metric_of_one_file_and_one_line_appears_everywhere(
    toy: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = judged()
    for scores in (document.per_class["3"], document.pooled):
        assert scores is not None
        keys, interval = json.loads(scores.model_dump_json()), scores.score("sharpness").interval
        assert interval is not None
        assert keys["sharpness"] == interval.mean
        assert keys["sharpness_range"] == interval.model_dump()
        assert keys["sharpness_floor"] is None
    value = document.per_class["3"].score("sharpness").value
    assert value is not None

    check.render(document)
    shown = capsys.readouterr().out
    assert METRICS.get("sharpness").column in shown
    assert f"{value:.3f}" in shown

    told = evaluation([str(i) for i in range(10)], ["3", "8"])
    told.quality, told.generator_quality = document, None
    page = write_report(told, ReportMaterial(), tmp_path).read_text(encoding="utf-8")
    new = METRICS.get("sharpness")
    for text in (f"<h3>{new.chart}</h3>", f"<dt>{new.heading}</dt><dd>{new.explanation}</dd>", f"{value:.3f}"):
        assert text in page
    assert f"{value:.3f}" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_a_new_metric_changes_no_other_number(request: pytest.FixtureRequest) -> None:
    before = judged()
    request.getfixturevalue("toy")
    after = judged()
    assert before.pooled
    assert after.pooled
    for name in METRICS.names():
        for old, new in ((before.per_class["8"], after.per_class["8"]), (before.pooled, after.pooled)):
            assert old.score(name) == new.score(name) or name == "sharpness"


def test_documents_with_a_metric_that_is_gone_still_open(request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("toy")
    document = judged()
    text = document.model_dump_json()
    METRICS._entries.pop("sharpness")
    assert CheckDocument.model_validate_json(text) == document


@metric("Failing")
def failing(context: object) -> None:
    """The metric of a plug-in that is broken."""
    raise ZeroDivisionError("no image")


class Told(Silent):
    """Keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, line: str) -> None:
        self.warnings.append(line)


def test_a_broken_metric_of_a_plug_in_costs_no_other_score(monkeypatch: pytest.MonkeyPatch) -> None:
    before = judged()
    monkeypatch.setitem(METRICS._entries, "gone", "no_such_package:gone")
    monkeypatch.setitem(METRICS._entries, "failing", f"{__name__}:failing")
    told = Told()
    after = judged(told)
    assert len(told.warnings) == 1
    assert "plug-in 'gone' of metrics" in told.warnings[0]
    for label, quality_before in before.per_class.items():
        quality_after = after.per_class[label]
        assert quality_after.scores == quality_before.scores | {"failing": Score()}
        assert quality_after.reasons == [
            *quality_before.reasons, "the plug-in metric 'failing' failed: ZeroDivisionError: no image",
        ]  # fmt: skip


@pytest.mark.parametrize("name", METRICS.names())
def test_every_metric_says_what_it_is(name: str) -> None:
    shown = METRICS.get(name)
    assert shown.heading
    assert METRICS.summary(name) == shown.explanation
    assert shown.explanation.endswith(".")


def test_keys_of_format_version_1() -> None:
    """The documents' keys as they were before metrics became a table, read and written again."""
    r = {"mean": 0.5, "low": 0.4, "high": 0.6}
    old = {
        "n_real": 3, "n_synthetic": 4, "n_compared": 3, "n_diversity": 2, "kid": r, "kid_floor": r, "fid": 0.5,
        "fid_range": r, "fid_floor": None, "vendi_ratio": 0.5, "vendi_range": r, "vendi_floor": r,
        "duplicate_rate": 0.5,        "duplicate_range": r, "duplicate_floor": 0.5, "duplicate_floor_range": r,
        "missed_clusters": "3 of 12",
        "missed_clusters_floor": r, "dcr": r, "c_t": -0.4, "c_t_floor": r, "coverage": None, "coverage_range": None,
        "coverage_floor": None, "bias": [], "collapse": "healthy", "memorisation": "clear", "reasons": [],
    }  # fmt: skip
    read = ClassQuality.model_validate(old)
    assert read.score("kid") == Score.of(Range(**r), Range(**r))
    assert read.score("dcr").interval == Range(**r)
    assert (read.score("missed_clusters").value, read.score("missed_clusters").text) == (3, "3 of 12")
    assert json.loads(read.model_dump_json()) == old
    with pytest.raises(ValueError, match="colapse"):
        ClassQuality.model_validate(old | {"colapse": "healthy"})


def test_pooled_scores_leave_out_what_belongs_to_a_class() -> None:
    document = judged()
    assert document.pooled
    assert set(document.pooled.scores) == {name for name, entry in metrics().items() if entry.pooled}
    assert QualityScores.model_validate_json(document.pooled.model_dump_json()) == document.pooled
