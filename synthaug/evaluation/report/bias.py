"""Figures of how synthetic images differ from real ones: colour, brightness, size, clusters."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from synthaug.documents import BiasRow, EvaluateDocument
from synthaug.evaluation.report.charts import Chart, Row, Table, estimate_mark, floor_band, range_text
from synthaug.evaluation.report.svg import Scale, drawing, gridlines, number, scale, tick_labels

SHOWN = 8  # rows of a class's figure; its table has all
_HEIGHT = 26


def biases(document: EvaluateDocument) -> dict[str, list[BiasRow]]:
    """Class → its rows: of the export if measured, else of the generator. Classes without rows are left out."""
    ungated = document.generator_quality.per_class if document.generator_quality else {}
    found = {
        label: quality.bias or (ungated[label].bias if label in ungated else [])
        for label, quality in document.quality.per_class.items()
    }
    return {label: rows for label, rows in found.items() if rows}


def examples(rows: Sequence[BiasRow]) -> list[str]:
    """The example images of the clusters in a class's figure."""
    return [row.example for row in rows[:SHOWN] if row.example is not None]


def missing(rows: Sequence[BiasRow]) -> list[str]:
    """Example images of the groups of similar real images in which there is no synthetic image."""
    return [row.example for row in rows if row.example is not None and row.synthetic == 0 < row.real]


def _named(row: BiasRow) -> str:
    """A group of similar images is named after an example: its number says nothing."""
    return row.name if row.example is None else f"images like {row.example}"


def bias_chart(label: str, rows: Sequence[BiasRow], pictures: Mapping[str, str], *, sharpness: bool = False) -> Chart:
    """A class's largest changes; its table has all.

    Args:
        label: the class.
        rows: its differences.
        pictures: the examples, file → data URI.
        sharpness: whether sharpness, which is not among the rows, tells synthetic images from real ones.
    """
    shown = rows[:SHOWN]
    spans = [r for row in shown for r in (row.difference, row.floor) if r is not None]
    axis = scale([v for r in spans for v in (r.low, r.mean, r.high)], differences=True, at_least=0.5)
    notes = [_beyond(rows, sharpness=sharpness)]
    if len(rows) > SHOWN:
        notes.append(f"{len(rows) - SHOWN} smaller differences are in the table.")
    return Chart([_row(row, axis, pictures) for row in shown], tick_labels(axis), _table(rows), label, notes)


def bias_table(found: Mapping[str, Sequence[BiasRow]], *, sharp: Container[str] = ()) -> Table | None:
    """One line for each class without a figure: rows beyond chance, and the largest change. None if empty.

    `sharp` are the classes whose synthetic images sharpness tells from real ones.
    """
    body = [
        [label, _beyond(rows, sharpness=label in sharp), *_table(rows).body[0][:4]] for label, rows in found.items()
    ]
    head = ["class", "differences", "the largest", "real", "synthetic", "difference"]
    return Table(head, body, words=(0, 1, 2)) if body else None


def _beyond(rows: Sequence[BiasRow], *, sharpness: bool) -> str:
    count = sum(row.beyond for row in rows) or "none"
    first, other = ("sharpness differs; ", "other ") if sharpness else ("", "")
    return f"{first}{count} of {len(rows)} {other}differences are larger than chance"


def _table(rows: Sequence[BiasRow]) -> Table:
    head = ["what", "real", "synthetic", "difference", "of other real images", "beyond chance"]
    body = [
        [
            _named(row), number(row.real), number(row.synthetic), range_text(row.difference, 2),
            range_text(row.floor, 2), "yes" if row.beyond else "no",
        ]
        for row in rows
    ]  # fmt: skip
    return Table(head, body, words=(0, 5))


def _row(row: BiasRow, axis: Scale, pictures: Mapping[str, str]) -> Row:
    parts = [floor_band(axis, row.floor, 0, _HEIGHT)] if row.floor is not None else []
    parts += [
        gridlines(axis, _HEIGHT),
        estimate_mark(axis, row.difference, "worse" if row.beyond else "unclear", _HEIGHT),
    ]
    value = f"{number(row.real, 2)} → {number(row.synthetic, 2)}"
    picture = pictures.get(row.example or "", "")
    return Row(
        "images like this" if picture else _named(row),
        drawing(*parts, height=_HEIGHT, class_="track"),
        value,
        flag="beyond chance" if row.beyond else "",
        picture=picture,
    )
