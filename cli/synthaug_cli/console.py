"""Output for people: progress on stderr, tables on stdout, one `error:` and one `hint:` line for an error."""

from __future__ import annotations

import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from synthaug.errors import SynthaugError
from synthaug.progress import Progress, Task

if TYPE_CHECKING:  # rich and pydantic are imported only when needed, so that --help is fast
    from pydantic import BaseModel
    from rich.progress import Progress as Bars

LINE_SECONDS = 5.0  # between two progress lines without a terminal


@dataclass
class Flags:
    """The options that every command takes; set once while the command line is parsed."""

    json: bool = False
    debug: bool = False
    quiet: bool = False
    loading: bool = False  # `loading…` stands on the terminal


FLAGS = Flags()
D = TypeVar("D", bound="BaseModel")


def loading() -> None:
    """Show on a terminal at once that the command has begun: its imports take seconds. The first output replaces it."""
    if sys.stderr.isatty() and not FLAGS.quiet:
        print("loading…", end="", file=sys.stderr, flush=True)
        FLAGS.loading = True


def loaded() -> None:
    """Take `loading…` away."""
    if FLAGS.loading:
        FLAGS.loading = False
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def result(document: D, render: Callable[[D], None]) -> None:
    """Print the command's result: the JSON document with `--json`, else with `render`."""
    loaded()
    if FLAGS.json:
        print(document.model_dump_json(indent=2))
    else:
        render(document)


