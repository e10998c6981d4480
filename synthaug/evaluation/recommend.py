"""How many synthetic images of each class to export. The answer may be none.

Validation images, if there are any, choose one of the shares that were tried, or none; the test images can only reject.
Without validation images, the share that was fixed beforehand is recommended if the verdict is *helps*, else none. An
exported folder has no draw weights, so the share of draws becomes a share of images: with r real images, r · s / (1 −
s) synthetic images give the share s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from sklearn.metrics import f1_score

from synthaug.documents import ClassQuality, Recommendation, VerdictDocument
from synthaug.evaluation.arms import CONTRASTS, PlannedContrast
from synthaug.evaluation.grid import Outcome, Trial

Validation = Sequence[tuple[npt.NDArray[np.int64], Mapping[Trial, Outcome]]]
"""For each fold: the labels of the validation images, and the outcomes of the trials."""
ChosenOn = Literal["val", "default", "user", "test"]


def images_for_share(real: int, share: float) -> int:
    """The number of synthetic images that is `share` of a class with `real` real images.

    >>> images_for_share(30, 0.25)
    10
    """
    return round(real * share / (1 - share))


def recommend(
    verdict: VerdictDocument,
    targets: Mapping[str, int],
    counts: Mapping[str, int],
    validation: Validation,
    *,
    shares: Sequence[float],
    seeds: int,
    chosen_on: Literal["val", "default", "user"],
    mixed: Sequence[str] = (),
    quality: Mapping[str, ClassQuality] | None = None,
) -> dict[str, Recommendation]:
    """Recommend a number for every class that got synthetic images.

    Args:
        verdict: on the test images; a class that is hurt gets none.
        targets: target class → its index.
        counts: class → real images in the export.
        validation: used if `chosen_on` is val.
        shares: that were tried.
        seeds: trials of each arm.
        chosen_on: how the share was chosen.
        mixed: the classes that got synthetic images. Those that are not targets get the largest share of a target,
            since all classes were measured together.
        quality: class → the result of `check`. It adds a warning but changes no number: a classifier may gain from
            images that lack variety.
    """
    found: dict[str, Recommendation] = {}
    advised: dict[str, float] = {}
    for name, label in targets.items():
        said = verdict.per_target[name]
        arm = _better_arm(verdict, name)
        by: ChosenOn = chosen_on
        if said == "hurts":
            share, by, reason = 0.0, "test", "synthetic images of this class hurt the classifier on the test images"
        elif chosen_on == "val":
            chosen = _by_val(verdict.details[name].contrasts, label, validation, shares, seeds)
            arm, share, reason = chosen.arm, chosen.share, chosen.reason
        else:
            given = f"the given {shares[0]:.0%}" if chosen_on == "user" else f"the default of {shares[0]:.0%}"
            if said == "helps":
                share, reason = shares[0], f"{given} was tried and helps; it was not chosen on data"
            else:
                share, by, reason = 0.0, "test", f"{given} was tried and made no measurable difference"
        found[name] = _advice(counts[name], share, arm, by, reason)
        advised[name] = share
    most = max(advised, key=lambda name: advised[name])
    for name in mixed:
        if name not in targets:
            like, reason = found[most], f"same share as {most!r}: {found[most].reason}"
            found[name] = _advice(counts[name], advised[most], like.arm, like.chosen_on, reason)
    for name, images in (quality or {}).items():
        if name in found and found[name].synthetic:
            found[name].reason += _doubts(images)
    return found


def _doubts(images: ClassQuality) -> str:
    doubts = []
    if images.collapse == "collapsed":
        doubts.append("they have collapsed")
    if images.memorisation in ("copying", "suspect"):
        doubts.append("some may be copies of training images")
    return f"; but look at the images first: {' and '.join(doubts)}" if doubts else ""


def _advice(real: int, share: float, arm: str, chosen_on: ChosenOn, reason: str) -> Recommendation:
    synthetic = images_for_share(real, share)
    exact = synthetic / (synthetic + real) if synthetic else 0.0
    return Recommendation(real=real, synthetic=synthetic, share=exact, arm=arm, chosen_on=chosen_on, reason=reason)


def _better_arm(verdict: VerdictDocument, name: str) -> str:
    """The synthetic arm that helps, else the one that gains more."""
    detail = verdict.details[name]
    key = detail.helping or max(detail.contrasts, key=lambda key: detail.contrasts[key].mean)
    return CONTRASTS[key].arm.name


@dataclass(frozen=True)
class _Choice:
    """The choice of val for a contrast; the share is 0 if none beats the control by a standard error."""

    arm: str
    share: float
    f1: float  # with the best share
    margin: float  # its gain over the control minus the standard error
    reason: str


def _by_val(
    contrasts: Iterable[str], label: int, validation: Validation, shares: Sequence[float], seeds: int
) -> _Choice:
    """The arm and share with the best F1 of the class on val; if no share is good enough, the arm that came closest."""
    truth = np.concatenate([labels for labels, _ in validation])

    def scores(name: str, share: float) -> npt.NDArray[np.float64]:
        predicted = [
            np.concatenate([outcomes[Trial(name, share, seed)].val.argmax(axis=1) for _, outcomes in validation])
            for seed in range(seeds)
        ]
        found = [f1_score(truth, p, labels=[label], average="macro", zero_division=0.0) for p in predicted]
        return np.array(found, dtype=np.float64)

    def choice(of: PlannedContrast) -> _Choice:
        arm, control = of.arm.name, of.control.name
        without = scores(control, 0.0)
        gains = {share: scores(arm, share) - without for share in shares}
        best = max(shares, key=lambda share: (round(float(gains[share].mean()), 9), -share))
        mean, error = float(gains[best].mean()), float(gains[best].std(ddof=1) / np.sqrt(seeds))
        f1 = round(float(without.mean()) + mean, 9)
        tried = ", ".join(f"{share:.0%}: {g.mean():+.3f}" for share, g in gains.items())
        if mean > error:
            return _Choice(arm, best, f1, mean - error, f"best on val, against {control} (F1 {tried})")
        said = f"on val no share beats {control} by more than a standard error (F1 {tried})"
        return _Choice(arm, 0.0, f1, mean - error, said)

    found = [choice(CONTRASTS[name]) for name in contrasts]
    return max(found, key=lambda c: (c.share > 0, c.f1 if c.share > 0 else c.margin))
