"""The quality of the images as the report shows it: verdicts with reasons, a table, and charts beside the floors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from synthaug.documents import CheckDocument, ClassQuality, EvaluateDocument, Range
from synthaug.evaluation.report.badges import Badge, badge
from synthaug.evaluation.report.charts import Chart, floors
from synthaug.evaluation.report.svg import number


@dataclass(frozen=True, slots=True)
class QualityColumn:
    """`read` gives the lines of a cell, the score first."""

    head: str
    explanation: str
    read: Callable[[ClassQuality], list[str]]
    always: bool = True


@dataclass(frozen=True, slots=True)
class QualityRow:
    """One class of one source (the generator ungated, or the export)."""

    source: str
    variety: Badge
    copying: Badge
    cells: list[list[str]]


@dataclass(frozen=True, slots=True)
class QualityClass:
    label: str
    target: bool
    reasons: list[str]
    rows: list[QualityRow]


def _images_compared(q: ClassQuality) -> list[str]:
    compared = [f"{q.n_compared:,} compared"] if q.n_compared else []
    return [f"{q.n_synthetic:,}", f"{q.n_real:,} real", *compared]


def _kid(q: ClassQuality) -> list[str]:
    return _lines(q.kid, 4) + _floor_line(q.kid_floor, 4)


def _coverage(q: ClassQuality) -> list[str]:
    return [number(q.coverage), *_floor_line(q.coverage_floor)]


def _pairwise(q: ClassQuality) -> list[str]:
    return [number(q.pairwise_ratio), *_floor_line(q.pairwise_floor)]


def _duplicates(q: ClassQuality) -> list[str]:
    def share(value: float | None) -> str:
        return "–" if value is None or not math.isfinite(value) else f"{100 * value:.1f}%"

    return [share(q.duplicate_rate)] + ([f"real {share(q.duplicate_floor)}"] if q.duplicate_floor is not None else [])


def _lines(r: Range | None, decimals: int = 3) -> list[str]:
    return [number(r.mean, decimals), _span(r, decimals)] if r is not None else ["–"]


def _floor_line(r: Range | None, decimals: int = 3) -> list[str]:
    return [f"real {number(r.mean, decimals)}", _span(r, decimals)] if r is not None else []


def _span(r: Range, decimals: int) -> str:
    return f"{number(r.low, decimals)} – {number(r.high, decimals)}"


COLUMNS = [
    QualityColumn("Images", "synthetic images, real images, and how many of each were compared", _images_compared),
    QualityColumn("KID", "distance between synthetic and real images; 0 is equal, lower is better", _kid),
    QualityColumn(
        "Precision", "share of synthetic images that lie among the real ones", lambda q: [number(q.precision)]
    ),
    QualityColumn("Recall", "share of real images that lie among the synthetic ones", lambda q: [number(q.recall)]),
    QualityColumn(
        "Density",
        "how thickly real images surround the synthetic ones; real images score about 1",
        lambda q: [number(q.density)],
    ),
    QualityColumn("Coverage", "share of real images with a synthetic one nearby; higher is better", _coverage),
    QualityColumn(
        "Spread ratio",
        "mean distance between two synthetic images ÷ between two real ones; far below 1 is too alike",
        _pairwise,
    ),
    QualityColumn("Duplicates", "synthetic images that nearly repeat another one", _duplicates),
    QualityColumn(
        "DCR",
        "distance from a synthetic image to the nearest training image ÷ the same for held-out real images; "
        "below 1 is closer than real",
        lambda q: _lines(q.dcr),
    ),
    QualityColumn("FID", "an older distance, unreliable for few images", lambda q: [number(q.fid, 1)], False),
    QualityColumn(
        "Vendi ratio",
        "effective number of different images, synthetic ÷ real",
        lambda q: [number(q.vendi_ratio), *_floor_line(q.vendi_floor)],
        False,
    ),
    QualityColumn(
        "Missed clusters",
        "groups of real images that no synthetic image fell into",
        lambda q: [q.missed_clusters or "–"],
        False,
    ),
    QualityColumn(
        "Authenticity",
        "share of synthetic images no closer to a training image than that one’s nearest neighbour",
        lambda q: [number(q.authenticity)],
        False,
    ),
    QualityColumn(
        "C_T",
        "a test for copying; far below 0 is closer to the training images than chance",
        lambda q: [number(q.c_t, 2)],
        False,
    ),
    QualityColumn(
        "Detection AUC",
        "how well a classifier tells synthetic from real; 0.5 is not at all",
        lambda q: [number(q.detect_auc)],
        False,
    ),
]  # those marked False stand only where something was measured


def _sources(document: EvaluateDocument) -> list[tuple[str, CheckDocument]]:
    generator = document.generator_quality
    given = "export, gated" if document.quality.gated else "images as given"
    return ([("generator, ungated", generator)] if generator else []) + [(given, document.quality)]


def columns(document: EvaluateDocument) -> list[QualityColumn]:
    """The quality table's columns; those marked optional stand only where something was measured."""
    measured = [q for _, check in _sources(document) for q in check.per_class.values()]
    return [c for c in COLUMNS if c.always or any(c.read(q) != ["–"] for q in measured)]


