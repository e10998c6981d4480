"""How many synthetic images to export, class by class, zero included.

The share is chosen by validation where validation could choose, among those tried and none at all; test has only a
veto. An exported folder carries no weights, so the share of draws becomes a share of the class's images: with r real
ones, r · s / (1 − s) synthetic ones make up the share s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from sklearn.metrics import f1_score

from synthaug.data.cache import LabelledImages
from synthaug.documents import Recommendation, VerdictDocument
from synthaug.evaluation.arms import CONTRASTS
from synthaug.evaluation.trial import Outcome, Trial


def images_for_share(real: int, share: float) -> int:
    """Synthetic images that make up `share` of a class with `real` real images.

    >>> images_for_share(30, 0.25)
    10
    """
    return round(real * share / (1 - share))


def recommend(
    verdict: VerdictDocument,
    targets: Sequence[str],
    train: LabelledImages,
    val: LabelledImages,
    outcomes: Mapping[Trial, Outcome],
    *,
    shares: Sequence[float],
    seeds: int,
    chosen_on: Literal["val", "default", "user"],
) -> dict[str, Recommendation]:
    """Advise on every target class.

    Args:
        verdict: of the test images; a class that they say is hurt gets none.
        targets: the target classes.
        train: real training images.
        val: validation images; looked at where `chosen_on` is val.
        outcomes: of all trials.
        shares: that were tried.
        seeds: trials of each arm.
        chosen_on: what could choose among the shares.
    """
    counts = train.counts()
    found = {}
    for name in targets:
        said = verdict.per_target[name]
        arm = _better_arm(verdict, name)
        if said == "hurts":
            share, reason = 0.0, "synthetic images of this class hurt the classifier on the test images"
        elif chosen_on == "val":
            share, reason = _by_val(arm, train.index(name), val, outcomes, shares, seeds)
        else:
            share = shares[0]
            given = "given by the user" if chosen_on == "user" else "the default"
            reason = f"{share:.0%} is {given}, not chosen on data: no validation images; on the test images: {said}"
        synthetic = images_for_share(counts[name], share)
        found[name] = Recommendation(
            real=counts[name],
            synthetic=synthetic,
            share=synthetic / (synthetic + counts[name]) if synthetic else 0.0,
            arm=arm,
            chosen_on="test" if said == "hurts" else chosen_on,
            reason=reason,
        )
    return found


def _better_arm(verdict: VerdictDocument, name: str) -> str:
    """The synthetic arm of the contrast that gains more."""
    contrasts = verdict.details[name].contrasts
    return CONTRASTS[max(contrasts, key=lambda key: contrasts[key].mean)][0]


def _by_val(
    arm: str,
    label: int,
    val: LabelledImages,
    outcomes: Mapping[Trial, Outcome],
    shares: Sequence[float],
    seeds: int,
) -> tuple[float, str]:
    """The share with the best F1 of the class on val; none unless it beats its control by a standard error."""
    control = next(control for a, control in CONTRASTS.values() if a == arm)

    def scores(name: str, share: float) -> list[float]:
        return [
            float(
                f1_score(
                    val.labels, outcomes[Trial(name, share, seed)].val.argmax(axis=1),
                    labels=[label], average="macro", zero_division=0.0,
                )
            )
            for seed in range(seeds)
        ]  # fmt: skip

    without = np.array(scores(control, 0.0))
    gains = {share: np.array(scores(arm, share)) - without for share in shares}
    best = max(shares, key=lambda share: (round(float(gains[share].mean()), 9), -share))
    mean = float(gains[best].mean())
    error = float(gains[best].std(ddof=1) / np.sqrt(seeds))
    tried = ", ".join(f"{share:.0%}: {g.mean():+.3f}" for share, g in gains.items())
    if mean <= error:
        return 0.0, f"on val no share beats {control} by more than a standard error (F1 {tried})"
    return best, f"best on val, against {control} (F1 {tried})"
