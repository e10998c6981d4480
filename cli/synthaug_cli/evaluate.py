"""`synthaug evaluate [RUN]`: before and after, against honest controls; verdict and report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synthaug.errors import SynthaugError
from synthaug_cli import console, early
from synthaug_cli.options import Cache, Checkpoint, Device, RunArgument, Runs

if TYPE_CHECKING:
    from synthaug.documents import EvaluateDocument

SHOWN = 3  # target classes with columns of their own; the report has all


def command(
    run: RunArgument = None,
    test: Annotated[
        Path | None,
        typer.Option("--test", metavar="DIR", help="Test images of your own. [default: those that fit kept apart]"),
    ] = None,
    synthetic: Annotated[
        Path | None,
        typer.Option("--synthetic", metavar="DIR", help="Judge this folder of synthetic images, whoever made them."),
    ] = None,
    classifier: Annotated[
        str,
        typer.Option(
            "--classifier", metavar="NAME", help="What is trained with and without: `synthaug list classifiers`."
        ),
    ] = "cnn",
    seeds: Annotated[
        int,
        typer.Option(
            "--seeds", metavar="N", min=2, help="Classifiers trained per arm; at least 5 for a verdict to believe."
        ),
    ] = 5,
    steps: Annotated[
        int,
        typer.Option("--steps", metavar="N", min=1, help="Optimiser steps of every classifier, the same for all arms."),
    ] = 600,
    shares: Annotated[
        str | None,
        typer.Option(
            "--shares",
            metavar="S,S,…",
            help="Shares of a target class's draws that may be synthetic; val chooses among them.",
        ),
    ] = None,
    arms: Annotated[
        str | None,
        typer.Option("--arms", metavar="A,A,…", help="Only these arms. [default: all that the classifier can do]"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where the report goes. [default: inside the run]")
    ] = None,
    fail_under: Annotated[
        float | None,
        typer.Option(
            "--fail-under",
            metavar="X",
            help="Exit with 1 if the gain in F1 of the target classes over the best control is below X.",
        ),
    ] = None,
    gate: Annotated[bool, typer.Option("--gate/--no-gate", help="Judge gated samples, as export writes them.")] = True,
    checkpoint: Checkpoint = "best",
    runs: Runs = None,
    device: Device = "auto",
    cache: Cache = None,
) -> None:
    """Train classifiers with and without the synthetic images, and say whether they help."""
    early.device(device)
    for folder, option in ((test, "--test"), (synthetic, "--synthetic")):
        if folder is not None:
            early.folder(folder, option)
    early.new_folder(out, overwrite=True)
    tried = None if shares is None else _shares(shares)
    chosen = None if arms is None else [a.strip() for a in arms.split(",") if a.strip()]
    from synthaug.classifiers import CLASSIFIERS
    from synthaug.runs import find

    CLASSIFIERS.check(classifier)
    found = find(run, runs)
    from synthaug.pipelines.evaluate import evaluate

    document = evaluate(
        found.path,
        test=test,
        synthetic=synthetic,
        classifier=classifier,
        seeds=seeds,
        steps=steps,
        shares=tried,
        arms=chosen,
        out=out,
        gate=gate,
        checkpoint=checkpoint,
        runs=runs,
        device=device,
        cache=cache,
        progress=console.progress(),
    )
    console.result(document, render)


def _shares(text: str) -> list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        raise SynthaugError(
            f"--shares {text!r} is not a list of numbers", "write it like --shares 0.1,0.25,0.5"
        ) from None
    for value in values:
        if not 0 < value < 1:
            raise SynthaugError(
                f"--shares {text!r}: {value:g} is not between 0 and 1", "write it like --shares 0.1,0.25,0.5"
            )
    return values


def render(found: EvaluateDocument) -> None:
    raise NotImplementedError(found)