def _judged(document: EvaluateDocument) -> list[str]:
    """Classes with a quality, targets first."""
    seen = dict.fromkeys(label for _, check in _sources(document) for label in check.per_class)
    return [t for t in document.targets if t in seen] + [c for c in seen if c not in document.targets]


def quality_classes(document: EvaluateDocument) -> list[QualityClass]:
    shown, sources = columns(document), _sources(document)
    result = []
    for label in _judged(document):
        judged = [(name, check.per_class[label]) for name, check in sources if label in check.per_class]
        rows = [
            QualityRow(name, badge(q.collapse), badge(q.memorisation), [c.read(q) for c in shown]) for name, q in judged
        ]
        result.append(QualityClass(label, label in document.targets, _reasons(judged), rows))
    return result


def _reasons(judged: Sequence[tuple[str, ClassQuality]]) -> list[str]:
    """Each reason once, with what it was said about where it is not said about all."""
    said: dict[str, list[str]] = {}
    for name, q in judged:
        for reason in dict.fromkeys(q.reasons):
            said.setdefault(reason, []).append(name)
    return [r if len(names) == len(judged) else f"{names[0]}: {r}" for r, names in said.items()]


def quality_charts(document: EvaluateDocument) -> list[Chart]:
    """KID and coverage of generator and export, class by class, over what real images score among themselves."""
    names = ("generator", "export" if document.quality.gated else "images")
    charts = [
        floors("KID: distance from real images, lower is better", _beside_floor(document, "kid"), names=names),
        floors(
            "Coverage: share of the real images reached, higher is better",
            _beside_floor(document, "coverage"),
            names=names,
            unit_interval=True,
        ),
    ]
    return [c for c in charts if c is not None]


def _beside_floor(
    document: EvaluateDocument, score: Literal["kid", "coverage"]
) -> list[tuple[str, Range | float | None, Range | float | None, Range | None]]:
    gated = document.quality.per_class
    ungated = document.generator_quality.per_class if document.generator_quality else {}
    rows = []
    for label in _judged(document):
        both = [ungated.get(label), gated.get(label)]
        first, second = ((q.kid if score == "kid" else q.coverage) if q else None for q in both)
        measured = ((q.kid_floor if score == "kid" else q.coverage_floor) for q in reversed(both) if q)
        rows.append((label, first, second, next((f for f in measured if f is not None), None)))
    return rows


def reference_note(check: CheckDocument) -> str:
    against = {
        "test": "the held-out test images",
        "val": "the validation images",
        "train": "the training images, which flatters: nothing was held out",
        "folder": "the images of the reference folder",
    }[check.reference]
    return f"Compared with {against}, in the features of {check.features}, at equal numbers of images on both sides."
