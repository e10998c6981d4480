"""`synthaug traverse [RUN]`: a picture of a walk along codes, noise or classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthaug.errors import plural
from synthaug_cli import console, fast_checks

if TYPE_CHECKING:
    from synthaug.documents import TraverseDocument
    from synthaug.requests import TraverseRequest


def command(request: TraverseRequest) -> None:
    """Draw images along a walk through codes, noise or classes.

    Examples:
        synthaug traverse --along noise --class rare
        synthaug traverse 7 --along classes --to rare --out walk.png
    """
    fast_checks.run(request.run, request.runs, request.class_, request.to)
    from synthaug.pipelines.traverse import run_traverse

    console.result(run_traverse(request, console.progress()), render)


def render(drawn: TraverseDocument) -> None:
    if drawn.values:
        way = f"{drawn.values[0]} to {drawn.values[-1]}, {plural(len(drawn.values), 'column')}"
        console.line(f"{drawn.along}: {way}; {plural(drawn.rows, 'row')} of {drawn.label}")
        if drawn.extrapolated:
            console.prose(f"no training image of {drawn.label} has {', '.join(drawn.extrapolated)}: extrapolated")
    elif drawn.along != "codes":
        way = f"{drawn.label} to {drawn.to}" if drawn.to is not None else f"{drawn.label}, from noise to noise"
        console.line(f"{way}: {plural(drawn.rows, 'row')} of {plural(len(drawn.places), 'step')}")
    for code, values in drawn.codes.items():
        shown = f"{values[0]:g} to {values[-1]:g}"
        console.line(
            f"code {code}: {plural(len(values), 'column')}, {shown}; {plural(drawn.rows, 'row')} of {drawn.label}"
        )
    console.line(f"picture {drawn.out}")
    console.line(f"from    {drawn.checkpoint}, seed {drawn.seed}")
