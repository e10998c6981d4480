"""`synthaug curate [RUN|EXPORT]`: accept and reject generated images on a page in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from synthaug.errors import shell_command
from synthaug_cli import console

if TYPE_CHECKING:
    from synthaug.documents import CurateDocument
    from synthaug.requests import CurateRequest


def command(request: CurateRequest) -> None:
    """Accept and reject images by hand, on a page in the browser.

    export and evaluate then leave out what was rejected.

    Examples:
        synthaug curate --class rare
        synthaug curate balanced --port 8000
    """
    from synthaug.pipelines.curate import run_curate

    console.result(run_curate(request, console.progress()), render)


def render(made: CurateDocument) -> None:
    from synthaug.runs import Run

    rows = [[name, c.shown, c.accepted, c.rejected] for name, c in made.per_class.items()]
    console.table("decisions by hand", ["class", "shown", "accepted", "rejected"], rows)
    console.line(f"images     {made.checkpoint}, seed {made.seed}")
    console.line(f"decisions  {made.decisions}")
    run = Run(Path(made.run)).reference()
    console.line(f"\nnext: {shell_command('evaluate', run)}")
    console.line(f"      {shell_command('export', run, per_class='N', out='DIR')}")
    console.line(f"      {shell_command('export', run, per_class='N', out='DIR', only_accepted=True)}")
