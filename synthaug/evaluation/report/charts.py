"""Charts of scores: bars with seeds and intervals, distances next to their floor.

Each row of a chart is a label, a drawing and a value as text, so that the page can be read as a list without CSS.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from synthaug.documents import Contrast, Range
from synthaug.evaluation.report.scores import Estimate
from synthaug.evaluation.report.svg import UNIT, Scale, drawing, gridlines, number, percent, scale, tag, tick_labels

_BAR = 26  # height of a row in pixels
_JITTER = (-3.5, 2.5, -1.0, 4.0, 0.5)  # so that the dots of seeds with equal scores do not hide each other


@dataclass(frozen=True, slots=True)
class Table:
    """The numbers behind a figure; the columns `words` are text, the others numbers."""

    head: list[str]
    body: list[list[str]]
    words: tuple[int, ...] = (0,)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a figure.

    `group` is a heading above it, with a `note` in small print. `flag` follows the value; `picture`, a data URI, comes
    before the label.
    """

    label: str
    drawing: Markup
    value: str
    kind: str = ""
    title: str = ""
    group: str = ""
    note: str = ""
    flag: str = ""
    picture: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """Rows over one common axis."""

    rows: list[Row]
    axis: Markup
    table: Table
    heading: str = ""
    notes: list[str] = field(default_factory=list)


def whisker(axis: Scale, low: float, high: float, y: float, cap: float = 4.0, class_: str = "whisker") -> Markup:
    """An interval: a line with a cap at either end."""
    left, right = percent(axis.at(low)), percent(axis.at(high))
    line = tag("line", class_=class_, x1=left, x2=right, y1=y, y2=y)
    ends = [tag("line", class_=class_, x1=x, x2=x, y1=y - cap, y2=y + cap) for x in (left, right)]
    return Markup("").join([line, *ends])


def estimate_mark(axis: Scale, found: Range | Contrast, side: str, height: float) -> Markup:
    """A mean as a circle with its interval. `side` is the CSS class: better, worse or unclear."""
    parts = []
    if math.isfinite(found.low) and math.isfinite(found.high):
        parts.append(whisker(axis, found.low, found.high, height / 2, class_=f"whisker {side}"))
    if math.isfinite(found.mean):
        parts.append(tag("circle", class_=f"mark {side}", cx=percent(axis.at(found.mean)), cy=height / 2, r=4.5))
    return Markup("").join(parts)


def floor_band(axis: Scale, floor: Range, y: float, height: float) -> Markup:
    """The range of real images, as a rectangle that is always wide enough to be seen."""
    left, width = axis.at(floor.low), max(axis.at(floor.high) - axis.at(floor.low), 0.6)
    return tag("rect", class_="floor", x=percent(left), y=y, width=percent(width), height=height)


def bars(heading: str, estimates: Mapping[str, Estimate], kinds: Mapping[str, str], titles: Mapping[str, str]) -> Chart:
    """F1 of one class, a bar for each arm: the mean, its interval, and a dot for each seed; all in [0, 1]."""
    rows = []
    for name, estimate in estimates.items():
        parts = [gridlines(UNIT, _BAR)]
        if math.isfinite(estimate.mean):
            width = percent(UNIT.at(estimate.mean))
            parts.append(tag("rect", class_=f"bar {kinds[name]}", x=0, y=5, width=width, height=_BAR - 10, rx=2))
        if estimate.low is not None and estimate.high is not None:
            parts.append(whisker(UNIT, estimate.low, estimate.high, _BAR / 2))
        for seed, value in enumerate(v for v in estimate.per_seed if math.isfinite(v)):
            y = _BAR / 2 + _JITTER[seed % len(_JITTER)]
            parts.append(tag("circle", class_="seed", cx=percent(UNIT.at(value)), cy=y, r=2.2))
        rows.append(
            Row(name, drawing(*parts, height=_BAR, class_="track"), estimate.text(), kinds[name], titles.get(name, ""))
        )
    seeds = max((len(e.per_seed) for e in estimates.values()), default=0)
    table = Table(
        ["arm", "mean", "low", "high", *(f"seed {i + 1}" for i in range(seeds))],
        [
            [name, number(e.mean), number(e.low), number(e.high)]
            + [number(e.per_seed[i]) if i < len(e.per_seed) else "–" for i in range(seeds)]
            for name, e in estimates.items()
        ],
    )
    return Chart(rows, tick_labels(UNIT), table, heading)


def range_text(r: Range | None, decimals: int = 3) -> str:
    """`0.549 [0.489, 0.609]`; without brackets if the interval is unknown."""
    if r is None:
        return "–"
    spread = f" [{number(r.low, decimals)}, {number(r.high, decimals)}]" if r.high > r.low else ""
    return f"{number(r.mean, decimals)}{spread}"


def floors(
    heading: str,
    rows: Sequence[tuple[str, Range | None, Range | None, Range | None]],
    *,
    names: tuple[str, str] = ("generator", "export"),
    unit_interval: bool = False,
) -> Chart | None:
    """A score of generator and export for each class, drawn over the score of real images against real ones.

    Each row is (class, ungated, gated, floor). None if nothing was measured.
    """
    measured = [r for _, *ranges in rows for r in ranges if r is not None]
    if not any(first or second for _, first, second, _ in rows):
        return None
    axis = UNIT if unit_interval else scale([v for r in measured for v in (r.low, r.mean, r.high)])
    drawn = []
    for label, first, second, floor in rows:
        parts = [gridlines(axis, 34)]
        if floor is not None and math.isfinite(floor.mean):
            parts.append(floor_band(axis, floor, 2, 30))
        for r, y, mark in ((first, 10, "hollow"), (second, 24, "filled")):
            if r is None or not math.isfinite(r.mean):
                continue
            if r.high > r.low:
                parts.append(whisker(axis, r.low, r.high, y, 3))
            parts.append(tag("circle", class_=f"dot {mark}", cx=percent(axis.at(r.mean)), cy=y, r=4))
        value = " · ".join(
            f"{name} {number(r.mean)}" for name, r in zip((*names, "real"), (first, second, floor), strict=True) if r
        )
        drawn.append(Row(label, drawing(*parts, height=34, class_="track"), value))
    body = [[label, *(range_text(r) for r in ranges)] for label, *ranges in rows]
    return Chart(drawn, tick_labels(axis), Table(["class", *names, "real against real"], body), heading)
