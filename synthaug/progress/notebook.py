"""Progress in a notebook: one block of HTML below the cell, which is redrawn as the work goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

from synthaug.progress.base import Task
from synthaug.progress.counter import Counter

_SECONDS = 0.5  # between two drawings


class NotebookProgress:
    """Lines, warnings and finished tasks, and below them a bar for each open task. Needs no widgets."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._lines: list[str] = []
        self._open: list[Counter] = []
        self._drawn = 0.0

    @contextmanager
    def task(self, name: str, total: float | None, unit: str) -> Iterator[Task]:
        bar = _Bar(self, name, total, unit)
        self._open.append(bar)
        self.draw()
        try:
            yield bar
            if text := bar.summary():
                self._lines.append(escape(text))
        finally:
            self._open.remove(bar)
            self.draw(now=not self._open)

    def say(self, line: str) -> None:
        self._lines.append(escape(line))
        self.draw(now=True)

    def announce(self, line: str) -> None:
        self.say(line)

    def warn(self, line: str) -> None:
        self._lines.append(f"<b>warning:</b> {escape(' '.join(line.split()))}")
        self.draw(now=True)

    def draw(self, now: bool = False) -> None:
        """Redraw the block, if that was long ago, or `now`."""
        if not now and time.monotonic() - self._drawn < _SECONDS:
            return
        self._drawn = time.monotonic()
        from IPython.display import HTML, display

        block = HTML("".join(f"<div>{line}</div>" for line in [*self._lines, *map(_drawn, self._open)]))
        if self._handle is None:
            self._handle = display(block, display_id=True)
        else:
            self._handle.update(block)


class _Bar(Counter):
    """A counter that redraws the block."""

    def __init__(self, progress: NotebookProgress, name: str, total: float | None, unit: str) -> None:
        super().__init__(name, total, unit)
        self._progress = progress

    def advance(self, amount: float = 1.0) -> None:
        super().advance(amount)
        self._progress.draw()


def _drawn(counter: Counter) -> str:
    value = f' value="{min(counter.done / counter.total, 1):.3f}"' if counter.total else ""
    return f"<progress{value}></progress> {escape(counter.line())}"
