"""The arms that are shown side by side: one without and one with synthetic images."""

from __future__ import annotations

import math
from collections.abc import Mapping

from synthaug.documents import Arm, EvaluateDocument, TargetVerdict
from synthaug.evaluation.arms import ARMS, PlannedContrast, planned


def is_synthetic(arm: str) -> bool:
    """Whether an arm has synthetic images; False for an arm that this version does not know."""
    return arm in ARMS and ARMS[arm].synthetic


def before_and_after(document: EvaluateDocument, label: str | None = None) -> tuple[str | None, str | None]:
    """The best control and a synthetic arm, for one class or for all.

    For one class, the synthetic arm is the one that helps; else the best of those whose gain is above zero. Otherwise,
    and for all classes, it is the last one that the verdict rests on, so that test images do not choose it.
    """
    arms, verdict = document.arms, document.verdict
    details = verdict.details.get(label) if label is not None else None
    best: str | None = details.best_control if details else verdict.best_control
    controls = [name for name in arms if not is_synthetic(name)]
    if best not in controls:
        best = max(controls, key=lambda name: _f1(arms[name], label), default=None)
    synthetic = [name for name in ARMS if name in arms and is_synthetic(name)]
    judged = [contrast.arm.name for contrast in planned(arms)] or synthetic
    return best, _gaining(arms, details, label) or (judged[-1] if judged else None)


def contrasts_shown(document: EvaluateDocument) -> list[PlannedContrast]:
    """The contrasts of an evaluation, the largest difference first."""
    found = document.verdict.contrasts
    shown = [contrast for contrast in planned(document.arms) if contrast.name in found]
    return sorted(shown, key=lambda contrast: -_finite(found[contrast.name].mean))


def _gaining(arms: Mapping[str, Arm], details: TargetVerdict | None, label: str | None) -> str | None:
    if details is None:
        return None
    there = {contrast.name: contrast.arm.name for contrast in planned(arms)}
    if details.helping in there:
        return there[details.helping]
    gaining = [there[name] for name, contrast in details.contrasts.items() if name in there and contrast.low > 0]
    return max(gaining, key=lambda name: _f1(arms[name], label), default=None)


def _f1(arm: Arm, label: str | None) -> float:
    if label is None:
        return _finite(arm.macro_f1.mean)
    return _finite(arm.per_class[label].f1) if label in arm.per_class else -math.inf


def _finite(value: float) -> float:
    return value if math.isfinite(value) else -math.inf
