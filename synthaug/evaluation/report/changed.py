"""Test images that are newly right and newly wrong, as pictures with their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from synthaug.documents import ChangedImage, EvaluateDocument
from synthaug.errors import plural
from synthaug.evaluation.report import pictures
from synthaug.evaluation.report.charts import Table
from synthaug.evaluation.report.material import ReportMaterial

SHOWN = 8  # images of either kind


@dataclass(frozen=True, slots=True)
class Changed:
    """Images of one kind: a heading, pictures with what they show, and the table of all."""

    heading: str
    tiles: list[tuple[str, ChangedImage]]
    left: int
    table: Table


def changed(document: EvaluateDocument, material: ReportMaterial) -> list[Changed]:
    """Newly right, then newly wrong; empty if nothing was recorded."""
    found = document.changed
    if found is None:
        return []
    kinds = ((found.right, "right", found.newly_right), (found.wrong, "wrong", found.newly_wrong))
    return [
        Changed(
            f"{plural(total, 'test image')} newly {kind}", _tiles(rows, material), total - _shown(rows), _table(rows)
        )
        for total, kind, rows in kinds
    ]


def _shown(rows: Sequence[ChangedImage]) -> int:
    return min(len(rows), SHOWN)


def _tiles(rows: Sequence[ChangedImage], material: ReportMaterial) -> list[tuple[str, ChangedImage]]:
    """Without a picture if the material has none, or no more room."""
    files = [row.test for row in rows[:SHOWN]]
    seen = pictures.thumbnails(material.tested, files, pictures.BUDGET // 12)
    return [(seen.get(row.test, ""), row) for row in rows[:SHOWN]]


def _table(rows: Sequence[ChangedImage]) -> Table:
    head = ["test image", "class", "before", "after", "right before", "right after"]
    body = [[r.test, r.label, r.before, r.after, str(r.right_before), str(r.right_after)] for r in rows]
    return Table(head, body, words=(0, 1, 2, 3))
