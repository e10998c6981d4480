"""`synthaug samples [RUN]`: a few images of one class."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from synthaug.errors import plural
from synthaug_cli import console, fast_checks

if TYPE_CHECKING:
    from synthaug.documents import SamplesDocument
    from synthaug.requests import SamplesRequest


def command(request: SamplesRequest) -> None:
    """Write a few generated images of a class, without the gate.

    Examples:
        synthaug samples --class rare --count 64
        synthaug samples 7 --truncation 0.7 --out looks
    """
    fast_checks.new_folder(request.out, request.overwrite)
    fast_checks.run(request.run, request.runs, request.class_)
    from synthaug.pipelines.samples import run_samples

    console.result(run_samples(request, console.progress()), render)


def render(made: SamplesDocument) -> None:
    for name, written in made.per_class.items():
        console.line(f"{name}: {plural(len(written), 'image')}")
    console.line(f"folder  {made.out}")
    console.line(f"grid    {Path(made.out) / made.grid}")
    truncated = f", truncation {made.truncation:g}" if made.truncation < 1 else ""
    if made.where:
        console.prose("with    " + ", ".join(f"{name}: {value}" for name, value in made.where.items()), 8)
    if made.extrapolated:
        console.prose(f"no training image of {', '.join(made.extrapolated)} is like that: these are extrapolated")
    console.line(f"from    {made.checkpoint}, seed {made.seed}{truncated}")
