"""How a pipeline reports its progress: what it calls. Other files of this package draw it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Task(Protocol):
    """One progress bar: `advance` adds finished units, `note` replaces the text behind the bar (losses, scores)."""

    def advance(self, amount: float = 1.0) -> None: ...

    def note(self, text: str) -> None: ...


class Progress(Protocol):
    """Receives a pipeline's progress. The command line writes it to stderr, for people."""

    @contextmanager
    def task(self, name: str, total: float | None, unit: str) -> Iterator[Task]:
        """Open a bar of `total` `unit`s (None: unknown)."""
        ...

    def say(self, line: str) -> None:
        """Print a line."""
        ...

    def announce(self, line: str) -> None:
        """Print a line that was asked for, such as the address of a page; also with `--quiet`."""
        ...

    def warn(self, line: str) -> None:
        """Print a warning about something that limits the result."""
        ...


class _SilentTask:
    def advance(self, amount: float = 1.0) -> None:
        pass

    def note(self, text: str) -> None:
        pass


class Silent:
    """Discards all progress."""

    @contextmanager
    def task(self, name: str, total: float | None, unit: str) -> Iterator[Task]:
        yield _SilentTask()

    def say(self, line: str) -> None:
        pass

    def announce(self, line: str) -> None:
        pass

    def warn(self, line: str) -> None:
        pass
