"""`synthaug check [RUN|DIR]`: how good are the images? Fidelity, variety, copies, collapse."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from synthaug_cli import console, fast_checks

if TYPE_CHECKING:
    from synthaug.documents import CheckDocument
    from synthaug.requests import CheckRequest


def command(request: CheckRequest) -> None:
    """Measure how good synthetic images are.

    Examples:
        synthaug check
        synthaug check made/train --reference photos
    """
    if request.reference is not None:
        fast_checks.folder(request.reference, "--reference")
    if request.target is None or not Path(request.target).is_dir():
        fast_checks.run(request.target, request.runs)
    from synthaug.pipelines.check import run_check

    console.result(run_check(request, console.progress()), render)


def render(found: CheckDocument) -> None:
    from synthaug.metrics import metrics

    columns = ["class", "diversity", "copies", "images"]
    classes = found.per_class.items()
    rows: list[list[object]] = [[name, q.collapse, q.memorisation, q.n_synthetic] for name, q in classes]
    for metric_name, metric in metrics().items():
        scores = [q.score(metric_name) for q in found.per_class.values()]
        for heading, values in (
            (metric.column, [score.text or score.value for score in scores]),
            (metric.floor_column, [score.floor.mean if score.floor else None for score in scores]),
        ):
            if heading:
                columns.append(heading)
                for row, value in zip(rows, values, strict=True):
                    row.append(value)
    kind = "gated" if found.gated else "ungated"
    console.table(f"{kind} synthetic images against {found.reference} images", columns, rows, words=3)
    console.prose(f"features of {found.features}; the columns 'real' compare real images with other real images")
    for line in _older_scores(found):
        console.line(line)
    if found.pooled is not None and (auc := found.pooled.score("detect_auc").value) is not None:
        console.line(f"all classes: a classifier separates them from real images with AUC {auc:.2f} (0.5: not at all)")
    if found.second_judge is not None:
        console.prose(found.second_judge.text())
    if found.conditions:
        console.table(
            "conditions, recovered by a classifier of real images",
            ["condition", "acts", "real", "synthetic", "by class alone"],
            [[c.name, c.acts, c.real, c.samples and c.samples.mean, c.floor] for c in found.conditions],
            words=2,
        )
    for name in [c.name for c in found.conditions if c.acts == "no"]:
        console.prose(f"the condition {name} does nothing: images do not show what they were told")
    for name, q in classes:
        for reason in q.reasons:
            console.prose(f"  {name}: {reason}", 4)


def _older_scores(found: CheckDocument) -> list[str]:
    """FID and Inception score of all classes together, as introductions to the field name them first."""
    whole = found.pooled or next(iter(found.per_class.values()))
    parts = []
    for name, heading, decimals in (("fid", "FID", 1), ("inception_score", "Inception score", 2)):
        score = whole.score(name)
        if score.value is not None:
            real = f" (real images: {score.floor.mean:.{decimals}f})" if score.floor else ""
            parts.append(f"{heading} {score.value:.{decimals}f}{real}")
    if not parts:
        return []
    net = found.features.partition("@")[0]
    return [
        f"all classes: {', '.join(parts)}, by {net} on {whole.n_compared:,} images a side: not comparable with papers"
    ]
