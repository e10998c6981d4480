"""`synthaug check [RUN|DIR]`: are the images any good? Fidelity, diversity, copies, collapse."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from synthaug_cli import console, fast_checks

if TYPE_CHECKING:
    from synthaug.documents import CheckDocument
    from synthaug.requests import CheckRequest


def command(request: CheckRequest) -> None:
    """Measure how good synthetic images are, beside what real ones score."""
    if request.reference is not None:
        fast_checks.folder(request.reference, "--reference")
    if request.target is None or not Path(request.target).is_dir():
        fast_checks.run(request.target, request.runs)
    from synthaug.pipelines.check import check

    console.result(check(**dict(request), progress=console.progress()), render)


def render(found: CheckDocument) -> None:
    rows = []
    for name, q in found.per_class.items():
        rows.append(
            [
                name,
                q.collapse,
                q.memorisation,
                q.n_synthetic,
                q.kid.mean if q.kid else None,
                q.kid_floor.mean if q.kid_floor else None,
                q.precision,
                q.recall,
                q.coverage,
                q.coverage_floor.mean if q.coverage_floor else None,
                q.duplicate_rate,
                q.dcr.mean if q.dcr else None,
            ]
        )
    kind = "gated" if found.gated else "ungated"
    console.table(
        f"{kind} synthetic images against {found.reference} images",
        [
            "class",
            "diversity",
            "copies",
            "images",
            "KID",
            "real KID",
            "precision",
            "recall",
            "coverage",
            "real cov.",
            "duplicates",
            "DCR",
        ],
        rows,
        words=3,
    )
    console.line(f"judged by {found.features}; 'real' columns are what real images score against real ones")
    if found.pooled is not None and found.pooled.detect_auc is not None:
        console.line(
            f"all classes: told from real images with an AUC of {found.pooled.detect_auc:.2f} (0.5 cannot be told)"
        )
    for name, q in found.per_class.items():
        for reason in q.reasons:
            console.line(f"  {name}: {reason}")
