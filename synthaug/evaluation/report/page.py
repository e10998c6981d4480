"""The HTML page: figures, tables and sentences for the template, made from the document."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from synthaug.documents import BiasRow, EvaluateDocument
from synthaug.evaluation.before_after import contrasts_shown
from synthaug.evaluation.report import pictures, protocol, scores
from synthaug.evaluation.report.badges import badge
from synthaug.evaluation.report.bias import bias_chart, bias_table, biases, examples
from synthaug.evaluation.report.charts import Chart, bars
from synthaug.evaluation.report.confusion import Comparison, compare
from synthaug.evaluation.report.contrasts import contrast_chart, questions
from synthaug.evaluation.report.curves import chosen_kimg, training_plots
from synthaug.evaluation.report.headline import glances, headline, sharpness_sentence
from synthaug.evaluation.report.html import templates
from synthaug.evaluation.report.material import ReportMaterial
from synthaug.evaluation.report.quality import given_name, quality_blocks, quality_charts, reference_note
from synthaug.evaluation.report.svg import number, signed
from synthaug.evaluation.report.worth import worth_plots, worth_table
from synthaug.metrics import metrics
from synthaug.version import __version__

_ALBUMS = 8  # target classes with pictures
_OPEN = 6  # target classes shown in full; the next ones are folded
_DETAILED = 12  # target classes with figures of their own; the others are only in tables


def render(document: EvaluateDocument, material: ReportMaterial) -> str:
    """The whole page as HTML."""
    environment = templates()
    environment.filters.update(number=number, signed=signed, arm_name=scores.arm_name)
    environment.globals.update(badge=badge)
    return environment.get_template("template.html.j2").render(_context(document, material))


def _context(document: EvaluateDocument, material: ReportMaterial) -> dict[str, Any]:
    targets, others = scores.ordered_classes(document)
    asked = questions(document)
    measured = list(biases(document).items())
    return {
        "document": document,
        "title": protocol.title(document),
        "headline": headline(document),
        "sharpness": sharpness_sentence(document),
        "targets": targets,
        "open": _OPEN,
        "cards": glances(document),
        "best_control": protocol.best_control(document),
        "compared": protocol.compared(document),
        "counts": protocol.counts(document),
        "overall": scores.overall_rows(document),
        "arms": [(a, scores.kind(a), scores.about(a)) for a in scores.ordered_arms(document)],
        "target_scores": [_class_scores(document, label) for label in targets[:_DETAILED]],
        "other_scores": scores.f1_table(document, [*targets[_DETAILED:], *others]),
        "contrast_chart": contrast_chart(asked),
        "reasons": [(q.title, q.reason) for q in asked if q.reason],
        "worth": worth_plots(document)[:_DETAILED],
        "worth_left": worth_table(document),
        "comparisons": _comparisons(document),
        "quality": quality_blocks(document),
        "quality_charts": quality_charts(document),
        "quality_note": reference_note(document.quality),
        "given_name": given_name(document),
        "metrics": [(m.heading, m.explanation) for m in metrics().values()],
        "bias": _bias_charts(material, measured[:_DETAILED]),
        "bias_left": bias_table(dict(measured[_DETAILED:])),
        **_images(document, material, targets or others),
        "plots": training_plots(material.training, targets),
        "chosen": chosen_kimg(material.training),
        "settings": [(key, _plain(value)) for key, value in material.settings.items()],
        "environment": [(key, _plain(value)) for key, value in material.environment.items()],
        "version": __version__,
        "written": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _class_scores(document: EvaluateDocument, label: str) -> tuple[str, Chart, list[scores.ArmRow]]:
    arms = scores.ordered_arms(document)
    estimates = {scores.arm_name(a): scores.f1(document.arms[a], label) for a in arms}
    kinds = {scores.arm_name(a): scores.kind(a) for a in arms}
    about = {scores.arm_name(a): scores.about(a) for a in arms}
    return label, bars(label, estimates, kinds, about), scores.class_rows(document, label)


def _comparisons(document: EvaluateDocument) -> list[Comparison]:
    found = [compare(document, pair.control.name, pair.arm.name) for pair in contrasts_shown(document)]
    return [c for c in found if c is not None]


def _bias_charts(material: ReportMaterial, measured: Sequence[tuple[str, list[BiasRow]]]) -> list[Chart]:
    files = [file for _, rows in measured for file in examples(rows)]
    seen = pictures.thumbnails(material.real, files, pictures.BUDGET // 8)
    return [bias_chart(label, rows, seen) for label, rows in measured]


def _images(document: EvaluateDocument, material: ReportMaterial, labels: Sequence[str]) -> dict[str, Any]:
    sources = [
        ("Real", "training images", material.real),
        ("Synthetic", "gated, as exported" if document.quality.gated else "as given", material.synthetic),
        ("Generator", "ungated", material.generator),
    ]
    share = pictures.BUDGET // 6
    side = max((pictures.side(images) for _, _, images in sources), default=0)
    return {
        "albums": pictures.albums(
            sources, labels[:_ALBUMS], pictures.BUDGET - (3 if material.origins is None else 4) * share
        ),
        "translated": pictures.translated(
            material.synthetic, material.origins, document.made_from, labels[:_ALBUMS], share
        ),
        "albums_left_out": list(labels[_ALBUMS:]),
        "pairs": pictures.pairs(material.pairs, share),
        "suspects": pictures.pairs(material.suspects, share),
        "worst_pairs": document.quality.worst_pairs,
        "pixelated": 0 < side <= pictures.PIXELATED,
        "tile": 46 if side <= 32 else 58 if side <= 64 else 74,
    }


def _plain(value: object) -> str:
    """A setting as text."""
    if isinstance(value, (Mapping, list, tuple)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return "–" if value is None else str(value)
