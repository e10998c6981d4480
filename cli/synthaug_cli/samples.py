"""`synthaug samples [RUN]`: just images of one class."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synthaug.sampling.options import check_truncation
from synthaug_cli import console, early
from synthaug_cli.options import Checkpoint, Device, NoiseSeed, Overwrite, RunArgument, Runs, Truncation

if TYPE_CHECKING:
    from synthaug.documents import SamplesDocument


def command(
    run: RunArgument = None,
    label: Annotated[
        str | None, typer.Option("--class", metavar="NAME", help="Which class. [default: all target classes]")
    ] = None,
    count: Annotated[int, typer.Option("--count", metavar="N", min=1, help="How many images.")] = 16,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Where they go.")] = None,
    truncation: Truncation = 1.0,
    overwrite: Overwrite = False,
    seed: NoiseSeed = None,
    checkpoint: Checkpoint = "best",
    runs: Runs = None,
    device: Device = "auto",
) -> None:
    """Write a few images of one class, as the generator makes them (no gate)."""
    early.device(device)
    check_truncation(truncation)
    early.new_folder(out, overwrite)
    from synthaug.runs import find

    found = find(run, runs)
    early.label(found, label)
    from synthaug.pipelines.samples import samples

    document = samples(
        found.path,
        label=label,
        count=count,
        out=out,
        checkpoint=checkpoint,
        seed=seed,
        truncation=truncation,
        runs=runs,
        device=device,
        overwrite=overwrite,
        progress=console.progress(),
    )
    console.result(document, render)


def render(made: SamplesDocument) -> None:
    for name, written in made.per_class.items():
        console.line(f"{name}: {len(written)} images")
    console.line(f"folder  {made.out}")
    console.line(f"grid    {Path(made.out) / made.grid}")
    truncated = f", truncation {made.truncation:g}" if made.truncation < 1 else ""
    console.line(f"from    {made.checkpoint}, seed {made.seed}{truncated}")
