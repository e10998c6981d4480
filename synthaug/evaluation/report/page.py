"""The HTML page: figures, tables and sentences for the template, made from the document."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from synthaug.documents import BiasRow, EvaluateDocument
from synthaug.errors import plural
from synthaug.evaluation.before_after import before_and_after
from synthaug.evaluation.report import pictures, protocol, scores
from synthaug.evaluation.report.badges import badge
from synthaug.evaluation.report.bias import bias_chart, bias_table, biases, examples, missing
from synthaug.evaluation.report.changed import changed
from synthaug.evaluation.report.charts import Chart, bars
from synthaug.evaluation.report.confusion import Comparison, compare
from synthaug.evaluation.report.contrasts import contrast_chart, questions
from synthaug.evaluation.report.curves import chosen_kimg, training_plots
from synthaug.evaluation.report.headline import glances, headline, sharpness_sentence
from synthaug.evaluation.report.html import templates
from synthaug.evaluation.report.material import ReportMaterial
from synthaug.evaluation.report.quality import given_name, quality_blocks, quality_charts, reference_note
from synthaug.evaluation.report.svg import number, signed
from synthaug.evaluation.report.terms import TERMS
from synthaug.evaluation.report.worth import worth_plots, worth_table
from synthaug.metrics import metrics
from synthaug.version import __version__

_ALBUMS = 8  # target classes with pictures
_OPEN = 3  # target classes shown at a glance; the next ones are folded
_WITH_PICTURES = 2  # target classes whose pictures are unfolded
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
    blocks = quality_blocks(document)
    measured = list(biases(document).items())
    sharp = {label for label, found in document.sharpness.items() if found.told_apart}
    return {
        "document": document,
        "title": protocol.title(document),
        "in_short": protocol.in_short(document),
        "headline": headline(document),
        "sharpness": sharpness_sentence(document),
        "targets": targets,
        "open": _OPEN,
        "with_pictures": _WITH_PICTURES,
        "before_after": before_and_after(document),
        "changed": changed(document, material),
        "cards": glances(document)[:_DETAILED],
        "best_control": protocol.best_control(document),
        "compared": protocol.compared(document),
        "counts": protocol.counts(document),
        "overall": scores.overall_rows(document),
        "arms": [(a, scores.kind(a), scores.about(a)) for a in scores.ordered_arms(document)],
        "target_scores": [_class_scores(document, label) for label in targets[:_DETAILED]],
        "other_scores": scores.f1_table(document, [*targets[_DETAILED:], *others]),
        "contrast_chart": contrast_chart(asked[:1]),
        "contrasts_left": contrast_chart(asked[1:]),
        "reasons": [(q.title, q.reason) for q in asked if q.reason],
        "recommended_total": plural(
            sum(advice.synthetic for name, advice in document.recommended.items() if name in targets), "synthetic image"
        ),
        "worth": worth_plots(document)[:_DETAILED],
        "worth_left": worth_table(document),
        "comparison": _comparison(document),
        "quality": blocks,
        "quality_reasons": [(q.label, reason) for q in blocks[:_OPEN] for reason in q.reasons[:1]],
        "quality_charts": quality_charts(document),
        "quality_note": reference_note(document.quality),
        "given_name": given_name(document),
        "metrics": [(m.heading, m.explanation) for m in metrics().values()],
        "bias": _bias_charts(material, measured[:_DETAILED], sharp),
        "bias_left": bias_table(dict(measured[_DETAILED:]), sharp=sharp),
        **_images(document, material, targets or others),
        "plots": training_plots(material.training, targets),
        "chosen": chosen_kimg(material.training),
        "terms": TERMS,
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


def _comparison(document: EvaluateDocument) -> Comparison | None:
    before, after = before_and_after(document)
    return None if before is None or after is None else compare(document, before, after)


def _bias_charts(
    material: ReportMaterial, measured: Sequence[tuple[str, list[BiasRow]]], sharp: Container[str]
) -> list[Chart]:
    files = [file for _, rows in measured for file in examples(rows)]
    seen = pictures.thumbnails(pictures.by_file(material.real), files, pictures.BUDGET // 12)
    return [bias_chart(label, rows, seen, sharpness=label in sharp) for label, rows in measured]


def _images(document: EvaluateDocument, material: ReportMaterial, labels: Sequence[str]) -> dict[str, Any]:
    sources = [
        ("Real", "training images", material.real),
        ("Synthetic", "passed the gates" if document.quality.gated else "as given", material.synthetic),
    ]
    share, shown = pictures.BUDGET // 6, labels[:_ALBUMS]
    side = max((pictures.side(images) for _, _, images in sources), default=0)
    return {
        "albums": pictures.albums(
            sources, shown, 2 * share, pairs=pictures.pairs_of(material.pairs, shown, share),
            missing=_missing(document, material, shown),
        ),
        "ungated": pictures.albums([("Ungated", "before the gates", material.generator)], shown, share // 2),
        "translated": pictures.translated(material.synthetic, material.origins, document.made_from, shown, share),
        "albums_left_out": list(labels[_ALBUMS:]),
        "suspects": pictures.pairs(material.suspects, share),
        "worst_pairs": document.quality.worst_pairs,
        "pixelated": 0 < side <= pictures.PIXELATED,
        "tile": 46 if side <= 32 else 58 if side <= 64 else 74,
    }  # fmt: skip


def _missing(document: EvaluateDocument, material: ReportMaterial, labels: Sequence[str]) -> dict[str, list[str]]:
    """Label → pictures of real images to which no synthetic image is alike."""
    found = {label: missing(rows) for label, rows in biases(document).items() if label in labels}
    files = [file for some in found.values() for file in some]
    seen = pictures.thumbnails(pictures.by_file(material.real), files, pictures.BUDGET // 12)
    return {label: [seen[file] for file in some if file in seen] for label, some in found.items()}


def _plain(value: object) -> str:
    """A setting as text."""
    if isinstance(value, (Mapping, list, tuple)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return "–" if value is None else str(value)
