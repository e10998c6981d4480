"""The verdict: helps, hurts, or no measurable effect; for each target class, for macro-F1, and overall.

Null hypothesis: the synthetic images do not change the F1 that this classifier reaches with these training images, over
its seeds and over test images of the same kind; with several generators, also over other generators. Other training
images are not covered, except with folds. With one generator, the sentence says so.

*helps*: synthetic images beat the methods without them (which: `best_control`), each by more than chance. A gain over
the arm's own control is not enough: copies of the training images, shifted by a pixel, beat oversampling too, like
classical augmentation. The null is a union, "some control is at least as good"; it is rejected if every part is
rejected, without further correction (Berger, Technometrics 24(4), 1982). With fewer than six groups of test images
nothing is said to help: an exact test over five groups cannot give p < 0.05. docs/science/verdict.md measures how often
the verdict is wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synthaug.documents import Contrast, TargetVerdict, Verdict, VerdictDocument
from synthaug.evaluation.arms import ARMS, CONTRASTS, CONTROLS, planned
from synthaug.evaluation.best_control import BestControl
from synthaug.evaluation.detectable import smallest_detectable
from synthaug.evaluation.statistics import Estimate, F1Table, contrast
from synthaug.metrics.holm import holm

ALPHA = 0.05
LEAST_GROUPS = 6
CAVEAT = (
    "one generator and one set of training images were judged: with another training of the generator, or with other "
    "real images, the result may differ"
)
ONE_GENERATOR = "One generator was judged: another training of it may give another result."
GENERATORS_CAVEAT = "one set of training images was judged: with other real images, the result may differ"
FOLDS_CAVEAT = (
    "the generators of the folds were trained on overlapping images: the interval corrects for this only approximately "
    "(Nadeau and Bengio, 2003)"
)
MACRO = "macro-F1"


@dataclass(frozen=True)
class Finding:
    """The verdict on one score: F1 of a target class, the mean over target classes, or macro-F1.

    Dictionaries have the contrasts' names as keys, `against_best` those of the synthetic arms. `against_best` is the
    difference to the best control. `p_values` are for "the arm beats every control". `helping` is the contrast of an
    arm that does; of two, the one with the smaller p-value. `smallest_detectable` is the gain over the best control
    that the rule finds in 80% of cases, whichever of the arms has it; None: it finds no gain so often.
    """

    verdict: Verdict
    contrasts: dict[str, Estimate]
    against_best: dict[str, Estimate]
    p_values: dict[str, float]
    best_control: str
    best_control_f1: float
    helping: str | None
    reason: str
    smallest_detectable: float | None

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


def missing_controls(arms: Mapping[str, object], needed: Sequence[str] = CONTROLS) -> list[str]:
    """Controls that were not trained. One of them may do as well, so without them the verdict is never *helps*."""
    return [name for name in needed if name not in arms]


def p_value_over_all(gains: Iterable[Estimate]) -> float:
    """The p-value of "the arm beats every control" from its differences to them."""
    return max(e.p_value if e.mean > 0 else 1.0 for e in gains)


def find(
    tables: Mapping[str, F1Table],
    classes: Sequence[int],
    test_groups: npt.NDArray[np.int64],
    *,
    needed: Sequence[str] = CONTROLS,
    to_beat: Collection[str] | None = None,
    chosen: str | None = None,
    comparisons: int = 1,
) -> Finding:
    """The verdict on the mean F1 of `classes`, without correction for other classes.

    *helps*: an arm's intervals against all controls to be beaten lie above zero, and all controls were trained.
    *hurts*: the intervals of all contrasts lie below zero. Otherwise *no measurable effect*; also if the test images
    are of fewer than `LEAST_GROUPS` groups.

    Args:
        tables: arm → F1; with both arms of at least one contrast.
        classes: indices of classes.
        test_groups: [K] groups of test images that hold each class.
        needed: controls that must be trained to help.
        to_beat: the controls that an arm must beat; None: all.
        chosen: the best of them, as val chose; None: the best on test.
        comparisons: for how many the p-values will be corrected; only the smallest detectable effect depends on it.
    """
    means = {name: float(table.seeds[..., list(classes)].mean()) for name, table in tables.items()}
    controls = [name for name in tables if not ARMS[name].synthetic and (to_beat is None or name in to_beat)]
    best = chosen or max(controls, key=lambda name: means[name])

    def difference(arm: str, control: str) -> Estimate:
        return contrast(tables[arm], tables[control], classes, test_groups)

    pairs = planned(tables)
    contrasts = {pair.name: difference(pair.arm.name, pair.control.name) for pair in pairs}
    differences = {pair.name: {other: difference(pair.arm.name, other) for other in controls} for pair in pairs}
    against_best = {CONTRASTS[name].arm.name: by[best] for name, by in differences.items()}
    p_values = {name: p_value_over_all(by.values()) for name, by in differences.items()}
    lacking = missing_controls(tables, needed)
    above = [name for name, e in contrasts.items() if e.low > 0]
    beaten = [name for name in above if all(e.low > 0 for e in differences[name].values())]
    helping = min(beaten, key=lambda name: p_values[name], default=None)

    def answer(verdict: Verdict, reason: str) -> Finding:
        level = ALPHA / comparisons
        against = [tables[name] for name in controls]
        smallest = [smallest_detectable(tables[pair.arm.name], against, classes, test_groups, level) for pair in pairs]
        found = None if None in smallest else max(x for x in smallest if x is not None)
        return Finding(verdict, contrasts, against_best, p_values, best, means[best], helping, reason, found)

    groups = tables[best].groups_of(classes, test_groups)
    if groups < LEAST_GROUPS:
        few = "one group" if groups == 1 else f"only {groups} groups"
        return answer("no measurable effect", f"the test images are of {few}, too few to show any effect")
    if helping is not None and not lacking:
        own = CONTRASTS[helping].control.name
        others = "every other control" if chosen is None else ", ".join(name for name in controls if name != own)
        return answer("helps", f"{_said(helping, contrasts[helping])}, and the arm beats {others} too")
    if all(e.high < 0 for e in contrasts.values()):
        return answer("hurts", "; ".join(_said(name, e) for name, e in contrasts.items()))
    if helping is not None:
        said = f"{_said(helping, contrasts[helping])}, but {', '.join(lacking)} may do as well, and was not trained"
        return answer("no measurable effect", said)
    if above:
        arm, control = CONTRASTS[above[0]].arm.name, CONTRASTS[above[0]].control.name
        e = against_best[arm]
        better = "even better" if e.mean < 0 else "not measurably worse"
        reason = (
            f"{arm} beats {control}, but the control {best} is {better} (F1 {means[best]:.3f}, {arm} {means[arm]:.3f})"
            if e.low <= 0
            else f"{arm} beats {control}, but not every other control by more than chance"
        )
    elif len(contrasts) > 1 and any(e.high < 0 for e in contrasts.values()):
        worse = next(name for name, e in contrasts.items() if e.high < 0)
        reason = f"{_said(worse, contrasts[worse])}, but not in the other comparison"
    else:
        reason = "; ".join(_said(name, e) for name, e in contrasts.items()) + ": the interval includes zero"
    return answer("no measurable effect", reason)


def _largest(effects: Sequence[float | None]) -> float | None:
    """Of effects that are each found in 80% of cases; None if all are None."""
    return max((x for x in effects if x is not None), default=None)


def _said(name: str, estimate: Estimate) -> str:
    pair = CONTRASTS[name]
    interval = f"{estimate.low:+.3f} to {estimate.high:+.3f}"
    return f"{pair.arm.name} against {pair.control.name}: F1 {estimate.mean:+.3f} ({interval})"


def judge(
    tables: Mapping[str, F1Table],
    class_names: Sequence[str],
    targets: Sequence[str],
    test_groups: npt.NDArray[np.int64],
    *,
    best: BestControl | None = None,
    folds: int | None = None,
    generators: int = 1,
    needed: Sequence[str] = CONTROLS,
) -> VerdictDocument:
    """The verdict for every target class, for macro-F1, and overall.

    The verdicts of the target classes are corrected for their number (Holm). Overall *helps* when some class is helped
    and none is hurt; *hurts* the other way round. One contrast is enough to help, so all contrasts of all target
    classes are corrected together, each with its largest p-value against a control. All contrasts of a class must agree
    that it is hurt, so the largest p-value of the class counts.

    Args:
        tables: arm → F1 of all classes.
        class_names: [K].
        targets: the target classes, each with test images.
        test_groups: [K] groups of test images that hold each class; 0 leaves a class out of macro-F1.
        best: the best control, if val chose it; else every control must be beaten.
        folds: their number, in a cross-validation.
        generators: whose images were judged, as replicates.
        needed: controls that must be trained to help.
    """
    index = {name: k for k, name in enumerate(class_names)}
    arms = len(planned(tables))
    best = best if best is not None and best.chosen_on == "val" else None

    def found(classes: list[int], comparisons: int = 1) -> Finding:
        to_beat, chosen = (None, None) if best is None else (best.to_beat(tables), best.name)
        return find(
            tables, classes, test_groups, needed=needed, to_beat=to_beat, chosen=chosen, comparisons=comparisons
        )

    findings = {name: found([index[name]], arms * len(targets)) for name in targets}
    together = found([index[name] for name in targets], arms)
    macro = found(np.flatnonzero(test_groups).tolist())

    pairs = [(name, key) for name, finding in findings.items() for key in finding.contrasts]
    adjusted = dict(zip(pairs, holm([findings[n].p_values[key] for n, key in pairs]), strict=True))
    beating = [name for name, f in findings.items() if f.helping is not None and adjusted[name, f.helping] < ALPHA]
    lacking = missing_controls(tables, needed)
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
            detail.reason += f"; not significant after correction for {len(pairs)} comparisons"
    overall: Verdict = "helps" if helped and not hurt else "hurts" if hurt and not helped else "no measurable effect"
    sentence = _sentence(overall, helped, hurt, findings, together, macro)
    if overall == "no measurable effect" and beating and lacking:
        sentence = _untested(beating, lacking, findings)
    alone = generators == 1 and folds is None
    return VerdictDocument(
        overall=overall,
        sentence=f"{sentence} {ONE_GENERATOR}" if alone else sentence,
        per_target={name: detail.verdict for name, detail in details.items()},
        details={**details, MACRO: macro.document()},
        contrasts=contrast_documents(together.contrasts),
        best_control=together.best_control,
        best_control_chosen_on="test" if best is None else "val",
        against_best=contrast_documents(together.against_best),
        missing_controls=lacking,
        smallest_detectable=_largest([f.smallest_detectable for f in findings.values()]),
        caveats=[FOLDS_CAVEAT if folds is not None else CAVEAT if alone else GENERATORS_CAVEAT],
    )


def _untested(beating: list[str], lacking: list[str], findings: Mapping[str, Finding]) -> str:
    """The gain is over the trained controls only."""
    return (
        f"The synthetic images beat the controls that were trained ({'; '.join(_gains(beating, findings))}), but "
        f"{', '.join(lacking)} may do as well, and was not trained: train all controls to find out whether they help."
    )


def _gains(names: list[str], findings: Mapping[str, Finding]) -> list[str]:
    return [f"{name}: F1 {_gain(findings[name])}" for name in names]


def _gain(finding: Finding) -> str:
    assert finding.helping is not None
    pair = CONTRASTS[finding.helping]
    e = finding.contrasts[finding.helping]
    return f"{e.mean:+.3f} ({e.low:+.3f} to {e.high:+.3f}) with {pair.arm.name} instead of {pair.control.name}"


def _price(contrasts: Collection[str | None], macro: Finding) -> str:
    """A sentence on the other classes, if macro-F1 of all classes falls by more than chance."""
    losses = [e for name, e in macro.contrasts.items() if name in contrasts and e.high < 0]
    if not losses:
        return ""
    worst = min(losses, key=lambda e: e.mean)
    return f" Other classes lose: {MACRO} of all classes {worst.mean:+.3f} ({worst.low:+.3f} to {worst.high:+.3f})."


def _blind(findings: Mapping[str, Finding]) -> str:
    """Which effects may have been missed, as a sentence."""
    effects = {name: f.smallest_detectable for name, f in findings.items() if f.smallest_detectable is not None}
    if not effects:
        return "With so few test images, no effect would be found in 80% of cases."
    hardest = max(effects, key=lambda name: effects[name])
    if effects[hardest] == 0 and len(effects) == len(findings):
        return "All scores are equal."
    where = f" on {hardest}, the class where it is the hardest to see," if len(findings) > 1 else ""
    return f"An effect below {effects[hardest]:.3f}{where} is found in fewer than 80% of cases."


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
        best = together.best_control
        advice = "Leave them out" if ARMS[best].down_up else f"Use {best} instead"
        return f"The synthetic images hurt the classifier: {'; '.join(losses)}. {advice}."
    if helped and hurt:
        return f"The synthetic images help {', '.join(helped)} and hurt {', '.join(hurt)}."
    alone = [name for name, finding in findings.items() if finding.verdict != "no measurable effect"]
    note = f" Without correction for several classes, {', '.join(alone)} would differ." if alone else ""
    if len(findings) > 1 and together.verdict == "helps" and together.helping is not None:
        corrected = dict(zip(together.p_values, holm(list(together.p_values.values())), strict=True))
        if corrected[together.helping] < ALPHA:
            return (
                f"None of the {len(findings)} target classes gains measurably after correction, but their mean F1 "
                f"does: {_gain(together)}."
            )
    return (
        f"The synthetic images make no measurable difference. The best control is {together.best_control} "
        f"(F1 {together.best_control_f1:.3f} of the target classes). {_blind(findings)}{note}"
    )
