"""The learning curve as a figure: F1 by number of real images, and F1 with synthetic images."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from synthaug.documents import EvaluateDocument, TargetCurve
from synthaug.evaluation.report.charts import Table
from synthaug.evaluation.report.svg import (
    drawing,
    number,
    percent,
    plane,
    scale,
    signed,
    tag,
    tick_labels,
    y_tick_labels,
)

_HEIGHT = 170.0
_SEGMENTS = 40


@dataclass(frozen=True, slots=True)
class WorthPlot:
    label: str
    drawing: Markup
    y_labels: Markup
    x_labels: Markup
    worth: str
    table: Table


def worth_plots(document: EvaluateDocument) -> list[WorthPlot]:
    """One plot for each target class; none without `--learning-curve`."""
    curve = document.learning_curve
    if curve is None:
        return []
    return [_plot(label, found) for label, found in curve.per_target.items() if found.points]


def worth_table(document: EvaluateDocument) -> Table:
    """The gain of each target class, and the number of real images that would give the same gain."""
    curve = document.learning_curve
    found = curve.per_target.items() if curve else ()
    return Table(["class", "gain in F1", "worth"], [[c, signed(t.gain), t.worth] for c, t in found], words=(0, 2))


def _plot(label: str, curve: TargetCurve) -> WorthPlot:
    reached = curve.points[-1].mean + curve.gain
    farthest = max(p.images for p in curve.points)
    end = farthest + min(curve.more_images or 0.0, 2.0 * farthest)
    x = scale([end])
    y = scale([reached, *(v for p in curve.points for v in (p.mean, p.high))])

    def down(value: float) -> float:
        return round(y.down(value, _HEIGHT), 1)

    parts = [plane(x, y, _HEIGHT)]
    first = min(p.images for p in curve.points)
    steps = [first + (end - first) * i / _SEGMENTS for i in range(_SEGMENTS + 1)]
    law = [(x.at(n), down(curve.ceiling - curve.drop * n**-curve.exponent)) for n in steps]
    parts += [tag("line", class_="law", x1=percent(a), y1=b, x2=percent(c), y2=d) for (a, b), (c, d) in pairwise(law)]
    parts.append(tag("line", class_="line s1", x1=0, x2="100%", y1=down(reached), y2=down(reached)))
    for p in curve.points:
        at = percent(x.at(p.images))
        parts.append(tag("line", class_="whisker", x1=at, x2=at, y1=down(p.low), y2=down(p.high)))
        parts.append(tag("circle", class_="mark unclear", cx=at, cy=down(p.mean), r=4))
    alt = (
        f"F1 of {label} by number of real images: "
        + "; ".join(f"{p.images} images {number(p.mean)}" for p in curve.points)
        + f". With synthetic images: {number(reached)}."
    )
    table = Table(
        ["real images", "F1", "low", "high", "curve"],
        [
            [str(p.images), number(p.mean), number(p.low), number(p.high), number(fitted)]
            for p, fitted in zip(curve.points, curve.fitted, strict=True)
        ]
        + [[f"{curve.points[-1].images} and synthetic", f"{number(reached)} ({signed(curve.gain)})", "–", "–", "–"]],
    )
    return WorthPlot(
        label,
        drawing(*parts, height=_HEIGHT, class_="plot", alt=alt),
        y_tick_labels(y, _HEIGHT),
        tick_labels(x),
        curve.worth,
        table,
    )
