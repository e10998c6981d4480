"""The verdict in one sentence without numbers, and a summary of each target class."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from synthaug.documents import ClassQuality, Contrast, EvaluateDocument, Recommendation, TargetVerdict, Verdict
from synthaug.errors import plural
from synthaug.evaluation.arms import CONTRASTS
from synthaug.evaluation.before_after import before_and_after
from synthaug.evaluation.report import scores

NAMED = 3  # a sentence names up to so many classes; it counts more

Name = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Step:
    """Recall and precision of one arm on a class."""

    words: str
    arm: str
    f1: float
    recall: float
    precision: float


@dataclass(frozen=True, slots=True)
class Glance:
    """Summary of a target class: verdict, scores before and after, image quality, recommended export.

    `differences` are (arm, control, difference): to the best control first, then the comparison fixed beforehand.
    `best_control` is that of this class, which may be another than that of all target classes.
    """

    label: str
    verdict: Verdict | None
    steps: list[Step]
    differences: list[tuple[str, str, Contrast]]
    best_control: str | None
    quality: ClassQuality | None
    recommended: Recommendation | None


def quoted(name: str) -> str:
    return f"“{name}”"


def listed(names: Sequence[str], name: Name = quoted) -> str:
    """
    >>> listed(["a", "b", "c"])
    '“a”, “b” and “c”'
    """
    shown = [name(n) for n in names]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def headline(document: EvaluateDocument, name: Name = quoted) -> str:
    """The answer in words; `name` formats the name of a class or an arm.

    The sentence with the numbers is the document's `verdict.sentence`.
    """
    verdict, targets = document.verdict, document.targets

    def classes(said: Sequence[str]) -> str:
        if not said:
            return "the target classes"
        if len(said) <= NAMED:
            return listed(said, name)
        many = f"all {len(said)}" if len(said) == len(targets) else f"{len(said)} of {len(targets)}"
        return f"{many} target classes"

    helped, hurt = ([t for t in targets if verdict.per_target.get(t) == v] for v in ("helps", "hurts"))
    if verdict.overall == "helps":
        return f"Yes: with synthetic images the classifier recognises {classes(helped or targets)} better."
    if verdict.overall == "hurts":
        return f"No: with synthetic images the classifier recognises {classes(hurt or targets)} worse."
    if helped and hurt:
        return f"Mixed: synthetic images help with {classes(helped)} and hurt with {classes(hurt)}."
    if verdict.missing_controls:
        return f"Cannot say: without {listed(verdict.missing_controls, name)} as a control, no gain counts as help."
    return f"Not shown: synthetic images made no measurable difference for {classes(targets)}."


def sharpness_sentence(document: EvaluateDocument, name: Name = quoted) -> str | None:
    """The target classes whose synthetic images sharpness alone tells from real ones; None if there are none."""
    told = {label: found for label, found in document.sharpness.items() if found.told_apart}
    if not told:
        return None

    def pairs(label: str) -> str:
        found = told[label]
        blurred = found.auc.mean > 0.5
        share = found.auc.mean if blurred else 1 - found.auc.mean
        said = f"the {'real' if blurred else 'synthetic'} one is sharper in {share:.0%} of pairs"
        if found.floor is not None:
            said += f"; between two real images, in {found.floor.mean if blurred else 1 - found.floor.mean:.0%}"
        return f"{name(label)} ({said})"

    shown = "; ".join(pairs(label) for label in list(told)[:NAMED])
    rest = len(told) - NAMED
    more = f"; and of {plural(rest, 'more target class', 'more target classes')}" if rest > 0 else ""
    resized = document.size is not None and document.size.asked != "model"
    beside = " The arms down-up show what this blur does without a generator." if resized else ""
    return (
        f"Sharpness alone tells synthetic from held-out real images of {shown}{more}. "
        f"A classifier may learn it instead of the class.{beside}"
    )


def glances(document: EvaluateDocument) -> list[Glance]:
    """The target classes, in the document's order."""
    targets, _ = scores.ordered_classes(document)
    return [_glance(document, label) for label in targets]


def _glance(document: EvaluateDocument, label: str) -> Glance:
    details = document.verdict.details.get(label)
    before, after = before_and_after(document)
    steps = []
    if "real" in document.arms and before != "real":
        steps.append(("nothing done", "real"))
    if before:
        steps.append(("before", before))
    if after:
        steps.append(("after", after))
    return Glance(
        label,
        document.verdict.per_target.get(label) or (details.verdict if details else None),
        [_step(document, label, words, arm) for words, arm in steps],
        _differences(details, after) if details and after else [],
        details.best_control if details else None,
        document.quality.per_class.get(label),
        document.recommended.get(label),
    )


def _differences(details: TargetVerdict, arm: str) -> list[tuple[str, str, Contrast]]:
    best = [(arm, details.best_control, details.against_best[arm])] if arm in details.against_best else []
    fixed = [(arm, CONTRASTS[n].control.name, c) for n, c in details.contrasts.items() if CONTRASTS[n].arm.name == arm]
    return best + [one for one in fixed if not best or one[1] != details.best_control]


def _step(document: EvaluateDocument, label: str, words: str, arm: str) -> Step:
    found = document.arms[arm].per_class.get(label)
    recall, precision = (found.recall, found.precision) if found else (math.nan, math.nan)
    return Step(words, arm, scores.f1(document.arms[arm], label).mean, recall, precision)
