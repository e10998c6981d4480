"""Charts of scores: bars with seeds and intervals, contrasts around zero, distances beside their floor.

Each row of a chart is a label, a drawing and a value in words, so that a page without CSS still reads as a list.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from synthaug.documents import Contrast, Range
from synthaug.evaluation.report.scores import Estimate
from synthaug.evaluation.report.svg import (
    UNIT,
    Scale,
    drawing,
    gridlines,
    number,
    percent,
    scale,
    signed,
    tag,
    tick_labels,
)

_BAR = 26  # height of a row in pixels
_TALL = 42  # height of a row whose label has two lines, so that zero's line is not broken between rows
_JITTER = (-3.5, 2.5, -1.0, 4.0, 0.5)  # seeds that score alike must not hide one another


@dataclass(frozen=True, slots=True)
class Table:
    """The numbers behind a figure."""

    head: list[str]
    body: list[list[str]]


@dataclass(frozen=True, slots=True)
class Row:
    label: str
    drawing: Markup
    value: str
    kind: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """Rows over one common axis."""

    rows: list[Row]
    axis: Markup
    table: Table
    heading: str = ""
    notes: list[str] = field(default_factory=list)


def _whisker(axis: Scale, low: float, high: float, y: float, cap: float = 4.0, class_: str = "whisker") -> Markup:
    left, right = percent(axis.at(low)), percent(axis.at(high))
    line = tag("line", class_=class_, x1=left, x2=right, y1=y, y2=y)
    ends = [tag("line", class_=class_, x1=x, x2=x, y1=y - cap, y2=y + cap) for x in (left, right)]
    return Markup("").join([line, *ends])


def bars(heading: str, estimates: Mapping[str, Estimate], kinds: Mapping[str, str], titles: Mapping[str, str]) -> Chart:
    """One bar an arm for one class: the mean, its interval, and a dot for each seed; all on [0, 1]."""
    rows = []
    for name, estimate in estimates.items():
        parts = [gridlines(UNIT, _BAR)]
        if math.isfinite(estimate.mean):
            width = percent(UNIT.at(estimate.mean))
            parts.append(tag("rect", class_=f"bar {kinds[name]}", x=0, y=5, width=width, height=_BAR - 10, rx=2))
        if estimate.low is not None and estimate.high is not None:
            parts.append(_whisker(UNIT, estimate.low, estimate.high, _BAR / 2))
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


def contrasts(groups: Sequence[tuple[str, Mapping[str, Contrast], float | None]]) -> Chart:
    """Differences with their intervals around zero.

    Each group is (what was scored, contrast → difference, smallest effect that the test could have shown). The
    band is that effect; a filled mark is a difference whose interval leaves zero out, a hollow one is not.
    """
    shown = [(title, name, c, band) for title, named, band in groups for name, c in named.items()]
    reach = [v for _, _, c, band in shown for v in (c.low, c.high, c.mean, band)]
    axis = scale(reach, differences=True, at_least=0.02)
    rows = []
    for title, name, contrast, band in shown:
        parts = []
        if band is not None and math.isfinite(band) and band > 0:
            left, right = axis.at(-band), axis.at(band)
            parts.append(tag("rect", class_="band", x=percent(left), y=0, width=percent(right - left), height=_TALL))
        parts.append(gridlines(axis, _TALL))
        side = _side(contrast)
        if math.isfinite(contrast.low) and math.isfinite(contrast.high):
            parts.append(_whisker(axis, contrast.low, contrast.high, _TALL / 2, 5, f"whisker {side}"))
        if math.isfinite(contrast.mean):
            x = percent(axis.at(contrast.mean))
            parts.append(tag("circle", class_=f"mark {side}", cx=x, cy=_TALL / 2, r=5))
        value = f"{signed(contrast.mean)} [{signed(contrast.low)}, {signed(contrast.high)}]"
        rows.append(Row(title, drawing(*parts, height=_TALL, class_="track"), value, side, contrast_words(name)))
    table = Table(
        ["scored", "contrast", "difference", "low", "high", "p", "smallest detectable"],
        [
            [
                title,
                contrast_words(name),
                signed(c.mean),
                signed(c.low),
                signed(c.high),
                number(c.p_value),
                number(band),
            ]
            for title, name, c, band in shown
        ],
    )
    return Chart(rows, tick_labels(axis), table)


def contrast_words(name: str) -> str:
    """`synthetic-oversample` as it is read.

    >>> contrast_words("synthetic+classical-class-weights")
    'synthetic + classical − class-weights'
    """
    after, _, before = name.partition("-")  # no synthetic arm has a hyphen in its name
    return f"{after} − {before}".replace("+", " + ") if before else name


def _side(contrast: Contrast) -> str:
    return "better" if contrast.low > 0 else "worse" if contrast.high < 0 else "unclear"


def floors(
    heading: str,
    rows: Iterable[tuple[str, Range | float | None, Range | float | None, Range | None]],
    *,
    names: tuple[str, str] = ("generator", "export"),
    unit_interval: bool = False,
) -> Chart | None:
    """A score of generator and export per class, over what real images score against real ones.

    Each row is (class, ungated, gated, floor). None when nothing was measured.
    """
    given = [(label, _range(first), _range(second), floor) for label, first, second, floor in rows]
    measured = [r for _, first, second, floor in given for r in (first, second, floor) if r is not None]
    if not any(first or second for _, first, second, _ in given):
        return None
    axis = UNIT if unit_interval else scale([v for r in measured for v in (r.low, r.mean, r.high)])
    drawn = []
    for label, first, second, floor in given:
        parts = [gridlines(axis, 34)]
        if floor is not None and math.isfinite(floor.mean):
            left, right = axis.at(floor.low), axis.at(floor.high)
            width = percent(max(right - left, 0.6))
            parts.append(tag("rect", class_="floor", x=percent(left), y=2, width=width, height=30))
        for r, y, mark in ((first, 10, "hollow"), (second, 24, "filled")):
            if r is None or not math.isfinite(r.mean):
                continue
            if r.high > r.low:
                parts.append(_whisker(axis, r.low, r.high, y, 3))
            parts.append(tag("circle", class_=f"dot {mark}", cx=percent(axis.at(r.mean)), cy=y, r=4))
        value = " · ".join(
            f"{name} {number(r.mean)}" for name, r in zip((*names, "floor"), (first, second, floor), strict=True) if r
        )
        drawn.append(Row(label, drawing(*parts, height=34, class_="track"), value))
    table = Table(
        ["class", *(f"{n}{s}" for n in (*names, "floor") for s in ("", " low", " high"))],
        [
            [label, *(number(v) for r in ranges for v in ((r.mean, r.low, r.high) if r else (None,) * 3))]
            for label, *ranges in given
        ],
    )
    return Chart(drawn, tick_labels(axis), table, heading)


def _range(value: Range | float | None) -> Range | None:
    if value is None or isinstance(value, Range):
        return value
    return Range(mean=value, low=value, high=value)
