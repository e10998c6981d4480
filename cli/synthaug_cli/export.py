"""`synthaug export [RUN]`: fill every class up with synthetic images, and write a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from synthaug_cli import console, fast_checks

if TYPE_CHECKING:
    from synthaug.documents import ExportDocument
    from synthaug.requests import ExportRequest


def command(request: ExportRequest) -> None:
    """Write a balanced dataset of real and synthetic images.

    Every class gets its real training images first, and synthetic images for the rest.
    """
    fast_checks.new_folder(request.out, overwrite=True)  # the pipeline knows an interrupted export
    fast_checks.run(request.run, request.runs)
    from synthaug.pipelines.export import run_export

    console.result(run_export(request, console.progress()), render)


def render(made: ExportDocument) -> None:
    console.table(
        f"exported to {made.out}",
        ["class", "asked", "real", "synthetic", "short", "rejected"],
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
