"""The scores of the arms, as estimates with intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from scipy import stats

from synthaug.documents import Arm, EvaluateDocument
from synthaug.evaluation.arms import ARMS
from synthaug.evaluation.before_after import is_synthetic
from synthaug.evaluation.report.svg import number


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean in [0, 1], its 95% interval if known, and the value of each seed."""

    mean: float
    low: float | None = None
    high: float | None = None
    per_seed: list[float] = field(default_factory=list)

    def text(self) -> str:
        """`0.521 [0.480, 0.560]`"""
        return f"{number(self.mean)}{self.interval()}"

    def interval(self) -> str:
        return "" if self.low is None or self.high is None else f" [{number(self.low)}, {number(self.high)}]"


@dataclass(frozen=True, slots=True)
class ArmRow:
    """One arm's scores on one class, or on all."""

    arm: str
    kind: str
    estimates: list[Estimate]
    best: list[bool]


def kind(arm: str) -> str:
    return "synthetic" if is_synthetic(arm) else "control"


def about(arm: str) -> str:
    return ARMS[arm].about if arm in ARMS else ""


def arm_name(arm: str) -> str:
    return arm.replace("+", " + ")


def ordered_arms(document: EvaluateDocument) -> list[str]:
    """Controls first, synthetic arms last, arms that this version does not know between them."""
    known = {name: i for i, name in enumerate(ARMS)}
    return sorted(document.arms, key=lambda a: (is_synthetic(a), known.get(a, len(ARMS))))


def ordered_classes(document: EvaluateDocument) -> tuple[list[str], list[str]]:
    """(target classes, the other classes), in the document's order."""
    targets = [c for c in document.targets if c in document.classes]
    return targets, [c for c in document.classes if c not in targets]


def over_seeds(values: Sequence[float]) -> Estimate:
    """Mean and 95% t interval over seeds, on the test images as they are; cut to [0, 1].

    One seed has no interval.
    """
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        return Estimate(math.nan)
    mean = math.fsum(finite) / len(finite)
    if len(finite) < 2:
        return Estimate(mean, per_seed=list(values))
    variance = math.fsum((v - mean) ** 2 for v in finite) / (len(finite) - 1)
    half = float(stats.t.ppf(0.975, len(finite) - 1)) * math.sqrt(variance / len(finite))
    return Estimate(mean, max(0.0, mean - half), min(1.0, mean + half), list(values))


def wilson(mean: float, n: float) -> Estimate:
    """95% interval of a proportion over `n` images (Wilson 1927, doi:10.1080/01621459.1927.10502953)."""
    if n <= 0 or not math.isfinite(mean):
        return Estimate(mean)
    z = 1.959964
    centre = (mean + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(max(0.0, mean * (1 - mean)) / n + z * z / (4 * n * n))
    return Estimate(mean, max(0.0, min(mean, centre - half)), min(1.0, max(mean, centre + half)))


def f1(arm: Arm, label: str) -> Estimate:
    scores = arm.per_class.get(label)
    seeds = arm.f1_per_seed.get(label, [])
    if not seeds:
        return Estimate(scores.f1 if scores else math.nan)
    estimate = over_seeds(seeds)
    return Estimate(scores.f1 if scores else estimate.mean, estimate.low, estimate.high, estimate.per_seed)


def class_estimates(document: EvaluateDocument, arm: str, label: str) -> list[Estimate]:
    """F1 over seeds; precision and recall with Wilson's interval over test images; average precision."""
    scored = document.arms[arm]
    scores = scored.per_class.get(label)
    if scores is None:
        return [Estimate(math.nan)] * 4
    seeds = max(1, len(scored.f1_per_seed.get(label, [])) or document.seeds)
    predicted = actual = 0.0
    if label in document.classes:
        index = document.classes.index(label)
        if len(scored.confusion) > index:  # summed over seeds: the test images count once
            actual = sum(scored.confusion[index]) / seeds
            predicted = sum(row[index] for row in scored.confusion if len(row) > index) / seeds
    return [
        f1(scored, label),
        wilson(scores.precision, predicted),
        wilson(scores.recall, actual),
        Estimate(scores.average_precision),
    ]


def class_rows(document: EvaluateDocument, label: str) -> list[ArmRow]:
    arms = ordered_arms(document)
    return _rows(arms, [class_estimates(document, arm, label) for arm in arms])


def f1_table(document: EvaluateDocument, labels: Sequence[str]) -> list[tuple[str, list[Estimate], list[bool]]]:
    """Each class's F1 in every arm, in the order of `ordered_arms`, and whether it is the highest."""
    arms, table = ordered_arms(document), []
    for label in labels:
        estimates = [f1(document.arms[arm], label) for arm in arms]
        best = _largest(estimates)
        table.append((label, estimates, [number(e.mean) == best for e in estimates]))
    return table


def overall_rows(document: EvaluateDocument) -> list[ArmRow]:
    """Macro-F1, balanced accuracy and geometric mean of each arm."""
    arms = ordered_arms(document)
    table = [
        [Estimate(i.mean, i.low, i.high, i.per_seed) for i in (a.macro_f1, a.balanced_accuracy, a.geometric_mean)]
        for a in (document.arms[arm] for arm in arms)
    ]
    return _rows(arms, table)


def _rows(arms: Sequence[str], table: Sequence[list[Estimate]]) -> list[ArmRow]:
    best = [_largest(column) for column in zip(*table, strict=True)]
    return [
        ArmRow(arm, kind(arm), estimates, [number(e.mean) == b for e, b in zip(estimates, best, strict=True)])
        for arm, estimates in zip(arms, table, strict=True)
    ]


def _largest(column: Iterable[Estimate]) -> str | None:
    means = [e.mean for e in column if math.isfinite(e.mean)]
    return number(max(means)) if means and max(means) > min(means) else None
