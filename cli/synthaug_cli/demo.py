"""`synthaug demo`: the whole way on handwritten digits, offline, in minutes on a CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from synthaug_cli import console, evaluate, fast_checks


def command(
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Folder of the data, export and report. [default: ./synthaug-demo]",
            rich_help_panel="Output",
        ),
    ] = None,
    runs: Annotated[
        Path | None,
        typer.Option(
            "--runs", metavar="DIR", help="Folder of the run. [default: runs in --out]", rich_help_panel="Run"
        ),
    ] = None,
) -> None:
    """Fit, export and evaluate on handwritten digits.

    Examples:
        synthaug demo
        synthaug demo --out digits --json
    """
    fast_checks.new_folder(out, overwrite=True)
    if runs is not None:
        fast_checks.runs_folder(runs)
    from synthaug.pipelines.demo import demo

    console.result(demo(out, runs=runs, progress=console.progress()), evaluate.render)
