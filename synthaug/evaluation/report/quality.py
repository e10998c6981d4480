"""Image quality in the report: verdicts with reasons, tables, and charts with floors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from synthaug.documents import CheckDocument, ClassQuality, EvaluateDocument, QualityScores, Range, Score
from synthaug.evaluation.report.badges import Badge, badge
from synthaug.evaluation.report.charts import Chart, floors
from synthaug.evaluation.report.svg import number
from synthaug.metrics import metrics
from synthaug.metrics.table import Metric

CHARTED = 12  # classes in a figure; every class has a table
POOLED = "all judged classes together"


@dataclass(frozen=True, slots=True)
class Judged:
    """The two verdicts on one class of one source (the generator ungated, or the export)."""

    source: str
    variety: Badge
    copying: Badge


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric: a cell for each source (the number, then its interval), and the score of real images."""

    head: str
    explanation: str
    cells: list[list[str]]
    floor: list[str]


@dataclass(frozen=True, slots=True)
class QualityBlock:
    """One class, or all classes pooled. The pooled block has no verdicts."""

    label: str
    target: bool
    judged: list[Judged]
    reasons: list[str]
    counts: str
    sources: list[str]
    rows: list[MetricRow]


Source = tuple[str, QualityScores]


def _sources(document: EvaluateDocument) -> list[tuple[str, CheckDocument]]:
    generator = document.generator_quality
    return ([("generator, ungated", generator)] if generator else []) + [(given_name(document), document.quality)]


def given_name(document: EvaluateDocument) -> str:
    return "export, gated" if document.quality.gated else "images as given"


def quality_blocks(document: EvaluateDocument) -> list[QualityBlock]:
    """Every judged class, targets first, then all of them pooled."""
    sources = _sources(document)
    blocks = [
        _class_block(document, label, [(n, c.per_class[label]) for n, c in sources if label in c.per_class])
        for label in _labels(document)
    ]
    pooled: list[Source] = [(name, check.pooled) for name, check in sources if check.pooled is not None]
    if pooled:
        blocks.append(QualityBlock(POOLED, False, [], [], _counts(pooled), [n for n, _ in pooled], _rows(pooled)))
    return blocks


def _class_block(document: EvaluateDocument, label: str, found: Sequence[tuple[str, ClassQuality]]) -> QualityBlock:
    judged = [Judged(name, badge(q.collapse), badge(q.memorisation)) for name, q in found]
    sources = [name for name, _ in found]
    target = label in document.targets
    return QualityBlock(label, target, judged, _reasons(found), _counts(found), sources, _rows(found))


def _labels(document: EvaluateDocument) -> list[str]:
    """Classes with a quality, targets first."""
    seen = dict.fromkeys(label for _, check in _sources(document) for label in check.per_class)
    return [t for t in document.targets if t in seen] + [c for c in seen if c not in document.targets]


def _counts(found: Sequence[Source]) -> str:
    """The numbers of images, of the export (the last source)."""
    q = found[-1][1]
    compared = f", {q.n_compared:,} compared on either side" if q.n_compared else ""
    return f"{q.n_synthetic:,} synthetic and {q.n_real:,} real images{compared}"


def _rows(found: Sequence[Source]) -> list[MetricRow]:
    """The metrics that at least one source has."""
    rows = []
    for name, metric in metrics().items():
        scores = [q.score(name) for _, q in found]
        if any(score.measured for score in scores):
            floor = _floor(reversed(scores))
            cells = [score_lines(score, metric) for score in scores]
            floor_cell = _lines(floor.mean, floor, metric.decimals) if floor else ["–"]
            rows.append(MetricRow(metric.heading, metric.explanation, cells, floor_cell))
    return rows


def score_lines(score: Score, metric: Metric) -> list[str]:
    """A cell of the table: the number, then its interval."""
    return [score.text] if score.text else _lines(score.value, score.interval, metric.decimals)


def _lines(value: float | None, interval: Range | None, decimals: int) -> list[str]:
    shown = [number(value, decimals)]
    if interval is not None and interval.high > interval.low:
        shown.append(f"{number(interval.low, decimals)} – {number(interval.high, decimals)}")
    return shown


def _floor(scores: Iterable[Score]) -> Range | None:
    return next((score.floor for score in scores if score.floor is not None), None)


def _reasons(found: Sequence[tuple[str, ClassQuality]]) -> list[str]:
    """Each reason once, with its source if it does not apply to all sources."""
    said: dict[str, list[str]] = {}
    for name, q in found:
        for reason in dict.fromkeys(q.reasons):
            said.setdefault(reason, []).append(name)
    return [r if len(names) == len(found) else f"{names[0]}: {r}" for r, names in said.items()]


def quality_charts(document: EvaluateDocument) -> list[Chart]:
    """A chart for each metric with a `chart` heading: generator, export and real images, class by class."""
    names = ("generator", "export" if document.quality.gated else "images")
    charts = [
        floors(metric.chart, _beside_floor(document, name), names=names, unit_interval=metric.unit_interval)
        for name, metric in metrics().items()
        if metric.chart
    ]
    return [c for c in charts if c is not None]


def _beside_floor(document: EvaluateDocument, name: str) -> list[tuple[str, Range | None, Range | None, Range | None]]:
    given, generator = document.quality, document.generator_quality
    found: list[tuple[str, QualityScores | None, QualityScores | None]] = [
        (label, generator.per_class.get(label) if generator else None, given.per_class.get(label))
        for label in _labels(document)[:CHARTED]
    ]
    found.append((POOLED, generator.pooled if generator else None, given.pooled))
    rows = []
    for label, *both in found:
        first, second = (q.score(name) if q else Score() for q in both)
        if label != POOLED or first.measured or second.measured:
            rows.append((label, first.span, second.span, _floor((second, first))))
    return rows


def reference_note(check: CheckDocument) -> str:
    against = {
        "test": "the held-out test images",
        "val": "the validation images",
        "train": "the training images, because none were held out; this overrates the generator",
        "folder": "the images of the reference folder",
    }[check.reference]
    second = f" {check.second_judge.text()}." if check.second_judge else ""
    return f"Compared with {against}, at equal numbers, in the features of {check.features}.{second}"
