"""Progress on stderr: bars on a terminal, else a line every few seconds."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from synthaug.progress.base import Task
from synthaug.progress.counter import LINE_SECONDS, Counter

if TYPE_CHECKING:  # rich is imported only when needed, so that --help is fast
    from rich.progress import Progress as Bars


_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")  # without tabs and new lines
_WHOLE = re.compile(r"`[^`]*`|(?<=: )(?:synthaug|pip|rm|ssh) .*|--[\w-]+[ =](?:'[^']*'|\S+)")
"""What a reader pastes: a command, or an option with its value."""
_loading = False  # `loading…` stands on the terminal


def loading() -> None:
    """Show on a terminal at once that the command has begun: its imports take seconds. The first output replaces it."""
    global _loading
    if on_terminal():
        print("loading…", end="", file=sys.stderr, flush=True)
        _loading = True


def loaded() -> None:
    """Take `loading…` away."""
    global _loading
    if _loading:
        _loading = False
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def on_terminal() -> bool:
    """Whether a person at a terminal reads stderr."""
    return sys.stderr is not None and sys.stderr.isatty()


def harmless(text: str) -> str:
    """The text without characters that a terminal obeys: names of files and texts in runs may come from anybody.

    >>> harmless("\\x1b[2J.png")
    '\\\\x1b[2J.png'
    """
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


def to_stderr(text: str) -> None:
    """Write lines to stderr, wrapped on a terminal; go on if its reader has gone away."""
    with suppress(BrokenPipeError, ValueError):
        loaded()
        text = harmless(text)
        if on_terminal():
            text = "\n".join(map(wrapped, text.split("\n")))
        print(text, file=sys.stderr, flush=True)


def wrapped(line: str, indent: int = 0) -> str:
    """A line in as many as the terminal needs, all but the first with `indent` spaces.

    No word and no command is broken, so that paths and commands can be copied.
    """
    width, spaces = shutil.get_terminal_size().columns, " " * indent
    line = _WHOLE.sub(lambda found: found[0].replace(" ", "\0"), line)  # `harmless` leaves no other NUL
    filled = textwrap.fill(line, width, subsequent_indent=spaces, break_long_words=False, break_on_hyphens=False)
    return filled.replace("\0", " ")


class QuietProgress:
    """Nothing but warnings, and what was asked for."""

    @contextmanager
    def task(self, name: str, total: float | None, unit: str) -> Iterator[Task]:
        yield Counter(name, total, unit)

    def say(self, line: str) -> None:
        pass

    def announce(self, line: str) -> None:
        to_stderr(line)

    def warn(self, line: str) -> None:
        to_stderr(f"warning: {' '.join(line.split())}")


class _Lines(Counter):
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
                        yield Text(harmless(f"  {task.fields['counter'].text}"), no_wrap=True, overflow="ellipsis")

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
                self._bars.console.print(harmless(text), markup=False, highlight=False)
        finally:
            self._open -= 1
            self._bars.remove_task(bar.id)
            if self._open == 0:
                self._bars.stop()
                self._bars = None

    def say(self, line: str) -> None:
        if self._bars is None:
            to_stderr(line)
        else:
            self._bars.console.print(wrapped(harmless(line)), markup=False, highlight=False, soft_wrap=True)

    def announce(self, line: str) -> None:
        self.say(line)

    def warn(self, line: str) -> None:
        self.say(f"warning: {' '.join(line.split())}")


class _Bar(Counter):
    """A counter drawn as a bar."""

    def __init__(self, bars: Bars, name: str, total: float | None, unit: str) -> None:
        super().__init__(name, total, unit)
        self.bars = bars
        self.id = bars.add_task(harmless(name), total=total, counter=self)

    def advance(self, amount: float = 1.0) -> None:
        super().advance(amount)
        self.bars.update(self.id, advance=amount)
