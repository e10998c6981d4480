"""`--fail-under` for pipelines: the report and the result come first, then the exit status says yes or no."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from report_material import evaluation

from synthaug.documents import Contrast, EvaluateDocument
from synthaug.errors import RunFailed
from synthaug.evaluation.report.material import ReportMaterial
from synthaug.evaluation.report.write import write_report
from synthaug.pipelines.evaluate import require_gain
from synthaug_cli import console
from synthaug_cli.app import main


def found(out: Path, *means: float) -> EvaluateDocument:
    """An evaluation whose contrasts gained so much."""
    document = evaluation(["a", "b"], ["b"], seeds=2, per_class=10)
    document.report = str(out / "report.html")
    document.verdict.contrasts = {
        name: Contrast(mean=mean, low=mean - 0.1, high=mean + 0.1)
        for name, mean in zip(("synthetic-oversample", "synthetic+classical-classical"), means, strict=False)
    }
    return document


@pytest.mark.parametrize(("least", "status"), [("0.05", 0), ("0.06", 1), ("-1", 0)])
@pytest.mark.parametrize("as_json", [True, False])
def test_the_status_follows_the_better_contrast(
    least: str,
    status: int,
    as_json: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def evaluate(*_: Any, **__: Any) -> EvaluateDocument:
        document = found(tmp_path, -0.02, 0.05)
        write_report(document, ReportMaterial(), tmp_path)
        return document

    monkeypatch.setattr("synthaug.pipelines.evaluate.run_evaluate", evaluate)
    monkeypatch.setattr("synthaug.runs.find", lambda *_: SimpleNamespace(path=tmp_path))
    monkeypatch.setattr("signal.signal", lambda *_: None)  # the tests keep their own
    monkeypatch.setattr(console.FLAGS, "json", False)  # one process runs several commands here
    json_flag = ["--json"] if as_json else []
    monkeypatch.setattr("sys.argv", ["synthaug", "evaluate", *json_flag, "--fail-under", least])
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code or 0) == status
    said = capsys.readouterr()
    if as_json:
        assert json.loads(said.out)["verdict"]["contrasts"]["synthetic+classical-classical"]["mean"] == 0.05
    else:
        assert "verdict:" in said.out
    errors = [line for line in said.err.splitlines() if line.startswith("error:")]
    if status:
        assert errors == [
            "error: the gain in F1 of the target classes is +0.0500 (synthetic+classical instead of classical), "
            f"below {least}"
        ]
        assert f"hint: see the report: {tmp_path / 'report.html'}" in said.err.splitlines()
    else:
        assert errors == []
    assert {"report.html", "report.json", "report.md"} <= {p.name for p in tmp_path.iterdir()}


def test_a_gain_that_is_no_number_is_no_gain(tmp_path: Path) -> None:
    with pytest.raises(RunFailed):
        require_gain(found(tmp_path, float("nan")), 0.0)
