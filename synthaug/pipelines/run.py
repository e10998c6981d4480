"""`run`: inspect, fit, evaluate, and export where synthetic images help. An interrupted run goes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from synthaug.budget import parse_budget
from synthaug.classifiers import check_classifier
from synthaug.documents import (
    EvaluateDocument,
    FitPlan,
    PlannedStep,
    WorkflowDocument,
    WorkflowPlan,
)
from synthaug.errors import Interrupted, SynthaugError
from synthaug.files import check_outside, write_json
from synthaug.parsing import ParseError, read_json
from synthaug.pipelines.auto import LONGEST
from synthaug.pipelines.describe import kept_evaluation
from synthaug.pipelines.division import EXPORT, GATE_STEPS, divide
from synthaug.pipelines.evaluate import run_evaluate
from synthaug.pipelines.export import run_export
from synthaug.pipelines.fit import run_fit
from synthaug.pipelines.plan_fit import plan_fit
from synthaug.progress import Progress, Silent, shown
from synthaug.requests import EvaluateRequest, ExportRequest, FitRequest, RunRequest, documented
from synthaug.results.trained import RunResult
from synthaug.runs import Run, all_runs

PLAN = "plan.json"


@documented(RunRequest)
def run(
    data: str | Path, *, target_class: str | Sequence[str] = "auto", budget: str | None = None, recipe: str = "auto",
    set: Sequence[str] | dict[str, Any] = (), resolution: int | None = None, group_by: str | None = None,
    classifier: str = "cnn", seeds: int = 5, steps: int = 600, out: str | Path | None = None, seed: int | None = None,
    device: str = "auto", cache: str | Path | None = None, progress: Progress | bool = True,
) -> RunResult:  # fmt: skip
    """Train a generator, test whether its images help, and export a balanced data set if they do.

    A second call with the same options continues an interrupted one.

    Raises:
        SynthaugError: bad input, or the output folder was begun with other options.
        Interrupted: SIGINT or SIGTERM during the training; the state was saved.
    """
    request = RunRequest.of(locals())
    reported = shown(progress)
    return RunResult.of(run_workflow(request, plan_workflow(request, reported), reported))


def plan_workflow(request: RunRequest, progress: Progress) -> WorkflowPlan:
    """The plan of a new run, with times; or that of the one to continue. Nothing is written.

    Raises:
        SynthaugError: bad input, or the folder was begun with other options.
    """
    out = request.folder().absolute()
    kept = out / PLAN
    if kept.is_file():
        return _begun(kept, request).model_copy(update={"out": str(out)})  # the folder may have moved
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SynthaugError(f"{str(out)!r} exists and is not of an earlier `synthaug run`", "give another --out DIR")
    check_outside(out, [request.data if isinstance(request.data, Path) else None], "--out")
    check_classifier(request.classifier)
    given = {} if request.budget is None else {"budget": request.budget}
    fit = plan_fit(FitRequest(**request.fit_options(), **given), Silent())  # the training says it again
    budget, whole = request.budget or str(fit.config["training.budget"]), None
    if request.budget is None and fit.estimated_seconds > 60 * LONGEST:
        fit.estimated_seconds, budget = 60.0 * LONGEST, f"{LONGEST}min"
        progress.say(f"{fit.config['training.budget']} would take longer here: the training ends after {budget}")
    elif request.budget is not None:
        whole, _ = parse_budget(request.budget)
    divided = divide(request, fit, whole)
    if whole is not None:
        budget = f"{divided.training:.0f}s"
    return WorkflowPlan(
        out=str(out), data=str(request.data), images=fit.images, training_images=fit.split["train"],
        targets=fit.targets, budget=budget, request=request.kept(), warnings=[*fit.warnings, *divided.warnings],
        evaluation=divided.size,
        steps=[
            PlannedStep(name="fit", what=_training_in_words(fit, budget, divided.training), seconds=divided.training),
            PlannedStep(name="evaluate", what=divided.what, seconds=divided.evaluation),
            PlannedStep(name="export", what="a balanced data set, if the images help", seconds=EXPORT),
        ],
    )  # fmt: skip


def _begun(file: Path, request: RunRequest) -> WorkflowPlan:
    try:
        plan = WorkflowPlan.model_validate(read_json(file))
    except (OSError, ValidationError, ParseError) as error:
        raise SynthaugError(f"{str(file)!r} cannot be read", "give another folder with --out") from error
    for name, value in request.kept().items():
        if plan.request.get(name) != value:
            raise SynthaugError(
                f"{plan.out!r} was begun with {RunRequest.option(name)} {plan.request.get(name)}, not {value}",
                "give the same options to continue it, or another folder with --out",
            )
    return plan


def _training_in_words(fit: FitPlan, budget: str, seconds: float) -> str:
    rate = fit.estimated_kimg / fit.estimated_seconds if fit.estimated_seconds else 0.0
    amount = "" if parse_budget(budget)[1] is not None else f", about {rate * seconds:.0f} kimg"
    side, family = fit.config["data.resolution"], fit.config["model.family"]
    return f"{family}, {side} px, {budget}{amount}"


def run_workflow(request: RunRequest, plan: WorkflowPlan, progress: Progress) -> WorkflowDocument:
    """Carry out a plan. Steps that are finished are not repeated."""
    out = Path(plan.out)
    out.mkdir(parents=True, exist_ok=True)
    if not (out / PLAN).exists():
        write_json(out / PLAN, plan.model_dump(mode="json"))
    try:
        trained = _trained(request, plan, progress)
        judged = _judged(request, plan, trained, progress)
        exported = _exported(request, judged, trained, out, progress)
    except Interrupted as stop:
        raise Interrupted(stop.message, f"continue with: {request.command(yes=True)}", stop.exit_status) from stop
    return WorkflowDocument(
        plan=plan, run=str(trained.path), verdict=judged.verdict.overall, sentence=judged.verdict.sentence,
        report=judged.report, export=exported, next=judged.next,
    )  # fmt: skip


def _trained(request: RunRequest, plan: WorkflowPlan, progress: Progress) -> Run:
    runs = Path(plan.out) / "runs"
    begun = all_runs(runs)
    finished = [found for found in begun if found.status().get("state") == "finished"]
    if finished:
        progress.say(f"fit: {finished[-1].name} is trained")
        return finished[-1]
    options = request.fit_options() | {"budget": plan.budget, "runs": runs, "resume": "auto" if begun else None}
    if plan.evaluation.gate_steps:
        options["set"] = [*request.settings(), f"{GATE_STEPS}={plan.evaluation.gate_steps}"]
    return Run(Path(run_fit(FitRequest(**options), progress).run))


def _judged(request: RunRequest, plan: WorkflowPlan, trained: Run, progress: Progress) -> EvaluateDocument:
    if (kept := kept_evaluation(trained)) is not None:
        progress.say("evaluate: the report is written")
        return kept
    options: dict[str, Any] = {"classifier": request.classifier, **plan.evaluation.model_dump(exclude={"gate_steps"})}
    options |= {"device": request.device, "cache": request.cache, "features": request.features()}
    given = EvaluateRequest(run=str(trained.path), **options)
    return run_evaluate(given, progress)


def _exported(request: RunRequest, judged: EvaluateDocument, trained: Run, out: Path, progress: Progress) -> str | None:
    if judged.verdict.overall != "helps":
        return None
    folder = out / "export"
    if not folder.exists():
        given = {"run": str(trained.path), "device": request.device, "cache": request.cache}
        run_export(ExportRequest(recommended=True, out=folder, **given), progress)
    return str(folder)
