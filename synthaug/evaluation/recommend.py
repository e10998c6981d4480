"""How many synthetic images to export, class by class, zero included.

The share is chosen by validation where validation could choose, among those tried and none at all; test has only a
veto. Without validation images the verdict is all the evidence there is: a share that was fixed beforehand is advised
where it helps, and none elsewhere. An exported folder carries no weights, so the share of draws becomes a share of the
class's images: with r real ones, r · s / (1 − s) synthetic ones make up the share s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from sklearn.metrics import f1_score

from synthaug.documents import ClassQuality, Recommendation, VerdictDocument
from synthaug.evaluation.arms import CONTRASTS
from synthaug.evaluation.trial import Outcome, Trial

Validation = Sequence[tuple[npt.NDArray[np.int64], Mapping[Trial, Outcome]]]
"""Labels of the validation images and the outcomes of the trials on them, of the one split or of each fold."""


def images_for_share(real: int, share: float) -> int:
    """Synthetic images that make up `share` of a class with `real` real images.

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
    """Advise on every target class, and on the other classes where they got synthetic images too.

    Args:
        verdict: of the test images; a class that they say is hurt gets none.
        targets: target class → its index.
        counts: class → real images that the export would hold.
        validation: looked at where `chosen_on` is val.
        shares: that were tried.
        seeds: trials of each arm.
        chosen_on: what could choose among the shares.
        mixed: the classes that got synthetic images. One that is no target gets the largest share of a target: what was
            measured is synthetic images of all classes.
        quality: class → what `check` says of the images. It changes no number, since a classifier may gain from images
            that are alike, but who exports them is told.
    """
    found: dict[str, Recommendation] = {}
    advised: dict[str, float] = {}
    for name, label in targets.items():
        said = verdict.per_target[name]
        arm = _better_arm(verdict, name)
        by: Literal["val", "default", "user", "test"] = chosen_on
        if said == "hurts":
            share, by, reason = 0.0, "test", "synthetic images of this class hurt the classifier on the test images"
        elif chosen_on == "val":
            chosen = _by_val(verdict.details[name].contrasts, label, validation, shares, seeds)
            arm, share, reason = chosen.arm, chosen.share, chosen.reason
        else:
            given = "given by the user" if chosen_on == "user" else "the default"
            tried = f"{shares[0]:.0%}, {given}, was not chosen on data"
            if said == "helps":
                share, reason = shares[0], f"{tried}; on the test images it helps"
            else:
                share, by, reason = 0.0, "test", f"{tried}; on the test images: {said}"
        found[name] = _advice(counts[name], share, arm, by, reason)
        advised[name] = share
    most = max(advised, key=lambda name: advised[name])
    for name in mixed:
        if name not in targets:
            like = found[most]
            found[name] = _advice(counts[name], advised[most], like.arm, like.chosen_on, f"as {most}: {like.reason}")
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


def _advice(
    real: int, share: float, arm: str, chosen_on: Literal["val", "default", "user", "test"], reason: str
) -> Recommendation:
    synthetic = images_for_share(real, share)
    return Recommendation(
        real=real,
        synthetic=synthetic,
        share=synthetic / (synthetic + real) if synthetic else 0.0,
        arm=arm,
        chosen_on=chosen_on,
        reason=reason,
    )


def _better_arm(verdict: VerdictDocument, name: str) -> str:
    """The synthetic arm that helps, else that of the contrast that gains more."""
    detail = verdict.details[name]
    key = detail.helping or max(detail.contrasts, key=lambda key: detail.contrasts[key].mean)
    return CONTRASTS[key][0]


@dataclass(frozen=True)
class _Choice:
    """What val says of a contrast: a share of 0 where none beats the control by a standard error."""

    arm: str
    share: float
    f1: float  # with the best share
    margin: float  # its gain over the control, less the standard error
    reason: str


def _by_val(
    contrasts: Iterable[str], label: int, validation: Validation, shares: Sequence[float], seeds: int
) -> _Choice:
    """The arm and the share with the best F1 of the class on val; without any share, the arm that came nearest."""
    truth = np.concatenate([labels for labels, _ in validation])

    def scores(name: str, share: float) -> npt.NDArray[np.float64]:
        predicted = [
            np.concatenate([outcomes[Trial(name, share, seed)].val.argmax(axis=1) for _, outcomes in validation])
            for seed in range(seeds)
        ]
        found = [f1_score(truth, p, labels=[label], average="macro", zero_division=0.0) for p in predicted]
        return np.array(found, dtype=np.float64)

    def choice(arm: str, control: str) -> _Choice:
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

    found = [choice(*CONTRASTS[name]) for name in contrasts]
    return max(found, key=lambda c: (c.share > 0, c.f1 if c.share > 0 else c.margin))
