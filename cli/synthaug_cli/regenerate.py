"""`synthaug regenerate MANIFEST`: make synthetic images of an export again, from their seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthaug.errors import SynthaugError
from synthaug_cli import console, fast_checks

if TYPE_CHECKING:
    from synthaug.documents import RegenerateDocument
    from synthaug.requests import RegenerateRequest

SHOWN = 10  # images that differ; --json has all of them


def command(request: RegenerateRequest) -> None:
    """Make synthetic images of an export again, from its manifest.

    Examples:
        synthaug regenerate balanced --verify
        synthaug regenerate balanced --row 0 --row 17 --out again
    """
    if not request.manifest.exists():
        raise SynthaugError(
            f"there is no manifest {str(request.manifest)!r}", "give train/metadata.jsonl or manifest.json of an export"
        )
    fast_checks.new_folder(request.out, overwrite=False)
    from synthaug.pipelines.regenerate import run_regenerate

    console.result(run_regenerate(request, console.progress()), render)


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
