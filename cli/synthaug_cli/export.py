"""`synthaug export [RUN]`: fill every class up with synthetic images, and write a manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthaug.errors import plural
from synthaug_cli import console, fast_checks

if TYPE_CHECKING:
    from synthaug.documents import ExportDocument
    from synthaug.requests import ExportRequest


def command(request: ExportRequest) -> None:
    """Write a balanced dataset of real and synthetic images.

    Every class gets its real training images first, and synthetic images for the rest.

    Examples:
        synthaug export --per-class 5000 --out balanced
        synthaug export 7 --recommended --format webdataset
    """
    if not isinstance(request.out, str):
        fast_checks.new_folder(request.out, overwrite=True)  # the pipeline may continue an interrupted export
    fast_checks.run(request.run, request.runs)
    from synthaug.pipelines.export import run_export

    console.result(run_export(request, console.progress()), render)


def render(made: ExportDocument) -> None:
    console.table(
        f"exported to {made.out}",
        ["class", "asked", "real", "synthetic", "short", "rejected"],
        [
            [name, c.asked, c.real, c.synthetic, c.short or None, _counts(c.rejected) or None]
            for name, c in made.per_class.items()
        ],
    )
    for name, c in made.per_class.items():
        if c.sources is not None:
            images, sources = plural(c.synthetic, "synthetic image"), plural(c.sources, "different source")
            console.line(f"{name}: {images} made from {sources}")
    combinations = [(name, one) for name, c in made.per_class.items() for one in c.combinations]
    if combinations:
        console.table(
            "combinations",
            ["class", *combinations[0][1].values, "real", "synthetic"],
            [[name, *one.values.values(), one.real, one.synthetic] for name, one in combinations],
            words=1 + len(combinations[0][1].values),
        )
    if made.upscaler is not None:
        console.line(made.upscaler.text())
    synthetic = sum(c.synthetic for c in made.per_class.values())
    speed = f", {made.images_per_second:.0f} images/s" if made.images_per_second else ""
    console.line(f"{plural(synthetic, 'synthetic image')}{speed}")
    console.line(f"manifest     {made.manifest}")
    console.prose(f"dataset      {made.out}  (README.md says how to read it; its metadata marks synthetic images)", 13)


def _counts(rejected: dict[str, int]) -> str:
    return ", ".join(f"{reason}: {count:,}" for reason, count in rejected.items() if count)
