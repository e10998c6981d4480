"""`synthaug runs ls|show|compare|prune`: the runs in a folder."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synthaug.errors import plural
from synthaug_cli import console
from synthaug_cli.completion import values_of
from synthaug_cli.help import Command, Group
from synthaug_cli.options import RunArgument, Runs, everywhere

if TYPE_CHECKING:
    from synthaug.documents import CompareDocument, PruneDocument, RunDocument, RunsDocument

app = typer.Typer(name="runs", help="List, show, compare and remove runs.", cls=Group, rich_markup_mode=None)


@app.callback()
@everywhere
def group() -> None:
    """List, show, compare and remove runs."""


@app.command("ls", cls=Command)
@everywhere
def ls(runs: Runs = None) -> None:
    """List the runs, newest first.

    Examples:
        synthaug runs ls
        synthaug runs ls --runs elsewhere --json
    """
    from synthaug.documents import RunsDocument
    from synthaug.pipelines.describe import describe
    from synthaug.runs import all_runs, default_root

    root = default_root() if runs is None else runs
    found = [describe(run) for run in reversed(all_runs(root))]
    console.result(RunsDocument(root=str(root), runs=found), render_list)


@app.command("show", cls=Command)
@everywhere
def show(run: RunArgument = None, runs: Runs = None) -> None:
    """Describe a run: data, configuration, progress, checkpoints.

    Examples:
        synthaug runs show
        synthaug runs show 7
    """
    from synthaug.pipelines.describe import describe
    from synthaug.runs import find

    console.result(describe(find(run, runs)), render_run)


@app.command("compare", cls=Command)
@everywhere
def compare(
    names: Annotated[
        list[str],
        typer.Argument(metavar="RUN...", help="Paths, names or numbers of runs.", autocompletion=values_of("RUN...")),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE.html", help="Write a page with the samples side by side.", rich_help_panel="Output"
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the page of an earlier call.", rich_help_panel="Output")
    ] = False,
    runs: Runs = None,
) -> None:
    """Compare runs by score, verdict and gain; with --out, as a page.

    Examples:
        synthaug runs compare 6 7
        synthaug runs compare 6 7 --out side-by-side.html
    """
    from synthaug.pipelines import compare
    from synthaug.runs import find

    found = [find(name, runs) for name in names]
    console.result(compare.compare(found, out=out, overwrite=overwrite), render_comparison)


@app.command("prune", cls=Command)
@everywhere
def prune(
    keep: Annotated[
        int | None,
        typer.Option("--keep", metavar="N", min=0, help="Remove all but the newest N runs.", rich_help_panel="Run"),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Remove them; by default they are only listed.", rich_help_panel="Run")
    ] = False,
    runs: Runs = None,
) -> None:
    """Remove runs without a checkpoint; with --keep, all but the newest.

    Examples:
        synthaug runs prune
        synthaug runs prune --keep 5 --yes
    """
    from synthaug.documents import PruneDocument
    from synthaug.locks import Held, is_held
    from synthaug.pipelines.describe import checkpoints
    from synthaug.runs import all_runs, default_root

    root = default_root() if runs is None else runs
    found = all_runs(root)
    older = found[: max(0, len(found) - keep)] if keep is not None else [r for r in found if not checkpoints(r)]
    removed = [r for r in older if not is_held(r.path)]
    folders = [run for run in removed if not run.path.is_symlink()]
    size = sum(f.stat().st_size for run in folders for f in run.path.rglob("*") if f.is_file())
    if yes:
        for run in folders:
            with suppress(Held), run.writing():
                shutil.rmtree(run.path)
        for link in (run.path for run in removed if run not in folders):
            link.unlink()  # and not the run elsewhere that it leads to
        _repair_latest(root)
    console.result(PruneDocument(root=str(root), runs=[r.name for r in removed], bytes=size, removed=yes), render_prune)


def _repair_latest(root: Path) -> None:
    """If `latest` points to a removed run, point it to the newest remaining one."""
    from synthaug.runs import all_runs, point_latest

    latest = root / "latest"
    if latest.is_symlink() and not latest.exists():
        left = all_runs(root)
        if left:
            point_latest(left[-1])
        else:
            latest.unlink()


def render_list(listed: RunsDocument) -> None:
    if not listed.runs:
        console.line(f"no runs in {listed.root}")
        return
    console.table(
        f"runs in {listed.root}",
        ["run", "state", "targets", "verdict", "gain", "kimg", "score"],
        [[Path(r.run).name, r.state, ", ".join(r.targets), *_result(r), r.kimg, r.score] for r in listed.runs],
        words=5,
    )


def _result(run: RunDocument) -> tuple[str | None, str | None]:
    """Verdict and gain."""
    return run.verdict, None if run.gain is None else run.gain.text()


def render_comparison(compared: CompareDocument) -> None:
    console.table(
        "",
        ["run", "generator", "verdict", "gain", "kimg", "minutes", "score"],
        [
            [
                Path(r.run).name, f"{r.family}, {r.resolution} px" if r.family else r.state, *_result(r), r.kimg,
                None if r.seconds is None else r.seconds / 60, r.score,
            ] for r in compared.runs
        ],
        words=4,
    )  # fmt: skip
    console.line("score: of the best checkpoint; lower is better, on the same data only")
    if compared.page is not None:
        console.line(f"page: {compared.page}")


def render_run(run: RunDocument) -> None:
    console.line(f"run          {run.run}")
    console.line(f"state        {run.state}, {console.cell(run.kimg)} kimg, {run.updated or 'never updated'}")
    console.line(f"data         {run.data}")
    console.line(f"classes      {', '.join(run.classes)}")
    console.line(f"targets      {', '.join(run.targets)}")
    console.line(f"model        {run.family}, {run.resolution} px, seed {run.seed}")
    best = f", best {run.best_checkpoint} with score {console.cell(run.score)}" if run.best_checkpoint else ""
    console.line(f"checkpoints  {', '.join(run.checkpoints) or 'none'}{best}")
    gain = "" if run.gain is None else f", {run.gain.text()}"
    console.line(f"verdict      {run.verdict or 'not evaluated'}{gain}")


def render_prune(pruned: PruneDocument) -> None:
    verb = "removed" if pruned.removed else "would remove"
    for name in pruned.runs:
        console.line(f"{verb} {name}")
    how = "" if pruned.removed or not pruned.runs else "; add --yes to remove them"
    console.line(f"{verb} {plural(len(pruned.runs), 'run')}, {pruned.bytes / 1e6:,.1f} MB{how}")
