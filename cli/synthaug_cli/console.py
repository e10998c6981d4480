"""Output for people: progress on stderr, tables on stdout, one `error:` and one `hint:` line for an error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from synthaug.errors import SynthaugError
from synthaug.progress import Progress, terminal
from synthaug.progress.counter import duration as duration
from synthaug.progress.terminal import BarProgress, LineProgress, QuietProgress, harmless, loaded, on_terminal, wrapped
from synthaug.progress.terminal import to_stderr as to_stderr

if TYPE_CHECKING:  # pydantic is imported only when needed, so that --help is fast
    from pydantic import BaseModel


@dataclass
class Flags:
    """The options that every command takes; set once while the command line is parsed."""

    json: bool = False
    debug: bool = False
    quiet: bool = False


FLAGS = Flags()
D = TypeVar("D", bound="BaseModel")


def loading() -> None:
    """Show on a terminal at once that the command has begun, unless it is to be quiet."""
    if not FLAGS.quiet:
        terminal.loading()


def result(document: D, render: Callable[[D], None]) -> None:
    """Print the command's result: the JSON document with `--json`, else with `render`."""
    loaded()
    if FLAGS.json:
        print(document.model_dump_json(indent=2))
    else:
        render(document)


def line(text: str = "") -> None:
    """Print a line of the result without markup and wrapping, so that commands and paths can be copied."""
    print(harmless(text))


def prose(text: str, indent: int = 0) -> None:
    """Print a sentence that nobody pastes: on a terminal, lines break between words, and go on `indent` spaces in."""
    if not sys.stdout.isatty():
        line(text)
        return
    for part in text.split("\n"):
        print(wrapped(harmless(part), indent))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, words: int = 1) -> None:
    """Draw a table on stdout; the first `words` columns are text, the others are numbers, aligned right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", pad_edge=False)
    for number, column in enumerate(columns):
        drawn.add_column(Text(harmless(column)), justify="left" if number < words else "right", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(harmless(cell(value))) for value in row))
    console = Console(file=sys.stdout)
    if not console.is_terminal:
        console = Console(file=sys.stdout, width=160)
    console.print(drawn)


def cell(value: object) -> str:
    """Write a value for a person: numbers with three digits, None as a dash.

    >>> cell(0.12345), cell(12345), cell(None)
    ('0.123', '12,345', '–')
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 100 else f"{value:,.1f}"
    return str(value)


def fail(error: SynthaugError) -> int:
    """Show an error once, in two lines, and return its exit status."""
    to_stderr(f"error: {error.message}")
    to_stderr(f"hint: {error.hint}")
    return error.exit_status


def progress() -> Progress:
    """Bars on a terminal, else a line every few seconds; with `--quiet` warnings only."""
    if FLAGS.quiet:
        return QuietProgress()
    return BarProgress() if on_terminal() else LineProgress()
