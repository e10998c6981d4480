"""Training curves over kimg: losses, the discriminator's scores, and the monitor's metrics."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from synthaug.evaluation.report.charts import Table
from synthaug.evaluation.report.svg import (
    Scale,
    drawing,
    number,
    percent,
    plane,
    scale,
    tag,
    tick_labels,
    y_tick_labels,
)

_BINS = 120  # columns into which steps are averaged; about as many as a phone can show
_NAMED = 6  # classes with a colour of their own
_HEIGHT = 190.0
_WIDTH = 1000.0  # of the stretched drawing that holds the lines

Points = list[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Series:
    label: str
    style: str
    points: Points
    band: list[tuple[float, float]] | None = None


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot with axis labels, its legend as (style, label), and the table of its numbers."""

    heading: str
    drawing: Markup
    y_labels: Markup
    x_labels: Markup
    legend: list[tuple[str, str]]
    table: Table


def chosen_kimg(rows: Sequence[Mapping[str, Any]]) -> float | None:
    """The kimg of the checkpoint that the monitor chose: its last best."""
    best = [_finite(row.get("kimg")) for row in rows if row.get("kind") == "monitor" and row.get("best")]
    return next((kimg for kimg in reversed(best) if kimg is not None), None)


def training_plots(rows: Sequence[Mapping[str, Any]], targets: Sequence[str]) -> list[Plot]:
    """All plots for which `metrics.jsonl` has at least two points. Unusable rows are skipped."""
    chosen = chosen_kimg(rows)
    steps = _sorted(rows, "step")
    monitor = _sorted(rows, "monitor")
    end = max((kimg for kimg, _ in (*steps, *monitor)), default=0.0)
    plots = []
    for heading, keys in (
        ("Losses", (("discriminator", "loss_d"), ("generator", "loss_g"))),
        ("The discriminator's mean score", (("real images", "real_score"), ("generated images", "fake_score"))),
    ):
        lines = [_binned(label, f"s{i + 1}", _points(steps, _key(key))) for i, (label, key) in enumerate(keys)]
        plots.append(_plot(heading, [line for line in lines if line], end, chosen, markers=False))
    for heading, key, unit in (
        ("KID against real images (lower is better)", "kid", False),
        ("Coverage of the real images (higher is better)", "coverage", True),
        ("Share of samples very close to a training image (lower is better)", "copies", False),
    ):
        plots.append(_plot(heading, _monitor_series(monitor, targets, key), end, chosen, markers=True, unit=unit))
    picked = _points(monitor, _key("score"))
    score = [Series("score of the checkpoint", "sp", picked)] if picked else []
    plots.append(_plot("Score by which the checkpoint is chosen (lower is better)", score, end, chosen, markers=True))
    return [plot for plot in plots if plot is not None]


def _monitor_series(
    monitor: Sequence[tuple[float, Mapping[str, Any]]], targets: Sequence[str], key: str
) -> list[Series]:
    seen = {name for _, row in monitor if isinstance(row.get("per_class"), Mapping) for name in row["per_class"]}
    names = [t for t in targets if t in seen] + sorted(seen - set(targets))
    series: list[Series] = []
    for name in names:
        points = _points(monitor, lambda row, name=name: _nested(row, "per_class", name, key))  # type: ignore[misc]
        style = f"s{len(series) + 1}" if name in targets and len(series) < _NAMED else "sx"
        if points:
            references = {_nested(row, "per_class", name, "reference") for _, row in monitor}
            flattered = " (against training images)" if key != "copies" and "train" in references else ""
            series.append(Series(f"{name}{flattered}", style, points))
    pooled = _points(monitor, lambda row: _nested(row, "pooled", key))
    if pooled:
        series.append(Series("all classes pooled", "sp", pooled))
    return series


def _plot(
    heading: str, series: Sequence[Series], end: float, chosen: float | None, *, markers: bool, unit: bool = False
) -> Plot | None:
    if not series or end <= 0 or max(len(s.points) for s in series) < 2:
        return None
    x = scale([end])
    x = Scale(0.0, end, tuple(t for t in x.ticks if t <= end))
    values = [v for s in series for _, v in s.points] + _middle(
        v for s in series for pair in s.band or () for v in pair
    )
    y = scale([*values, 1.0]) if unit else scale(values)
    lines = [tag("polygon", class_=f"spread {s.style}", points=_path(_outline(s), x, y)) for s in series if s.band]
    lines += [tag("polyline", class_=f"line {s.style}", points=_path(s.points, x, y)) for s in series]
    box = f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}"
    parts = [
        plane(x, y, _HEIGHT),
        tag("svg", *lines, width="100%", height=_HEIGHT, viewBox=box, preserveAspectRatio="none", aria_hidden="true"),
    ]
    for s in series if markers else ():
        if s.style != "sx":
            parts += [_point(s.style, x.at(k), y.down(v, _HEIGHT)) for k, v in s.points]
    if chosen is not None:
        parts.append(_chosen_mark(x.at(chosen)))
    return Plot(
        heading,
        drawing(*parts, height=_HEIGHT, class_="plot", alt=_words(heading, series, chosen)),
        y_tick_labels(y, _HEIGHT),
        tick_labels(x),
        _legend(series),
        _table(series),
    )