def line(text: str = "") -> None:
    """Print a line of the result without markup and wrapping, so that commands and paths can be copied."""
    print(text)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]], *, words: int = 1) -> None:
    """Draw a table on stdout; the first `words` columns are text, the others are numbers, aligned right."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", pad_edge=False)
    for number, column in enumerate(columns):
        drawn.add_column(Text(column), justify="left" if number < words else "right", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell(value)) for value in row))
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


def duration(seconds: float) -> str:
    """Write seconds as a person would.

    >>> duration(4), duration(200), duration(7300)
    ('4 s', '3 min 20 s', '2 h 01 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def fail(error: SynthaugError) -> int:
    """Show an error once, in two lines, and return its exit status."""
    to_stderr(f"error: {error.message}")
    to_stderr(f"hint: {error.hint}")
    return error.exit_status


def to_stderr(text: str) -> None:
    """Write a line to stderr; go on if its reader has gone away."""
    with suppress(BrokenPipeError, ValueError):
        loaded()
        print(text, file=sys.stderr, flush=True)


def progress() -> Progress:
    """Bars on a terminal, else a line every few seconds; with `--quiet` warnings only."""
    if FLAGS.quiet:
        return QuietProgress()
    return BarProgress() if sys.stderr.isatty() else LineProgress()


def amount(done: float, total: float | None, unit: str) -> str:
    """Write how far a task is.

    >>> amount(3, 10, "images"), amount(1.25, 200, "kimg"), amount(7, None, "files")
    ('3/10 images', '1.2/200 kimg', '7 files')
    """
    written = f"{done:,.0f}" if done == int(done) else f"{done:,.1f}"
    return f"{written} {unit}" if total is None else f"{written}/{total:,.6g} {unit}"


def _wrapped(line: str) -> str:
    """A line in as many as the terminal needs; no word is broken, so that paths can be copied."""
    width = shutil.get_terminal_size().columns
    return textwrap.fill(line, width, break_long_words=False, break_on_hyphens=False)


class QuietProgress:
    """`--quiet`: nothing but warnings."""

    @contextmanager
    def task(self, name: str, total: float | None, unit: str) -> Iterator[Task]:
        yield _Counter(name, total, unit)

    def say(self, line: str) -> None:
        pass

    def warn(self, line: str) -> None:
        to_stderr(f"warning: {' '.join(line.split())}")


class _Counter:
    """Counts finished units, and computes the rate and the time left."""

    def __init__(self, name: str, total: float | None, unit: str) -> None:
        self.name, self.total, self.unit = name, total, unit
        self.done = 0.0
        self.text = ""
        self.started = time.monotonic()

    def advance(self, amount: float = 1.0) -> None:
        self.done += amount

    def note(self, text: str) -> None:
        self.text = " ".join(text.split())

    @property
    def amount(self) -> str:
        return amount(self.done, self.total, self.unit)

    @property
    def rate(self) -> str:
        """Units a second; empty until it is known."""
        seconds = self.seconds
        return f"{self.done / seconds:.3g} {self.unit}/s" if seconds > 0.5 and self.done > 0 else ""

    @property
    def left(self) -> str:
        """The time left; until it is known, how long the task has taken."""
        if not (self.total and self.done):
            return duration(self.seconds)
        return f"{duration(self.seconds * max(0.0, self.total / self.done - 1))} left"

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def line(self) -> str:
        """The state as one line: name, amount, share, rate, time left, note."""
        share = f" ({self.done / self.total:.0%})" if self.total else ""
        left = self.left if self.total and 0 < self.done < self.total else ""
        return f"{self.name}: {', '.join(filter(None, (self.amount + share, self.rate, left, self.text)))}"

    def summary(self) -> str:
        """Amount and duration as one line; empty for a task of less than `LINE_SECONDS`."""
        seconds = self.seconds
        return f"{self.name}: {self.amount} in {duration(seconds)}" if seconds >= LINE_SECONDS else ""


class _Lines(_Counter):
    """A counter that prints a line every `LINE_SECONDS`, and at the end of a longer task."""

    def __init__(self, name: str, total: float | None, unit: str) -> None:
        super().__init__(name, total, unit)
        self.printed = self.started

    def advance(self, amount: float = 1.0) -> None:
        super().advance(amount)
        now = time.monotonic()
        if now - self.printed >= LINE_SECONDS:
            self.printed = now
            to_stderr(self.line())


class LineProgress(QuietProgress):
    """Without a terminal: a line every few seconds."""

    @contextmanager
    def task(self, name: str, total: float | None, unit: str) -> Iterator[Task]:
        counter = _Lines(name, total, unit)
        yield counter
        if text := counter.summary():
            to_stderr(text)

    def say(self, line: str) -> None:
        to_stderr(line)


class BarProgress:
    """On a terminal: one bar per task, nested tasks below each other, then their notes; removed when done.

    Where there is no room, bars get shorter first, then names and notes are cut; amount, rate and time stay whole.
    """

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._open = 0

    def _display(self) -> Bars:
        from rich.console import Console, RenderableType
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bars
        from rich.table import Column
        from rich.text import Text

        class Noted(Bars):
            def get_renderables(self) -> Iterator[RenderableType]:
                yield self.make_tasks_table(self.tasks)
                for task in self.tasks:
                    if task.fields["counter"].text:
                        yield Text(f"  {task.fields['counter'].text}", no_wrap=True, overflow="ellipsis")

        whole = [
            TextColumn("{task.fields[counter]." + part + "}", markup=False, table_column=Column(no_wrap=True))
            for part in ("amount", "rate", "left")
        ]
        return Noted(
            TextColumn("{task.description}", markup=False, table_column=Column(overflow="ellipsis", max_width=28)),
            BarColumn(bar_width=None, table_column=Column(min_width=4, max_width=24, ratio=1)),
            *whole,
            console=Console(stderr=True),
            transient=True,
        )

    @contextmanager
    def task(self, name: str, total: float | None, unit: str) -> Iterator[Task]:
        if self._bars is None:
            loaded()
            self._bars = self._display()
            self._bars.start()
        self._open += 1
        bar = _Bar(self._bars, name, total, unit)
        try:
            yield bar
            if text := bar.summary():
                self._bars.console.print(text, markup=False, highlight=False)
        finally:
            self._open -= 1
            self._bars.remove_task(bar.id)
            if self._open == 0:
                self._bars.stop()
                self._bars = None

    def say(self, line: str) -> None:
        line = _wrapped(line)
        if self._bars is None:
            to_stderr(line)
        else:
            self._bars.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def warn(self, line: str) -> None:
        self.say(f"warning: {' '.join(line.split())}")


class _Bar(_Counter):
    """A counter drawn as a bar."""

    def __init__(self, bars: Bars, name: str, total: float | None, unit: str) -> None:
        super().__init__(name, total, unit)
        self.bars = bars
        self.id = bars.add_task(name, total=total, counter=self)

    def advance(self, amount: float = 1.0) -> None:
        super().advance(amount)
        self.bars.update(self.id, advance=amount)
