"""Before and after: the best control, and the arm with synthetic images that is shown beside it.

They are the same two arms in all figures of the page, in Markdown and on the console.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from synthaug.documents import EvaluateDocument
from synthaug.evaluation.arms import ARMS, PlannedContrast, planned


def is_synthetic(arm: str) -> bool:
    """Whether an arm has synthetic images; False for an arm that this version does not know."""
    return arm in ARMS and ARMS[arm].synthetic


def before_and_after(document: EvaluateDocument) -> tuple[str | None, str | None]:
    """The best control and a synthetic arm; None if there is none.

    The synthetic arm is the one that helps the most target classes; else the best of those whose gain in their mean F1
    is above zero. Otherwise it is the last one that the verdict rests on, so that test images do not choose it.
    """
    arms, verdict = document.arms, document.verdict
    controls = [name for name in arms if not is_synthetic(name)]
    best: str | None = verdict.best_control
    if best not in controls:
        best = max(controls, key=lambda name: _target_f1(document, name), default=None)
    pairs = planned(arms)
    judged = [pair.arm.name for pair in pairs] or [name for name in ARMS if name in arms and is_synthetic(name)]
    return best, _chosen(document, pairs) or (judged[-1] if judged else None)


def _chosen(document: EvaluateDocument, pairs: Sequence[PlannedContrast]) -> str | None:
    found, arm_of = document.verdict, {pair.name: pair.arm.name for pair in pairs}
    helping = Counter(
        arm_of[helped]
        for name, details in found.details.items()
        if name in document.targets and (helped := details.helping) in arm_of and helped is not None
    )
    gaining = [arm_of[name] for name, contrast in found.contrasts.items() if name in arm_of and contrast.low > 0]
    candidates = [arm for arm, count in helping.items() if count == max(helping.values())] or gaining
    return max(candidates, key=lambda arm: _target_f1(document, arm), default=None)


def _target_f1(document: EvaluateDocument, arm: str) -> float:
    """Mean F1 of the target classes."""
    scored = document.arms[arm].per_class
    values = [scored[name].f1 for name in document.targets if name in scored]
    mean = float(np.mean(values)) if values else document.arms[arm].macro_f1.mean
    return mean if math.isfinite(mean) else -math.inf
