"""`synthaug export [RUN]`: top every class up with synthetic images, with a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synthaug.errors import SynthaugError
from synthaug.sampling.options import check_selection, check_truncation
from synthaug_cli import console, early
from synthaug_cli.options import Cache, Checkpoint, Device, NoiseSeed, Overwrite, RunArgument, Runs, Truncation

if TYPE_CHECKING:
    from synthaug.documents import ExportDocument

SIZES = ("native", "model")


def command(
    run: RunArgument = None,
    per_class: Annotated[
        list[str] | None,
        typer.Option(
            "--per-class", metavar="N|NAME=N", help="Total images of every class, or of one; NAME=N many times."
        ),
    ] = None,
    recommended: Annotated[
        bool,
        typer.Option("--recommended", help="As many synthetic images of each class as `evaluate` recommends, or none."),
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where the dataset goes. [default: ./exports/RUN]")
    ] = None,
    synthetic_only: Annotated[
        bool, typer.Option("--synthetic-only", help="Only synthetic images, N of each class.")
    ] = False,
    cap: Annotated[bool, typer.Option("--cap", help="Drop real images of classes that have more than N.")] = False,
    strategy: Annotated[
        str,
        typer.Option(
            "--strategy", metavar="all|not majority|not minority|minority|auto", help="Which classes to top up."
        ),
    ] = "all",
    format: Annotated[
        str, typer.Option("--format", metavar="NAME", help="How it is written: `synthaug list formats`.")
    ] = "folder",
    gate: Annotated[
        bool, typer.Option("--gate/--no-gate", help="Turn away copies, duplicates and images of another class.")
    ] = True,
    truncation: Truncation = 1.0,
    select: Annotated[
        str | None,
        typer.Option("--select", metavar="drs|top-k", help="Keep images that the discriminator takes for real."),
    ] = None,
    keep: Annotated[
        float | None,
        typer.Option("--keep", metavar="SHARE", help="How much --select keeps of the candidates. [default: 0.5]"),
    ] = None,
    allow_short: Annotated[
        bool, typer.Option("--allow-short", help="Accept a class that cannot be filled; the manifest says so.")
    ] = False,
    size: Annotated[
        str,
        typer.Option(
            "--size", metavar="native|model", help="Synthetic images in the size of real ones, or as generated."
        ),
    ] = "native",
    link: Annotated[bool, typer.Option("--link", help="Hard-link real images in place of copying them.")] = False,
    with_heldout: Annotated[
        bool, typer.Option("--with-heldout", help="Add val/ and test/, each with its own metadata.jsonl.")
    ] = False,
    overwrite: Overwrite = False,
    seed: NoiseSeed = None,
    checkpoint: Checkpoint = "best",
    runs: Runs = None,
    device: Device = "auto",
    cache: Cache = None,
) -> None:
    """Write a balanced dataset: real images first, synthetic ones for the rest."""
    totals = _totals(per_class or [])
    early.choice(size, SIZES, "--size")
    early.device(device)
    check_truncation(truncation)
    check_selection(select, keep)
    early.contradiction(
        [
            ("--cap", cap, "--synthetic-only", synthetic_only),
            ("--link", link, "--synthetic-only", synthetic_only),
            ("--recommended", recommended, "--per-class", totals is not None),
            ("--recommended", recommended, "--synthetic-only", synthetic_only),
            ("--recommended", recommended, "--cap", cap),
            ("--recommended", recommended, "--strategy", strategy != "all"),
        ]
    )
    early.new_folder(out, overwrite=True)  # what may stand there already, an interrupted export say, the pipeline knows
    from synthaug.exporters import FORMATS
    from synthaug.runs import find

    FORMATS.check(format)
    found = find(run, runs)
    from synthaug.pipelines.export import export

    document = export(
        found.path,
        per_class=totals,
        recommended=recommended,
        out=out,
        synthetic_only=synthetic_only,
        cap=cap,
        strategy=strategy,
        format=format,
        gate=gate,
        truncation=truncation,
        select=select,
        keep=keep,
        allow_short=allow_short,
        size=size,
        link=link,
        with_heldout=with_heldout,
        overwrite=overwrite,
        seed=seed,
        checkpoint=checkpoint,
        runs=runs,
        device=device,
        cache=cache,
        progress=console.progress(),
    )
    console.result(document, render)


def _totals(given: list[str]) -> int | dict[str, int] | None:
    """Read `5000`, or `rare=5000` many times."""
    totals: dict[str, int] = {}
    for text in given:
        name, equals, number = text.rpartition("=")
        try:
            count = int(number)
        except ValueError:
            raise SynthaugError(
                f"--per-class {text!r} is not a number of images",
                "write it like --per-class 5000 or --per-class rare=5000",
            ) from None
        if count < 1:
            raise SynthaugError(
                f"--per-class {text!r}: a class needs at least one image",
                "give the total that each class should have, such as 5000",
            )
        if not equals:
            if len(given) > 1:
                raise SynthaugError(
                    f"--per-class {text!r} stands beside other totals",
                    "give one number for all classes, or NAME=N for each",
                )
            return count
        totals[name] = count
    return totals or None


def render(made: ExportDocument) -> None:
    console.table(
        f"exported to {made.out}",
        ["class", "asked", "real", "synthetic", "short", "turned away"],
        [
            [
                name,
                c.asked,
                c.real,
                c.synthetic,
                c.short or None,
                ", ".join(f"{r}: {n:,}" for r, n in c.rejected.items() if n) or None,
            ]
            for name, c in made.per_class.items()
        ],
    )
    synthetic = sum(c.synthetic for c in made.per_class.values())
    speed = f", {made.images_per_second:.0f} images/s" if made.images_per_second else ""
    console.line(f"{synthetic:,} synthetic images{speed}")
    console.line(f"manifest     {made.manifest}")
    console.line(
        f"train on     {Path(made.out) / 'train'}  (one folder a class; metadata.jsonl says which are synthetic)"
    )
