"""`synthaug fit DATA`: train a class-conditional generator; all classes teach, the target classes count."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synthaug_cli import console, early
from synthaug_cli.options import Cache, Device, GroupBy, Runs, Strict

if TYPE_CHECKING:
    from synthaug.documents import FitDocument, FitPlan


def command(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Folder of images, as `synthaug inspect` reads it.")],
    target_class: Annotated[
        list[str] | None,
        typer.Option(
            "--target-class",
            metavar="NAME",
            help="A class to make images of; give it many times. [default: auto, the rare ones]",
        ),
    ] = None,
    budget: Annotated[
        str | None, typer.Option("--budget", metavar="10min|90s|200kimg", help="How long to train.")
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            metavar="NAME",
            help="A recipe of `synthaug recipes ls`, or `auto`: by the images.",
        ),
    ] = None,
    family: Annotated[
        str | None, typer.Option("--family", metavar="NAME", help="Architecture: `synthaug list families`.")
    ] = None,
    objective: Annotated[
        str | None, typer.Option("--objective", metavar="NAME", help="Loss: `synthaug list objectives`.")
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="A recipe of your own.")] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Any key of a recipe, such as training.batch_size=32; many times."
        ),
    ] = None,
    resolution: Annotated[
        int | None, typer.Option("--resolution", metavar="16|32|64|128", help="Side of the images made, in pixels.")
    ] = None,
    fit: Annotated[
        str | None, typer.Option("--fit", metavar="pad|crop|stretch", help="How images that are not square become so.")
    ] = None,
    group_by: GroupBy = None,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", help="Seed of the split and the training. [default: 0]")
    ] = None,
    device: Device = "auto",
    precision: Annotated[
        str | None, typer.Option("--precision", metavar="auto|32-true|bf16-mixed", help="Arithmetic of the training.")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="The run's name, behind its number.")
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume",
            metavar="PATH|auto",
            help="Continue a run; auto: the latest unfinished one of equal configuration, else a new one.",
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="RUN", help="Start from the weights of an earlier run, which may have other classes."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be done, with its cost, and write nothing.")
    ] = False,
    strict: Strict = False,
    runs: Runs = None,
    cache: Cache = None,
) -> None:
    """Train a generator on a folder of images."""
    early.folder(data, "DATA")
    early.device(device)
    early.runs_folder(runs)
    continued = resume not in (None, "auto")
    early.contradiction(
        [
            ("--resume PATH", continued, "--name", name is not None),
            ("--resume PATH", continued, "--from", start is not None),
        ]
    )
    flags: dict[str, Any] = {
        "training.budget": budget,
        "model.family": family,
        "training.objective": objective,
        "data.resolution": resolution,
        "data.fit": fit,
        "data.group_by": group_by,
        "seed": seed,
        "training.precision": precision,
    }
    if start is not None:
        from synthaug.runs import find

        find(start, runs)
    from synthaug.config import resolve
    from synthaug.pipelines.config_checks import check_names

    check_names(resolve(recipe, config, sets or (), flags).config)
    from synthaug.pipelines.fit import fit as train
    from synthaug.pipelines.plan_fit import plan_fit

    arguments: dict[str, Any] = {
        "target_class": target_class or "auto",
        "recipe": recipe,
        "config_file": config,
        "sets": sets or (),
        "flags": flags,
        "name": name,
        "runs": runs,
        "resume": resume,
        "start": start,
        "device": device,
        "strict": strict,
        "cache": cache,
        "progress": console.progress(),
    }
    if dry_run:
        console.result(plan_fit(data, **arguments), render_plan)
    else:
        console.result(train(data, **arguments), render)


def render(made: FitDocument) -> None:
    console.table(
        "split",
        ["class", *made.split, "KID", "coverage", ""],
        [
            [
                name,
                *(made.split[part].get(name, 0) for part in made.split),
                made.monitor[name].kid if name in made.monitor else None,
                made.monitor[name].coverage if name in made.monitor else None,
                _target(name, made.targets),
            ]
            for name in sorted({c for counts in made.split.values() for c in counts})
        ],
    )
    if "pooled" in made.monitor:
        pooled = made.monitor["pooled"]
        scores = f"KID {console.cell(pooled.kid)}, coverage {console.cell(pooled.coverage)}"
        console.line(f"all classes  {scores} (against {pooled.reference})")
    console.line(
        f"trained      {made.kimg:.1f} kimg in {console.duration(made.seconds)}, {made.images_per_second:.0f} images/s"
    )
    if made.diverged:
        console.line(f"ended early  diverged {made.diverged}")
    console.line(f"best         {made.best_checkpoint}")
    console.line(f"run          {made.run}")
    run = shlex.quote(Path(made.run).name)
    console.line(f"\nnext: synthaug samples {run}{f' --class {shlex.quote(made.targets[0])}' if made.targets else ''}")
    console.line(f"      synthaug evaluate {run}")
    console.line(f"      synthaug export {run} --per-class N --out DIR")


def render_plan(plan: FitPlan) -> None:
    console.table(
        "configuration",
        ["key", "value", "from"],
        [[key, json.dumps(value), plan.origins.get(key, "")] for key, value in plan.config.items()],
        words=3,
    )
    console.table(
        f"{plan.data}: {plan.images:,} images",
        ["class", *plan.split, "share of batches", ""],
        [
            [
                name,
                *(counts.get(name, 0) for counts in plan.split.values()),
                f"{share:.1%}",
                _target(name, plan.targets),
            ]
            for name, share in plan.draws.items()
        ],
    )
    for text in plan.warnings:
        console.line(f"note: {text}")
    networks = ", ".join(f"{name} {count / 1e6:.2f} M parameters" for name, count in plan.parameters.items())
    console.line(f"networks     {networks}; {plan.channels} channel{'s' if plan.channels > 1 else ''}")
    console.line(f"where        {plan.device}, {plan.precision}")
    console.line(f"takes about  {console.duration(plan.estimated_seconds)} for {plan.estimated_kimg:,.1f} kimg")
    console.line(f"on disk      about {plan.estimated_megabytes:,.1f} MB")


def _target(name: str, targets: list[str]) -> str:
    return "target" if name in targets else ""
