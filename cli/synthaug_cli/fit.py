"""`synthaug fit DATA`: train a class-conditional generator on all classes, for the target classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synthaug.errors import plural, shell_command
from synthaug.launched import follows
from synthaug.progress import Silent
from synthaug_cli import console, fast_checks

if TYPE_CHECKING:
    from synthaug.documents import FitDocument, FitPlan
    from synthaug.requests import FitRequest


def command(
    request: FitRequest,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print the plan and its cost, without training.", rich_help_panel="Training"),
    ] = False,
) -> None:
    """Train a generator on a folder of images.

    Examples:
        synthaug fit photos --target-class rare --budget 30min
        synthaug fit photos --recipe auto --dry-run
    """
    fast_checks.folder(request.data, "DATA")
    fast_checks.runs_folder(request.runs)
    if request.from_ is not None:
        fast_checks.run(request.from_, request.runs)
    fast_checks.configuration(request)
    if dry_run:
        from synthaug.pipelines.plan_fit import plan_fit

        console.result(plan_fit(request, console.progress()), render_plan)
    else:
        from synthaug.pipelines.fit import run_fit

        if follows():  # another process of the same training reports
            run_fit(request, Silent())
        else:
            console.result(run_fit(request, console.progress()), render)


def render(made: FitDocument) -> None:
    from synthaug.runs import Run

    rows = []
    for name in sorted({c for counts in made.split.values() for c in counts}):
        scores, counts = made.monitor.get(name), [split.get(name, 0) for split in made.split.values()]
        rows.append([name, *counts, scores and scores.kid, scores and scores.coverage, _target(name, made.targets)])
    console.table("split", ["class", *made.split, "KID", "coverage", ""], rows)
    if "pooled" in made.monitor:
        pooled = made.monitor["pooled"]
        both = f"KID {console.cell(pooled.kid)}, coverage {console.cell(pooled.coverage)}"
        console.line(f"all classes  {both} (against {pooled.reference})")
    if made.upscaling is not None:
        console.line(f"upscaling    {made.upscaling.text()}")
    speed = f"{made.images_per_second:.0f} images/s"
    console.line(f"trained      {made.kimg:.1f} kimg in {console.duration(made.seconds)}, {speed}")
    if made.diverged:
        console.line(f"ended early  diverged {made.diverged}")
    console.line(f"best         {made.best_checkpoint}")
    console.line(f"run          {made.run}")
    console.line(f"samples      {Run(Path(made.run)).samples}")
    if Run(Path(made.run)).preview.is_file():
        console.line(f"page         {Run(Path(made.run)).preview}")
    run = Run(Path(made.run)).reference()
    commands = [
        shell_command("samples", run, class_=made.targets[:1]),
        shell_command("evaluate", run),
        shell_command("export", run, per_class="N", out="DIR"),
    ]
    if made.upscaling is not None:
        commands = [
            shell_command("export", "GENERATOR", per_class="N", out="DIR", upscaler=run),
            shell_command("upscale", run, "FOLDER", out="DIR"),
        ]
    console.line("\nnext: " + "\n      ".join(commands))


def render_plan(plan: FitPlan) -> None:
    """What is trained and what it costs; then the classes; the settings, which are many, come last."""
    targets = ", ".join(map(repr, plan.targets)) or "all classes"
    model = f"{plan.config['model.family']} at {plan.config['data.resolution']} px"
    console.prose(f"plan         {model}, on {plural(plan.images, 'image')} for {targets}", 13)
    _render_cost(plan)
    for text in plan.warnings:
        console.prose(f"note: {text}", 6)
    console.line()
    classes = []
    for name, share in plan.draws.items():
        counts = [split.get(name, 0) for split in plan.split.values()]
        classes.append([name, *counts, f"{share:.1%}", _target(name, plan.targets)])
    columns = ["class", *plan.split, "share of batches", ""]
    console.table(f"{plan.data}: {plural(plan.images, 'image')}", columns, classes)
    settings = [[key, json.dumps(value), plan.origins.get(key, "")] for key, value in plan.config.items()]
    console.table("configuration", ["key", "value", "from"], settings, words=3)


def _render_cost(plan: FitPlan) -> None:
    console.line(f"takes about  {console.duration(plan.estimated_seconds)} for {plan.estimated_kimg:,.1f} kimg")
    networks = ", ".join(f"{name} {count / 1e6:.2f} M parameters" for name, count in plan.parameters.items())
    console.prose(f"networks     {networks}; {plural(plan.channels, 'channel')}", 13)
    console.line(f"device       {plan.device}, {plan.precision}")
    if plan.memory_megabytes is not None:
        console.line(f"in memory    about {plan.memory_megabytes:,.1f} MB at the peak of a step")
    if (guess := plan.guess_for_gpu) is not None:
        memory = f", {guess.memory_megabytes:,.1f} MB in float32" if guess.memory_megabytes is not None else ""
        console.prose(
            f"on a GPU     about {console.duration(guess.seconds)}{memory}; a guess, nothing was measured on one "
            f"({guess.gigaflops_per_image:,.1f} GFLOP an image, at {guess.teraflops_per_second:g} TFLOP/s)",
            13,
        )
    console.line(f"on disk      about {plan.estimated_megabytes:,.1f} MB")


def _target(name: str, targets: list[str]) -> str:
    return "target" if name in targets else ""
