"""From documents to what the template draws: every figure, table and sentence of the page, in the page's order."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

import synthaug
from synthaug.documents import EvaluateDocument
from synthaug.evaluation.report import pictures, scores
from synthaug.evaluation.report.badges import Badge, badge
from synthaug.evaluation.report.charts import Chart, bars, contrasts
from synthaug.evaluation.report.confusion import Comparison, compare
from synthaug.evaluation.report.curves import chosen_kimg, training_plots
from synthaug.evaluation.report.quality import columns, quality_charts, quality_classes, reference_note
from synthaug.evaluation.report.svg import number, signed

if TYPE_CHECKING:
    from synthaug.evaluation.report import ReportMaterial

_ALBUMS = 8  # target classes with pictures


@dataclass(frozen=True, slots=True)
class TargetCard:
    """A target class at a glance: the steps are (what was done, arm, its F1 on the test images)."""

    label: str
    badge: Badge | None
    steps: list[tuple[str, str, str]]
    difference: str
    against: str
    reason: str


def render(document: EvaluateDocument, material: ReportMaterial) -> str:
    """The whole page as HTML."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, signed=signed, arm_name=scores.arm_name)
    environment.globals.update(badge=badge)
    return environment.get_template("template.html.j2").render(_context(document, material))


def _context(document: EvaluateDocument, material: ReportMaterial) -> dict[str, Any]:
    targets, others = scores.ordered_classes(document)
    return {
        "document": document,
        "title": (document.run and Path(document.run).name) or Path(document.data).name or "evaluation",
        "targets": targets,
        "cards": [_card(document, label) for label in targets],
        "compared": _compared(document),
        "counts": _counts(document),
        "overall": scores.overall_rows(document),
        "arms": [(a, scores.kind(a), scores.ABOUT.get(a, ""), document.arms[a]) for a in scores.ordered_arms(document)],
        "target_scores": [_class_scores(document, label) for label in targets],
        "other_scores": [_class_scores(document, label) for label in others],
        "comparisons": _comparisons(document),
        "contrast_chart": _contrast_chart(document),
        "quality": quality_classes(document),
        "quality_columns": [(c.head, c.explanation) for c in columns(document)],
        "quality_charts": quality_charts(document),
        "quality_note": reference_note(document.quality),
        **_images(document, material, targets or others),
        "plots": training_plots(material.training, targets),
        "chosen": chosen_kimg(material.training),
        "settings": [(key, _plain(value)) for key, value in material.settings.items()],
        "environment": [(key, _plain(value)) for key, value in material.environment.items()],
        "version": synthaug.__version__,
        "written": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _card(document: EvaluateDocument, label: str) -> TargetCard:
    details = document.verdict.details.get(label)
    arms = scores.ordered_arms(document)

    def score(arm: str) -> float:
        mean = scores.f1(document.arms[arm], label).mean
        return mean if math.isfinite(mean) else -math.inf

    controls = [a for a in arms if not scores.is_synthetic(a)]
    named = details.best_control if details else document.verdict.best_control
    best = named if named in controls else max(controls, key=score, default=None)
    synthetic = max((a for a in arms if scores.is_synthetic(a)), key=score, default=None)
    steps = []
    if "real" in controls and best != "real":
        steps.append(("as it is today", "real"))
    if best:
        steps.append(("best without generated images", best))
    if synthetic:
        steps.append(("with generated images", synthetic))
    difference = against = ""
    if details and details.contrasts:
        name, contrast = max(
            details.contrasts.items(), key=lambda c: c[1].mean if math.isfinite(c[1].mean) else -math.inf
        )
        difference = f"{signed(contrast.mean)} [{signed(contrast.low)}, {signed(contrast.high)}]"
        pair = scores.split_contrast(name, document.arms)
        against = f"{scores.arm_name(pair[1])} against {scores.arm_name(pair[0])}" if pair else name
    verdict = document.verdict.per_target.get(label) or (details.verdict if details else None)
    return TargetCard(
        label,
        badge(verdict) if verdict else None,
        [(words, scores.arm_name(arm), number(score(arm))) for words, arm in steps],
        difference,
        against,
        details.reason if details else "",
    )


def _compared(document: EvaluateDocument) -> list[tuple[str, str]]:
    """What was done, as (question, answer)."""
    test, train = (sum(document.split.get(name, {}).values()) for name in ("test", "train"))
    steps = sorted({a.steps for a in document.arms.values() if a.steps is not None})
    seeds = f"{document.seeds} seed{'' if document.seeds == 1 else 's'}, the same for every arm"
    length = f"; {', '.join(f'{s:,}' for s in steps)} optimiser steps each" if steps else ""
    chosen = {
        "val": "chosen on the validation images",
        "default": "the default: too few images to choose it honestly",
        "user": "given by the user",
    }[document.share_chosen_on]
    shares = sorted({a.share for name, a in document.arms.items() if scores.is_synthetic(name)})
    rows = [
        ("Real images", document.data),
        ("Synthetic images", document.synthetic),
        ("Classifier", f"{document.classifier}, trained anew for each of {len(document.arms)} arms: {seeds}{length}"),
        ("Judged on", f"{test:,} test images that neither generator, gates nor classifiers have seen" if test else ""),
        ("Trained on", f"{train:,} real images" if train else ""),
        (
            "Share of synthetic images",
            f"{' and '.join(f'{100 * s:.0f}%' for s in shares)} of a target class's draws, {chosen}" if shares else "",
        ),
    ]
    return [(question, answer) for question, answer in rows if answer]


def _counts(document: EvaluateDocument) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Images per class in each split."""
    order = ["train", "val", "test"]
    names = sorted(document.split, key=lambda n: order.index(n) if n in order else len(order))
    return names, [(c, [f"{document.split[n].get(c, 0):,}" for n in names]) for c in document.classes]


def _class_scores(document: EvaluateDocument, label: str) -> tuple[str, Chart, list[scores.ArmRow]]:
    arms = scores.ordered_arms(document)
    estimates = {scores.arm_name(a): scores.f1(document.arms[a], label) for a in arms}
    kinds = {scores.arm_name(a): scores.kind(a) for a in arms}
    about = {scores.arm_name(a): scores.ABOUT.get(a, "") for a in arms}
    return label, bars(label, estimates, kinds, about), scores.class_rows(document, label)


def _comparisons(document: EvaluateDocument) -> list[Comparison]:
    found = [compare(document, before, after) for before, after in scores.before_and_after(document)]
    return [c for c in found if c is not None]


def _contrast_chart(document: EvaluateDocument) -> Chart | None:
    verdict = document.verdict
    groups = [(label, d.contrasts, d.smallest_detectable) for label, d in verdict.details.items()]
    if verdict.contrasts and len(document.targets) != 1:
        groups.insert(0, ("All target classes, mean F1", verdict.contrasts, verdict.smallest_detectable))
    elif verdict.contrasts and not groups:
        groups = [(document.targets[0], verdict.contrasts, verdict.smallest_detectable)]
    return contrasts(groups) if any(named for _, named, _ in groups) else None


def _images(document: EvaluateDocument, material: ReportMaterial, labels: Sequence[str]) -> dict[str, Any]:
    sources = [
        ("Real", "training images", material.real),
        ("Synthetic", "gated, as exported" if document.quality.gated else "as given", material.synthetic),
        ("Generator", "ungated, as they come", material.generator),
    ]
    share = pictures.BUDGET // 6
    side = max((pictures.side(images) for _, _, images in sources), default=0)
    return {
        "albums": pictures.albums(sources, labels[:_ALBUMS], pictures.BUDGET - share),
        "albums_left_out": list(labels[_ALBUMS:]),
        "pairs": pictures.pairs(material.pairs, share),
        "worst_pairs": document.quality.worst_pairs,
        "pixelated": 0 < side <= pictures.PIXELATED,
        "tile": 46 if side <= 32 else 58 if side <= 64 else 74,
    }


def _plain(value: object) -> str:
    """A setting as text."""
    if isinstance(value, (Mapping, list, tuple)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return "–" if value is None else str(value)