def _middle(values: Iterable[float]) -> list[float]:
    """Without the lowest and highest 2%: a spike must not flatten the rest of the curve."""
    ordered = sorted(values)
    cut = len(ordered) // 50
    return ordered[cut : len(ordered) - cut]


def _chosen_mark(at: float) -> Markup:
    text, dx, anchor = ("chosen ▸", -5, "end") if at > 60 else ("◂ chosen", 5, "start")
    line = tag("line", class_="chosen", x1=percent(at), x2=percent(at), y1=0, y2=_HEIGHT)
    return line + tag("text", text, class_="chosen-label", x=percent(at), y=12, dx=dx, text_anchor=anchor)


def _legend(series: Sequence[Series]) -> list[tuple[str, str]]:
    named = [(s.style, s.label) for s in series if s.style != "sx"]
    rest = sum(s.style == "sx" for s in series)
    return named + ([("sx", "1 other class" if rest == 1 else f"{rest} other classes")] if rest else [])


def _table(series: Sequence[Series]) -> Table:
    kimg = sorted({k for s in series for k, _ in s.points})
    columns = [dict(s.points) for s in series]
    return Table(
        ["kimg", *(s.label for s in series)],
        [[f"{k:g}" if k < 10 else f"{k:.1f}", *(number(c.get(k), 4) for c in columns)] for k in kimg],
    )


def _words(heading: str, series: Sequence[Series], chosen: float | None) -> str:
    ends = "; ".join(
        f"{s.label} from {number(s.points[0][1])} to {number(s.points[-1][1])}" for s in series if s.style != "sx"
    )
    at = f". The chosen checkpoint is at {chosen:g} kimg" if chosen is not None else ""
    return f"{heading} over training: {ends}{at}."


def _point(style: str, x: float, y: float) -> Markup:
    return tag("circle", class_=f"point {style}", cx=percent(x), cy=f"{y:.1f}", r=2.6)


def _outline(series: Series) -> Points:
    band = series.band or []
    upper = [(k, high) for (k, _), (_, high) in zip(series.points, band, strict=True)]
    lower = [(k, low) for (k, _), (low, _) in zip(series.points, band, strict=True)]
    return upper + lower[::-1]


def _path(points: Points, x: Scale, y: Scale) -> str:
    return " ".join(f"{x.at(k) * _WIDTH / 100:.1f},{y.down(v, _HEIGHT):.1f}" for k, v in points)


def _binned(label: str, style: str, points: Points) -> Series | None:
    """Means of at most `_BINS` columns, with the spread inside each."""
    if not points:
        return None
    if len(points) <= _BINS:
        return Series(label, style, points)
    means, band = [], []
    for i in range(_BINS):
        part = points[i * len(points) // _BINS : (i + 1) * len(points) // _BINS]
        values = [v for _, v in part]
        means.append((part[-1][0], math.fsum(values) / len(values)))
        band.append((min(values), max(values)))
    return Series(label, style, means, band)


def _sorted(rows: Sequence[Mapping[str, Any]], kind: str) -> list[tuple[float, Mapping[str, Any]]]:
    """Rows of one kind by kimg. Of rows written twice (before and after a resume), the later one counts."""
    found = {k: r for r in rows if r.get("kind") == kind and (k := _finite(r.get("kimg"))) is not None}
    return sorted(found.items(), key=lambda item: item[0])


def _points(rows: Sequence[tuple[float, Mapping[str, Any]]], read: Callable[[Mapping[str, Any]], object]) -> Points:
    return [(kimg, value) for kimg, row in rows if (value := _finite(read(row))) is not None]


def _key(key: str) -> Callable[[Mapping[str, Any]], object]:
    return lambda row: row.get(key)


def _nested(row: Mapping[str, Any], *keys: str) -> object:
    value: object = row
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _finite(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None
