"""`synthaug upscale RUN FOLDER --out DIR`: enlarge the images of a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthaug.errors import plural
from synthaug_cli import console, fast_checks

if TYPE_CHECKING:
    from synthaug.documents import UpscaleDocument
    from synthaug.requests import UpscaleRequest


def command(request: UpscaleRequest) -> None:
    """Enlarge the images of a folder with a trained upscaler.

    Names, formats and colour modes stay as they are.

    Examples:
        synthaug upscale 3 photos --out large
        synthaug upscale 3 photos --out large --overwrite --device cuda
    """
    fast_checks.folder(request.folder, "FOLDER")
    fast_checks.new_folder(request.out, request.overwrite)
    fast_checks.run(request.run, request.runs)
    from synthaug.pipelines.upscale import run_upscale

    console.result(run_upscale(request, console.progress()), render)


def render(made: UpscaleDocument) -> None:
    console.line(f"{plural(made.images, 'image')}, enlarged {made.scale} times")
    if made.unreadable:
        console.line(f"{plural(len(made.unreadable), 'unreadable file')} left out")
    console.line(f"folder  {made.out}")
    console.line(f"from    {made.checkpoint}")
    if made.scores is not None:
        console.line(f"scores  {made.scores.text()}")
