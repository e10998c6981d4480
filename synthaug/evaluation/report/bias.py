"""How synthetic images of a class differ from real ones, as a figure: colour, brightness, size, kinds of images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from synthaug.documents import BiasRow, EvaluateDocument
from synthaug.evaluation.report.charts import Chart, Row, Table, range_text, whisker
from synthaug.evaluation.report.svg import Scale, drawing, gridlines, number, percent, scale, tag, tick_labels

SHOWN = 8  # rows of a class's figure; its table has all
_HEIGHT = 26


def biases(document: EvaluateDocument) -> dict[str, list[BiasRow]]:
    """Class → its rows, of the export if measured, else of the generator; classes without rows are left out."""
    generator = document.generator_quality
    found = {}
    for label, quality in document.quality.per_class.items():
        ungated = generator.per_class.get(label) if generator else None
        found[label] = quality.bias or (ungated.bias if ungated else [])
    return {label: rows for label, rows in found.items() if rows}


def examples(rows: Sequence[BiasRow]) -> list[str]:
    """The example images of the clusters in a class's figure."""
    return [row.example for row in rows[:SHOWN] if row.example is not None]


def bias_chart(label: str, rows: Sequence[BiasRow], pictures: Mapping[str, str]) -> Chart:
    """A class's largest changes, the rest in its table. `pictures` gives the examples, file → data URI."""
    shown = rows[:SHOWN]
    spans = [r for row in shown for r in (row.difference, row.floor) if r is not None]
    axis = scale([v for r in spans for v in (r.low, r.mean, r.high)], differences=True, at_least=0.5)
    notes = [_beyond(rows)]
    if len(rows) > SHOWN:
        notes.append(f"{len(rows) - SHOWN} smaller differences are in the table.")
    return Chart([_row(row, axis, pictures) for row in shown], tick_labels(axis), _table(rows), label, notes)


def bias_table(found: Mapping[str, Sequence[BiasRow]]) -> Table | None:
    """One line for each class without a figure: rows beyond chance, and the largest change; None if empty."""
    body = [[label, _beyond(rows), *_table(rows).body[0][:4]] for label, rows in found.items()]
    head = ["class", "differences", "the largest", "real", "synthetic", "difference"]
    return Table(head, body, words=(0, 1, 2)) if body else None


def _beyond(rows: Sequence[BiasRow]) -> str:
    return f"{sum(row.beyond for row in rows) or 'none'} of {len(rows)} beyond chance"


def _table(rows: Sequence[BiasRow]) -> Table:
    return Table(
        ["what", "real", "synthetic", "difference", "of other real images", "beyond chance", "example"],
        [
            [
                row.name,
                number(row.real),
                number(row.synthetic),
                range_text(row.difference, 2),
                range_text(row.floor, 2),
                "yes" if row.beyond else "no",
                row.example or "–",
            ]
            for row in rows
        ],
        words=(0, 5, 6),
    )


def _row(row: BiasRow, axis: Scale, pictures: Mapping[str, str]) -> Row:
    parts: list[Markup] = []
    if row.floor is not None:
        left, right = axis.at(row.floor.low), axis.at(row.floor.high)
        width = percent(max(right - left, 0.6))
        parts.append(tag("rect", class_="floor", x=percent(left), y=0, width=width, height=_HEIGHT))
    parts.append(gridlines(axis, _HEIGHT))
    side = "worse" if row.beyond else "unclear"
    d = row.difference
    if math.isfinite(d.low) and math.isfinite(d.high):
        parts.append(whisker(axis, d.low, d.high, _HEIGHT / 2, class_=f"whisker {side}"))
    if math.isfinite(d.mean):
        parts.append(tag("circle", class_=f"mark {side}", cx=percent(axis.at(d.mean)), cy=_HEIGHT / 2, r=4.5))
    value = f"{number(row.real, 2)} → {number(row.synthetic, 2)}"
    return Row(
        row.name,
        drawing(*parts, height=_HEIGHT, class_="track"),
        value,
        flag="beyond chance" if row.beyond else "",
        picture=pictures.get(row.example or "", ""),
    )
