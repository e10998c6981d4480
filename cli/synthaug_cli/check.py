"""`synthaug check [RUN|DIR]`: are the images any good? Fidelity, diversity, copies, collapse."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synthaug_cli import console, early
from synthaug_cli.options import Cache, Checkpoint, Device, Runs

if TYPE_CHECKING:
    from synthaug.documents import CheckDocument


def command(
    target: Annotated[
        str | None,
        typer.Argument(metavar="RUN|DIR", help="A run, or a folder of synthetic images, one folder a class."),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            "--reference", metavar="DIR", help="Real images to compare with; a folder of synthetic images needs it."
        ),
    ] = None,
    features: Annotated[
        str | None, typer.Option("--features", metavar="NAME|FILE", help="What judges: `synthaug list features`.")
    ] = None,
    count: Annotated[
        int | None, typer.Option("--count", metavar="N", min=8, help="Images made per class of a run. [default: 500]")
    ] = None,
    checkpoint: Checkpoint = "best",
    runs: Runs = None,
    device: Device = "auto",
    cache: Cache = None,
) -> None:
    """Measure how good synthetic images are, beside what real ones score."""
    early.device(device)
    if reference is not None:
        early.folder(reference, "--reference")
    from synthaug.runs import find

    if target is None or not Path(target).is_dir():
        target = str(find(target, runs).path)
    from synthaug.pipelines.check import check

    document = check(
        target,
        reference=reference,
        features=features,
        count=count,
        checkpoint=checkpoint,
        runs=runs,
        device=device,
        cache=cache,
        progress=console.progress(),
    )
    console.result(document, render)


def render(found: CheckDocument) -> None:
    rows = []
    for name, q in found.per_class.items():
        rows.append(
            [
                name,
                q.collapse,
                q.memorisation,
                q.n_synthetic,
                q.kid.mean if q.kid else None,
                q.kid_floor.mean if q.kid_floor else None,
                q.precision,
                q.recall,
                q.coverage,
                q.coverage_floor.mean if q.coverage_floor else None,
                q.duplicate_rate,
                q.dcr.mean if q.dcr else None,
            ]
        )
    kind = "gated" if found.gated else "ungated"
    console.table(
        f"{kind} synthetic images against {found.reference} images",
        [
            "class",
            "diversity",
            "copies",
            "images",
            "KID",
            "real KID",
            "precision",
            "recall",
            "coverage",
            "real cov.",
            "duplicates",
            "DCR",
        ],
        rows,
        words=3,
    )
    console.line(f"judged by {found.features}; 'real' columns are what real images score against real ones")
    if found.pooled is not None and found.pooled.detect_auc is not None:
        console.line(
            f"all classes: told from real images with an AUC of {found.pooled.detect_auc:.2f} (0.5 cannot be told)"
        )
    for name, q in found.per_class.items():
        for reason in q.reasons:
            console.line(f"  {name}: {reason}")
