"""Two ways of doing one thing, timed in turn within one run, so that a noisy machine disturbs both alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

Work = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """One line of the table: how many times as fast as the other, and what it has to be."""

    what: str
    against: str
    target: float
    ratio: float  # of the medians' kind: the median over rounds of (theirs / ours)
    low: float
    high: float
    ours: str
    theirs: str
    notes: list[str] = field(default_factory=list)

    @property
    def met(self) -> bool:
        return self.ratio >= self.target


def peak_rss() -> int:
    """KiB that this process had at most. `ru_maxrss` would not do: a child begins with its parent's."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def seconds(work: Work) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def compare(
    what: str,
    against: str,
    target: float,
    ours: Work,
    theirs: Work,
    *,
    amount: float,
    unit: str,
    rounds: int = 3,
    warm: bool = True,
    notes: list[str] | None = None,
) -> Row:
    """Time `ours` and `theirs` alternately, each of which does `amount` of `unit`; the ratio is taken round by round.

    Args:
        warm: run both once beforehand, so that imports and allocations are not counted.
    """
    if warm:
        ours()
        theirs()
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
    ratios = [b / a for a, b in pairs]
    mine, other = (amount / statistics.median(times) for times in zip(*pairs, strict=True))
    return Row(
        what,
        against,
        target,
        statistics.median(ratios),
        min(ratios),
        max(ratios),
        f"{readable(mine)} {unit}/s",
        f"{readable(other)} {unit}/s",
        notes or [],
    )


def readable(value: float) -> str:
    """Three digits.

    >>> readable(1234.5), readable(12.345), readable(0.12345)
    ('1,230', '12.3', '0.123')
    """
    if value >= 100:
        digits = len(str(int(value))) - 3
        return f"{round(value, -digits):,.0f}"
    return f"{value:.3g}"
