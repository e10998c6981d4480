"""`synthaug regenerate MANIFEST`: make synthetic images of an export again, from their seeds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synthaug.errors import SynthaugError
from synthaug_cli import console, early
from synthaug_cli.options import Device, Runs

if TYPE_CHECKING:
    from synthaug.documents import RegenerateDocument

SHOWN = 10  # images that differ; --json has all of them


def command(
    manifest: Annotated[
        Path, typer.Argument(metavar="MANIFEST", help="train/metadata.jsonl or manifest.json of an export.")
    ],
    rows: Annotated[
        list[int] | None, typer.Option("--row", metavar="N", min=0, help="Only this row; many times. [default: all]")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Fail if an image is not the same; without --out this is what happens.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Where the images go.")] = None,
    runs: Runs = None,
    device: Device = "auto",
) -> None:
    """Make synthetic images again from a manifest, bit for bit."""
    early.device(device)
    if not manifest.exists():
        raise SynthaugError(
            f"there is no manifest {str(manifest)!r}", "give train/metadata.jsonl or manifest.json of an export"
        )
    early.new_folder(out, overwrite=False)
    from synthaug.pipelines.regenerate import regenerate

    document = regenerate(
        manifest, rows=rows or (), verify=verify, out=out, runs=runs, device=device, progress=console.progress()
    )
    console.result(document, render)


def render(made: RegenerateDocument) -> None:
    for image in made.different[:SHOWN]:
        console.line(f"different  row {image.row}, {image.file_name}: {image.reason}")
    if len(made.different) > SHOWN:
        console.line(f"… and {len(made.different) - SHOWN} more (--json lists all)")
    console.line(
        f"{made.rows:,} made again on {made.device}: {made.equal:,} equal bit for bit, "
        f"{made.close:,} within one grey level, {len(made.different):,} different"
    )
    if made.out:
        console.line(f"folder  {made.out}")
