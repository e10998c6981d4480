"""The differences that the verdict is based on, with intervals and the gain that is found in 80% of cases."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from markupsafe import Markup

from synthaug.documents import Contrast, EvaluateDocument, TargetVerdict, VerdictDocument
from synthaug.evaluation.arms import CONTRASTS
from synthaug.evaluation.report import scores
from synthaug.evaluation.report.charts import Chart, Row, Table, estimate_mark
from synthaug.evaluation.report.svg import Scale, drawing, gridlines, number, percent, scale, signed, tag, tick_labels

SHOWN = 12  # questions in the figure; its table has all
TOGETHER = "All target classes, mean F1"
_HEIGHT = 34


@dataclass(frozen=True, slots=True)
class Question:
    """What was scored, the differences by name, and the gain that is found in 80% of cases."""

    title: str
    contrasts: dict[str, Contrast]
    smallest: float | None
    reason: str = ""


def questions(document: EvaluateDocument) -> list[Question]:
    """All target classes together (if there are several), each of them, then macro-F1."""
    verdict = document.verdict
    found = [_question(label, details, details.reason) for label, details in verdict.details.items()]
    if verdict.contrasts and (len(document.targets) != 1 or not found):
        title = TOGETHER if len(document.targets) != 1 else document.targets[0]
        found.insert(0, replace(_question(title, verdict, ""), smallest=None))
    return [q for q in found if q.contrasts]


def _question(title: str, given: TargetVerdict | VerdictDocument, reason: str) -> Question:
    contrasts = {contrast_words(name): c for name, c in given.contrasts.items()}
    known = {(p.arm.name, p.control.name) for p in CONTRASTS.values() if p.name in given.contrasts}
    for arm, c in given.against_best.items():
        if (arm, given.best_control) not in known:
            arm_and_control = f"{scores.arm_name(arm)} − {scores.arm_name(given.best_control)}"
            contrasts[f"{arm_and_control}, the best control"] = c
    return Question(title, contrasts, given.smallest_detectable, reason)


def contrast_words(name: str) -> str:
    """`synthetic-oversample` in words: synthetic − oversample."""
    pair = CONTRASTS[name]
    return f"{scores.arm_name(pair.arm.name)} − {scores.arm_name(pair.control.name)}"


def contrast_chart(asked: list[Question]) -> Chart | None:
    """Differences with intervals; None without questions.

    A mark is filled if its interval excludes zero. Gains inside the band are found in fewer than 80% of cases.
    """
    if not asked:
        return None
    shown = asked[:SHOWN]
    reach = [v for q in shown for c in q.contrasts.values() for v in (c.low, c.high, c.mean, q.smallest)]
    axis = scale(reach, differences=True, at_least=0.02)
    rows = [
        _row(axis, q, name, contrast, first=i == 0)
        for q in shown
        for i, (name, contrast) in enumerate(q.contrasts.items())
    ]
    notes = [f"{len(asked) - SHOWN} more are in the table."] if len(asked) > SHOWN else []
    return Chart(rows, tick_labels(axis), _table(asked), notes=notes)


def _row(axis: Scale, q: Question, name: str, contrast: Contrast, *, first: bool) -> Row:
    parts: list[Markup] = []
    seen = ""
    if q.smallest is not None and math.isfinite(q.smallest) and q.smallest > 0:
        seen = f"found in 80% of cases: {signed(q.smallest)}"
        parts += _band(axis, q.smallest)
    parts.append(gridlines(axis, _HEIGHT))
    side = "better" if contrast.low > 0 else "worse" if contrast.high < 0 else "unclear"
    parts.append(estimate_mark(axis, contrast, side, _HEIGHT))
    return Row(
        name, drawing(*parts, height=_HEIGHT, class_="track"), interval_text(contrast), side,
        group=q.title if first else "", note=seen if first else "",
    )  # fmt: skip


def _band(axis: Scale, smallest: float) -> list[Markup]:
    left, right = axis.at(-smallest), axis.at(smallest)
    edges = [tag("line", class_="edge", x1=percent(x), x2=percent(x), y1=0, y2=_HEIGHT) for x in (left, right)]
    return [tag("rect", class_="band", x=percent(left), y=0, width=percent(right - left), height=_HEIGHT), *edges]


def interval_text(contrast: Contrast) -> str:
    """`+0.090 [+0.020, +0.160]`"""
    return f"{signed(contrast.mean)} [{signed(contrast.low)}, {signed(contrast.high)}]"


def _table(asked: list[Question]) -> Table:
    return Table(
        ["scored", "difference of", "mean", "low", "high", "p", "found in 80%"],
        [
            [q.title, name, signed(c.mean), signed(c.low), signed(c.high), number(c.p_value), number(q.smallest)]
            for q in asked
            for name, c in q.contrasts.items()
        ],
        words=(0, 1),
    )
