"""`synthaug traverse [RUN]`: a picture of a walk along codes, from noise to noise, or from class to class."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synthaug.sampling.options import WAYS
from synthaug_cli import console, early
from synthaug_cli.options import Checkpoint, Device, NoiseSeed, Overwrite, RunArgument, Runs

if TYPE_CHECKING:
    from synthaug.documents import TraverseDocument


def command(
    run: RunArgument = None,
    along: Annotated[
        str, typer.Option("--along", metavar="codes|noise|classes", help="What changes in a row.")
    ] = "codes",
    code: Annotated[
        int | None,
        typer.Option("--code", metavar="K", help="Which code, from 0, categorical first. [default: all]"),
    ] = None,
    label: Annotated[
        str | None, typer.Option("--class", metavar="NAME", help="Which class. [default: the first target class]")
    ] = None,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="NAME", help="Where classes end. [default: the largest other class]"),
    ] = None,
    rows: Annotated[int, typer.Option("--rows", metavar="N", min=1, max=100, help="Noises to draw it with.")] = 6,
    steps: Annotated[
        int,
        typer.Option("--steps", metavar="N", min=2, max=100, help="Columns: values of a continuous code, or steps."),
    ] = 9,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="The picture. [default: traverse-RUN.png]")
    ] = None,
    overwrite: Overwrite = False,
    seed: NoiseSeed = None,
    checkpoint: Checkpoint = "best",
    runs: Runs = None,
    device: Device = "auto",
) -> None:
    """Draw a walk, step by step: along a code, from noise to noise, or from class to class."""
    early.choice(along, WAYS, "--along")
    early.device(device)
    from synthaug.runs import find

    found = find(run, runs)
    early.label(found, label)
    early.label(found, to)
    from synthaug.pipelines.traverse import traverse

    document = traverse(
        found.path,
        along=along,
        code=code,
        label=label,
        to=to,
        rows=rows,
        steps=steps,
        out=out,
        checkpoint=checkpoint,
        seed=seed,
        runs=runs,
        device=device,
        overwrite=overwrite,
    )
    console.result(document, render)


def render(drawn: TraverseDocument) -> None:
    if drawn.along != "codes":
        way = f"{drawn.label} to {drawn.to}" if drawn.to is not None else f"{drawn.label}, from noise to noise"
        console.line(f"{way}: {drawn.rows} rows of {len(drawn.places)} steps")
    for code, values in drawn.codes.items():
        shown = f"{values[0]:g} to {values[-1]:g}"
        console.line(f"code {code}: {len(values)} columns, {shown}; {drawn.rows} rows of {drawn.label}")
    console.line(f"picture {drawn.out}")
    console.line(f"from    {drawn.checkpoint}, seed {drawn.seed}")
