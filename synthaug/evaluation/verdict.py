"""helps, hurts, or no measurable effect: for each target class, for macro-F1, and overall (DESIGN §6.4).

What the null is. The contrasts ask whether the synthetic images change the F1 that this kind of classifier reaches
from these training images, over its seeds and over test images of this kind; another training sample is not in the
claim, unless folds bring some. A gain over one's own control is not enough: copies of the training images, moved by a
pixel, beat oversampling because classical augmentation does, and an arm's mean is above another control's by luck in
every second case. So an arm must beat every control by an interval above zero: the test of a union of nulls rejects
when each of them is rejected, and needs no further correction (Berger, Technometrics 24(4), 1982). How often this is
wrong is measured in docs/science/verdict.md.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synthaug.documents import Contrast, TargetVerdict, Verdict, VerdictDocument
from synthaug.evaluation.arms import ARMS, CONTRASTS, CONTROLS
from synthaug.evaluation.statistics import Estimate, F1Table, contrast, holm, mean_f1

ALPHA = 0.05
CAVEAT = (
    "one generator and one training sample were judged: another training of the generator, or other real images, "
    "may turn out otherwise"
)
FOLDS_CAVEAT = (
    "the generators of the folds learnt from overlapping images: the interval makes an allowance for it (Nadeau and "
    "Bengio, 2003), which is an approximation"
)
MACRO = "macro-F1"


@dataclass(frozen=True)
class Finding:
    """One question (a target class, their mean, or macro-F1) and its answer.

    `against_best` is the difference of each contrast's arm to the best control; `p_values` are those of the claim that
    a contrast's arm beats every control; `helping` is the contrast whose arm does, the surer one of two.
    """

    verdict: Verdict
    contrasts: dict[str, Estimate]
    against_best: dict[str, Estimate]
    p_values: dict[str, float]
    best_control: str
    best_control_f1: float
    helping: str | None
    reason: str

    @property
    def smallest_detectable(self) -> float:
        """The largest one of the comparisons: an effect in any would have been seen from there on."""
        return max(e.smallest_detectable for e in [*self.contrasts.values(), *self.against_best.values()])

    def document(self) -> TargetVerdict:
        return TargetVerdict(
            verdict=self.verdict,
            contrasts=contrast_documents(self.contrasts),
            best_control=self.best_control,
            against_best=contrast_documents(self.against_best),
            helping=self.helping,
            smallest_detectable=self.smallest_detectable,
            reason=self.reason,
        )


def contrast_documents(contrasts: Mapping[str, Estimate]) -> dict[str, Contrast]:
    return {name: Contrast(mean=e.mean, low=e.low, high=e.high, p_value=e.p_value) for name, e in contrasts.items()}


def missing_controls(arms: Mapping[str, object]) -> list[str]:
    """Controls without which nothing is said to help: one of them may do as well."""
    return [name for name in CONTROLS if name not in arms]


def find(tables: Mapping[str, F1Table], classes: Sequence[int], test_groups: int) -> Finding:
    """Answer for the mean F1 of `classes`, without correction for other questions.

    *helps*: one contrast's interval lies above zero, and so does its arm's interval against every other control, none
    missing. *hurts*: the intervals of all contrasts lie below zero. Otherwise *no measurable effect*, also
    where all test images are of one group, since nothing then says how others would have turned out.

    Args:
        tables: arm → F1; at least one contrast's arm and control among them.
        classes: indices of classes.
        test_groups: groups of test images that hold these classes.
    """
    means = {name: mean_f1(table, classes, test_groups).mean for name, table in tables.items()}
    controls = [name for name in tables if not ARMS[name].synthetic]
    best = max(controls, key=lambda name: means[name])
    against = {
        name: {other: contrast(tables[arm], tables[other], classes, test_groups) for other in controls}
        for name, (arm, control) in CONTRASTS.items()
        if arm in tables and control in tables
    }
    contrasts = {name: by[CONTRASTS[name][1]] for name, by in against.items()}
    against_best = {CONTRASTS[name][0]: by[best] for name, by in against.items()}
    p_values = {name: max(e.p_value if e.mean > 0 else 1.0 for e in by.values()) for name, by in against.items()}
    if test_groups < 2:
        reason = "all test images are of one group, which says nothing about others"
        ones = dict.fromkeys(p_values, 1.0)
        return Finding("no measurable effect", contrasts, against_best, ones, best, means[best], None, reason)
    above = [name for name, e in contrasts.items() if e.low > 0]
    beaten = [name for name in above if all(e.low > 0 for e in against[name].values())]
    lacking = missing_controls(tables)
    helping = min(beaten, key=lambda name: p_values[name], default=None)

    def answer(verdict: Verdict, reason: str) -> Finding:
        return Finding(verdict, contrasts, against_best, p_values, best, means[best], helping, reason)

    if helping is not None and not lacking:
        return answer("helps", f"{_said(helping, contrasts[helping])}, and every other control is beaten too")
    if all(e.high < 0 for e in contrasts.values()):
        return answer("hurts", "; ".join(_said(name, e) for name, e in contrasts.items()))
    if helping is not None:
        said = f"{_said(helping, contrasts[helping])}, but {', '.join(lacking)} may do as well: not trained"
        return answer("no measurable effect", said)
    if above:
        arm, control = CONTRASTS[above[0]]
        e = against_best[arm]
        better = "better still" if e.mean < 0 else "not measurably worse"
        reason = (
            f"{arm} beats {control}, but the control {best} is {better} ({means[best]:.3f} to {means[arm]:.3f})"
            if e.low <= 0
            else f"{arm} beats {control}, but not every other control by more than chance"
        )
    elif len(contrasts) > 1 and any(e.high < 0 for e in contrasts.values()):
        worse = next(name for name, e in contrasts.items() if e.high < 0)
        reason = f"{_said(worse, contrasts[worse])}, but not in the other comparison"
    else:
        reason = "; ".join(_said(name, e) for name, e in contrasts.items()) + ": zero is inside"
    return answer("no measurable effect", reason)


def _said(name: str, estimate: Estimate) -> str:
    arm, control = CONTRASTS[name]
    return f"{arm} against {control}: F1 {estimate.mean:+.3f} ({estimate.low:+.3f} to {estimate.high:+.3f})"


def judge(
    tables: Mapping[str, F1Table],
    class_names: Sequence[str],
    targets: Sequence[str],
    test_groups: npt.NDArray[np.int64],
    all_groups: int,
    *,
    folds: int | None = None,
) -> VerdictDocument:
    """Answer for every target class, for macro-F1, and overall.

    A target's verdict is the one that it keeps under Holm's correction, and overall follows the targets: *helps* when
    some target does and none is hurt, *hurts* the other way round. For helping, either contrast would do, so all
    contrasts of all targets are corrected together, each with its largest p-value against a control; for hurting, all
    contrasts of a target must agree, so its largest p-value counts.

    Args:
        tables: arm → F1 of all classes.
        class_names: [K].
        targets: the target classes, each with test images.
        test_groups: [K] groups of test images that hold each class; 0 leaves a class out of macro-F1.
        all_groups: groups of test images.
        folds: how many generators were judged, where there are folds.
    """
    index = {name: k for k, name in enumerate(class_names)}
    findings = {name: find(tables, [index[name]], int(test_groups[index[name]])) for name in targets}
    together = find(tables, [index[name] for name in targets], int(min(test_groups[index[n]] for n in targets)))
    macro = find(tables, np.flatnonzero(test_groups).tolist(), all_groups)

    pairs = [(name, key) for name, finding in findings.items() for key in finding.contrasts]
    adjusted = dict(zip(pairs, holm([findings[n].p_values[key] for n, key in pairs]), strict=True))
    beating = [name for name, f in findings.items() if f.helping is not None and adjusted[name, f.helping] < ALPHA]
    lacking = missing_controls(tables)
    helped = [] if lacking else beating
    largest = holm([max(e.p_value for e in finding.contrasts.values()) for finding in findings.values()])
    hurt = [
        name for (name, finding), p in zip(findings.items(), largest, strict=True)
        if finding.verdict == "hurts" and p < ALPHA
    ]  # fmt: skip
    details = {name: finding.document() for name, finding in findings.items()}
    for name, detail in details.items():
        if detail.verdict != "no measurable effect" and name not in (*helped, *hurt):
            detail.verdict = "no measurable effect"
            detail.reason += f"; but not after correction for {len(pairs)} comparisons"
    overall: Verdict = "helps" if helped and not hurt else "hurts" if hurt and not helped else "no measurable effect"
    return VerdictDocument(
        overall=overall,
        sentence=(
            _untested(beating, lacking, findings)
            if overall == "no measurable effect" and beating and lacking
            else _sentence(overall, helped, hurt, findings, together, macro)
        ),
        per_target={name: detail.verdict for name, detail in details.items()},
        details={**details, MACRO: macro.document()},
        contrasts=contrast_documents(together.contrasts),
        best_control=together.best_control,
        against_best=contrast_documents(together.against_best),
        missing_controls=lacking,
        smallest_detectable=together.smallest_detectable,
        caveats=[FOLDS_CAVEAT if folds is not None else CAVEAT],
    )


def _untested(beating: list[str], lacking: list[str], findings: Mapping[str, Finding]) -> str:
    """Something was gained, over too little."""
    return (
        f"The synthetic images beat the controls that were trained ({'; '.join(_gains(beating, findings))}), but "
        f"{', '.join(lacking)} were left out and may do as well: without them nothing is said to help."
    )


def _gains(names: list[str], findings: Mapping[str, Finding]) -> list[str]:
    return [f"{name}: F1 {_gain(findings[name])}" for name in names]


def _gain(finding: Finding) -> str:
    assert finding.helping is not None
    arm, control = CONTRASTS[finding.helping]
    e = finding.contrasts[finding.helping]
    return f"{e.mean:+.3f} ({e.low:+.3f} to {e.high:+.3f}) with {arm} instead of {control}"


def _price(contrasts: Collection[str | None], macro: Finding) -> str:
    """That the other classes pay for the gain, where macro-F1 of all classes falls by more than chance."""
    losses = [e for name, e in macro.contrasts.items() if name in contrasts and e.high < 0]
    if not losses:
        return ""
    worst = min(losses, key=lambda e: e.mean)
    return f" Other classes pay for it: {MACRO} of all {worst.mean:+.3f} ({worst.low:+.3f} to {worst.high:+.3f})."


def _sentence(
    overall: Verdict,
    helped: list[str],
    hurt: list[str],
    findings: Mapping[str, Finding],
    together: Finding,
    macro: Finding,
) -> str:
    if overall == "helps":
        gains = "; ".join(_gains(helped, findings))
        return (
            f"The synthetic images help the classifier: {gains}.{_price({findings[n].helping for n in helped}, macro)}"
        )
    if overall == "hurts":
        losses = [f"{name}: F1 {max(e.mean for e in findings[name].contrasts.values()):+.3f} at best" for name in hurt]
        return f"The synthetic images hurt the classifier: {'; '.join(losses)}. Use {together.best_control} instead."
    if helped and hurt:
        return f"The synthetic images help {', '.join(helped)} and hurt {', '.join(hurt)}: no answer fits them all."
    alone = [name for name, finding in findings.items() if finding.verdict != "no measurable effect"]
    note = f" {', '.join(alone)} alone would say otherwise, but not after correction." if alone else ""
    if len(findings) > 1 and together.verdict == "helps" and together.helping is not None:
        corrected = dict(zip(together.p_values, holm(list(together.p_values.values())), strict=True))
        if corrected[together.helping] < ALPHA:
            return (
                f"No single one of the {len(findings)} target classes gains measurably after correction, though their "
                f"mean F1 does: {_gain(together)}."
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
