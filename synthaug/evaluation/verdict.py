"""helps, hurts, or no measurable effect: for each target class, for macro-F1, and overall (DESIGN §6.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synthaug.documents import Contrast, TargetVerdict, Verdict, VerdictDocument
from synthaug.evaluation.arms import ARMS, CONTRASTS
from synthaug.evaluation.statistics import Estimate, F1Table, contrast, holm, mean_f1

ALPHA = 0.05
CAVEAT = (
    "one generator and one training sample were judged: another training of the generator, or other real images, "
    "may turn out otherwise"
)
MACRO = "macro-F1"


@dataclass(frozen=True)
class Finding:
    """One question (a target class, their mean, or macro-F1) and its answer."""

    verdict: Verdict
    contrasts: dict[str, Estimate]
    best_control: str
    best_control_f1: float
    helping: str | None
    reason: str

    @property
    def smallest_detectable(self) -> float:
        """The larger one of the contrasts: an effect in either would have been seen from there on."""
        return max(e.smallest_detectable for e in self.contrasts.values())

    def document(self) -> TargetVerdict:
        return TargetVerdict(
            verdict=self.verdict,
            contrasts=contrast_documents(self.contrasts),
            best_control=self.best_control,
            smallest_detectable=self.smallest_detectable,
            reason=self.reason,
        )


def contrast_documents(contrasts: Mapping[str, Estimate]) -> dict[str, Contrast]:
    return {name: Contrast(mean=e.mean, low=e.low, high=e.high, p_value=e.p_value) for name, e in contrasts.items()}


def find(tables: Mapping[str, F1Table], classes: Sequence[int], test_groups: int) -> Finding:
    """Answer for the mean F1 of `classes`, without correction for other questions.

    *helps*: one contrast's interval lies above zero and its arm's mean is not below any control's. *hurts*: the
    intervals of all contrasts lie below zero. Otherwise *no measurable effect*.

    Args:
        tables: arm → F1; at least one contrast's arm and control among them.
        classes: indices of classes.
        test_groups: groups of test images that hold these classes.
    """
    means = {name: mean_f1(table, classes, test_groups).mean for name, table in tables.items()}
    controls = [name for name in tables if not ARMS[name].synthetic]
    best = max(controls, key=lambda name: means[name])
    contrasts = {
        name: contrast(tables[arm], tables[control], classes, test_groups)
        for name, (arm, control) in CONTRASTS.items()
        if arm in tables and control in tables
    }
    above = [name for name, e in contrasts.items() if e.low > 0]
    helping = [name for name in above if means[CONTRASTS[name][0]] >= means[best]]
    if helping:
        chosen = max(helping, key=lambda name: means[CONTRASTS[name][0]])
        reason = f"{_said(chosen, contrasts[chosen])}, and no control is better"
        return Finding("helps", contrasts, best, means[best], chosen, reason)
    if all(e.high < 0 for e in contrasts.values()):
        reason = "; ".join(_said(name, e) for name, e in contrasts.items())
        return Finding("hurts", contrasts, best, means[best], None, reason)
    if above:
        arm, control = CONTRASTS[above[0]]
        reason = (
            f"{arm} beats {control}, but the control {best} is better still ({means[best]:.3f} to {means[arm]:.3f})"
        )
    elif len(contrasts) > 1 and any(e.high < 0 for e in contrasts.values()):
        worse = next(name for name, e in contrasts.items() if e.high < 0)
        reason = f"{_said(worse, contrasts[worse])}, but not in the other comparison"
    else:
        reason = "; ".join(_said(name, e) for name, e in contrasts.items()) + ": zero is inside"
    return Finding("no measurable effect", contrasts, best, means[best], None, reason)


def _said(name: str, estimate: Estimate) -> str:
    arm, control = CONTRASTS[name]
    return f"{arm} against {control}: F1 {estimate.mean:+.3f} ({estimate.low:+.3f} to {estimate.high:+.3f})"


def judge(
    tables: Mapping[str, F1Table],
    class_names: Sequence[str],
    targets: Sequence[str],
    test_groups: npt.NDArray[np.int64],
    all_groups: int,
) -> VerdictDocument:
    """Answer for every target class, for macro-F1, and overall.

    Overall follows the target classes under Holm's correction: *helps* when some target still does and none is hurt,
    *hurts* the other way round. For helping, either contrast would do, so all contrasts of all targets are corrected
    together; for hurting, all contrasts of a target must agree, so its largest p-value counts.

    Args:
        tables: arm → F1 of all classes.
        class_names: [K].
        targets: the target classes, each with test images.
        test_groups: [K] groups of test images that hold each class; 0 leaves a class out of macro-F1.
        all_groups: groups of test images.
    """
    index = {name: k for k, name in enumerate(class_names)}
    findings = {name: find(tables, [index[name]], int(test_groups[index[name]])) for name in targets}
    together = find(tables, [index[name] for name in targets], int(min(test_groups[index[n]] for n in targets)))
    macro = find(tables, np.flatnonzero(test_groups).tolist(), all_groups)

    pairs = [(name, key) for name, finding in findings.items() for key in finding.contrasts]
    adjusted = dict(zip(pairs, holm([findings[n].contrasts[key].p_value for n, key in pairs]), strict=True))
    helped = [
        name for name, finding in findings.items()
        if finding.verdict == "helps" and any(
            adjusted[name, key] < ALPHA and e.mean > 0 for key, e in finding.contrasts.items()
            if key == finding.helping
        )
    ]  # fmt: skip
    largest = holm([max(e.p_value for e in finding.contrasts.values()) for finding in findings.values()])
    hurt = [
        name for (name, finding), p in zip(findings.items(), largest, strict=True)
        if finding.verdict == "hurts" and p < ALPHA
    ]  # fmt: skip
    overall: Verdict = "helps" if helped and not hurt else "hurts" if hurt and not helped else "no measurable effect"
    return VerdictDocument(
        overall=overall,
        sentence=_sentence(overall, helped, hurt, findings, together),
        per_target={name: finding.verdict for name, finding in findings.items()},
        details={**{name: finding.document() for name, finding in findings.items()}, MACRO: macro.document()},
        contrasts=contrast_documents(together.contrasts),
        best_control=together.best_control,
        smallest_detectable=together.smallest_detectable,
        caveats=[CAVEAT],
    )


def _sentence(
    overall: Verdict, helped: list[str], hurt: list[str], findings: Mapping[str, Finding], together: Finding
) -> str:
    if overall == "helps":
        gains = []
        for name in helped:
            finding = findings[name]
            assert finding.helping is not None
            arm, control = CONTRASTS[finding.helping]
            e = finding.contrasts[finding.helping]
            gains.append(f"{name}: F1 {e.mean:+.3f} ({e.low:+.3f} to {e.high:+.3f}) with {arm} instead of {control}")
        return f"The synthetic images help the classifier: {'; '.join(gains)}."
    if overall == "hurts":
        losses = [f"{name}: F1 {max(e.mean for e in findings[name].contrasts.values()):+.3f} at best" for name in hurt]
        return f"The synthetic images hurt the classifier: {'; '.join(losses)}. Use {together.best_control} instead."
    if helped and hurt:
        return f"The synthetic images help {', '.join(helped)} and hurt {', '.join(hurt)}: no answer fits them all."
    alone = [name for name, finding in findings.items() if finding.verdict != "no measurable effect"]
    note = (
        f" {', '.join(alone)} alone would say otherwise, which chance explains among {len(findings)}." if alone else ""
    )
    blind = (
        f"an effect below {together.smallest_detectable:.3f} could not have been seen"
        if together.smallest_detectable > 0
        else "not one score differs"
    )
    return (
        f"The synthetic images make no measurable difference: the best control is {together.best_control} "
        f"(F1 {together.best_control_f1:.3f} of the target classes), and {blind}.{note}"
    )
