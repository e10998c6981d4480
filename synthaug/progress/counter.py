"""A task's finished units, its rate and its time left, as text."""

from __future__ import annotations

import time

LINE_SECONDS = 5.0  # between two progress lines without a terminal
AT_ONCE = 0.2  # seconds: what is counted before was done by an earlier call, and says nothing about the rate


class Counter:
    """Counts finished units, and computes the rate and the time left."""

    def __init__(self, name: str, total: float | None, unit: str) -> None:
        self.name, self.total, self.unit = name, total, unit
        self.done = self.kept = 0.0
        self.text = ""
        self.started = time.monotonic()

    def advance(self, amount: float = 1.0) -> None:
        self.done += amount
        if self.seconds < AT_ONCE:
            self.kept = self.done

    def note(self, text: str) -> None:
        self.text = " ".join(text.split())

    @property
    def amount(self) -> str:
        return amount(self.done, self.total, self.unit)

    @property
    def rate(self) -> str:
        """Units a second; empty until it is known."""
        done, seconds = self.done - self.kept, self.seconds
        return f"{done / seconds:.3g} {self.unit}/s" if seconds > 0.5 and done > 0 else ""

    @property
    def left(self) -> str:
        """The time left; until it is known, how long the task has taken."""
        if not self.total or self.done == self.kept:
            return duration(self.seconds)
        return f"{duration(self.seconds * max(0.0, self.total - self.done) / (self.done - self.kept))} left"

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


def amount(done: float, total: float | None, unit: str) -> str:
    """Write how far a task is.

    >>> amount(3, 10, "images"), amount(1.25, 200, "kimg"), amount(7, None, "files")
    ('3/10 images', '1.2/200 kimg', '7 files')
    """
    written = f"{done:,.0f}" if done == int(done) else f"{done:,.1f}"
    return f"{written} {unit}" if total is None else f"{written}/{total:,.6g} {unit}"


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
