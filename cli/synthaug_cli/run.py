"""`synthaug run DATA`: the three steps in one, with their times first."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from synthaug.errors import SynthaugError, plural
from synthaug_cli import console, fast_checks

if TYPE_CHECKING:
    from synthaug.documents import WorkflowDocument, WorkflowPlan
    from synthaug.requests import RunRequest


def command(
    request: RunRequest,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Begin without asking.", rich_help_panel="Training")] = False,
) -> None:
    """Train a generator, test whether it helps, export if it does.

    Prints the plan with its times, and asks before it begins. The same command continues what was interrupted.

    Examples:
        synthaug run photos --target-class rare
        synthaug run photos --budget 20min --out results --yes
    """
    fast_checks.folder(request.data, "DATA")
    if not yes and not sys.stdin.isatty():
        raise SynthaugError("`synthaug run` asks before it begins, and there is no terminal to ask", "add --yes")
    from synthaug.pipelines.run import PLAN, plan_workflow, run_workflow

    progress = console.progress()
    plan = plan_workflow(request, progress)
    begun = (request.folder() / PLAN).exists()
    render_plan(plan, begun)
    for line in plan.warnings:
        progress.warn(line)
    if not (yes or begun or typer.confirm("Begin?", default=True, err=True)):
        return
    console.result(run_workflow(request, plan, progress), render)


def render_plan(plan: WorkflowPlan, begun: bool) -> None:
    """On stderr, so that stdout keeps the result."""
    fewest = ", ".join(f"{name} ({plan.training_images.get(name, 0)})" for name in plan.targets)
    known = [step.seconds for step in plan.steps if step.seconds is not None]
    lines = [
        f"{plan.data}: {plural(plan.images, 'image')}; training images of the rare classes: {fewest}",
        *(f"  {k}. {step.name:<9} {_time(step.seconds):<18} {step.what}" for k, step in enumerate(plan.steps, 1)),
        f"     in all    {_time(sum(known) if len(known) == len(plan.steps) else None)}",
        f"  everything goes to {plan.out}{', which is continued' if begun else ''}",
    ]
    console.to_stderr("\n".join(lines))


def _time(seconds: float | None) -> str:
    return "time not known" if seconds is None else f"about {console.duration(seconds)}"


def render(made: WorkflowDocument) -> None:
    console.prose(f"verdict: {made.verdict}. {made.sentence}", 9)
    console.line(f"run:     {made.run}")
    console.line(f"report:  {made.report}")
    if made.export is not None:
        console.line(f"export:  {made.export}")
        return
    console.line("export:  none, because synthetic images were not shown to help")
    if made.next is not None:
        console.prose(f"next:    {made.next.sentence}", 9)
        console.line(f"         {made.next.command}")
