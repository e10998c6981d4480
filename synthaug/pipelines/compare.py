"""`runs compare`: a table of some runs, and a page with their samples side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from synthaug.documents import CompareDocument, RunDocument
from synthaug.errors import SynthaugError
from synthaug.evaluation.report.html import data_uri, encodable, templates
from synthaug.files import check_new_file, check_outside, write_text
from synthaug.pipelines.describe import describe
from synthaug.runs import Run
from synthaug.version import __version__


def compare(runs: Sequence[Run], *, out: Path | None = None, overwrite: bool = False) -> CompareDocument:
    """Compare runs by what their files say. With `out`, write a page with the samples of each.

    Raises:
        SynthaugError: `out` exists, is no HTML file, or lies inside the data of a run.
    """
    found = [describe(run) for run in runs]
    if out is None:
        return CompareDocument(runs=found)
    if out.suffix.lower() != ".html":
        raise SynthaugError(f"{str(out)!r} is no name of a page", "give a file that ends in .html with --out")
    check_new_file(out, overwrite=overwrite)
    check_outside(out.absolute(), [Path(described.data) for described in found if described.data is not None], "--out")
    shown = [(one, _samples(run, one)) for run, one in zip(runs, found, strict=True)]
    page = templates().get_template("compare.html.j2").render(runs=shown, version=__version__)
    write_text(out, encodable(page))
    return CompareDocument(runs=found, page=str(out.absolute()))


def _samples(run: Run, described: RunDocument) -> str | None:
    """The grid of samples of the best checkpoint, else the newest one, as a data address."""
    grids = sorted(run.samples.glob("*.png"))
    best = run.samples / f"{described.best_checkpoint}.png"
    chosen = best if best in grids else grids[-1] if grids else None
    return None if chosen is None else data_uri(chosen.read_bytes(), "png")
