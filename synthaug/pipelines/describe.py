"""What the files of a run say about it: how far it is, its best score, and what its evaluation found."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from synthaug.documents import Contrast, EvaluateDocument, RunDocument
from synthaug.errors import SynthaugError, shell_command
from synthaug.parsing import ParseError, read_json
from synthaug.runs import Run

EVALUATION = "evaluation"
"""The folder in a run that holds finished trials, and the report by default; without a run, in the current folder."""


def report_of(run: Run) -> Path:
    """Where a run's evaluation is kept."""
    return run.path / EVALUATION / "report.json"


def evaluate_it(run: Run) -> str:
    """A hint for a run that needs an evaluation."""
    return f"evaluate it first: {shell_command('evaluate', run.reference())}"


def kept_evaluation(run: Run) -> EvaluateDocument | None:
    """The evaluation that is kept in a run; None if there is none.

    Raises:
        SynthaugError: it cannot be read.
    """
    file = report_of(run)
    if not file.is_file():
        return None
    try:
        return EvaluateDocument.model_validate(read_json(file))
    except (OSError, ValidationError, ParseError) as error:
        raise SynthaugError(f"the evaluation {str(file)!r} cannot be read", evaluate_it(run)) from error


def describe(run: Run) -> RunDocument:
    """Describe a run from its files. The state of a broken run contains the fault."""
    try:
        status, facts, config = run.status(), run.facts(), run.config()
    except SynthaugError as error:
        return RunDocument(run=str(run.path), state=f"broken: {error.message}")
    verdict: str | None
    try:
        found = kept_evaluation(run)
        verdict = None if found is None else found.verdict.overall
    except SynthaugError:
        found, verdict = None, "cannot be read"
    return RunDocument(
        run=str(run.path), state=str(status.get("state", "unknown")), kimg=status.get("kimg"),
        updated=status.get("updated"), data=str(facts.data), classes=facts.classes, targets=facts.targets,
        family=config.model.family, resolution=config.data.resolution, seed=config.seed, checkpoints=checkpoints(run),
        seconds=status.get("seconds"), best_checkpoint=status.get("best_checkpoint"), score=best_score(run),
        verdict=verdict, gain=None if found is None else gain(found),
    )  # fmt: skip


def checkpoints(run: Run) -> list[str]:
    return sorted(p.name for p in run.checkpoints.iterdir() if p.is_dir()) if run.checkpoints.is_dir() else []


def best_score(run: Run) -> float | None:
    """The monitor's score of the best checkpoint; None before the first."""
    scored = [row for row in run.metrics() if row["kind"] == "monitor" and row.get("best") is True]
    value = scored[-1].get("score") if scored else None
    return float(value) if isinstance(value, (int, float)) else None


def gain(found: EvaluateDocument) -> Contrast | None:
    """The mean F1 of the target classes above the best control, for the synthetic arm that is farthest above it."""
    return max(found.verdict.against_best.values(), key=lambda contrast: contrast.mean, default=None)
