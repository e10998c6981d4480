"""How many synthetic images of each class to export. The answer may be none.

Validation images, if there are any, choose among the arms and shares that beat every control on them, by the rule of
the verdict. If none does, the share that was judged on the test images is recommended if the verdict is *helps*, else
none. What hurts on the test images is never recommended. The best share by a standard error over seeds, an earlier
rule, recommended images that do nothing in most cases (docs/science/verdict.md).

An exported folder has no draw weights, so the share of draws becomes a share of images: with r real images, r · s / (1
− s) synthetic images give the share s.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from synthaug.documents import ClassQuality, Recommendation, VerdictDocument
from synthaug.evaluation.arms import ARMS, CONTRASTS
from synthaug.evaluation.statistics import Estimate, F1Table, contrast
from synthaug.evaluation.verdict import ALPHA, p_value_over_all
from synthaug.metrics.holm import holm

ChosenOn = Literal["val", "default", "user", "test"]


@dataclass(frozen=True)
class Validation:
    """F1 on validation images: (arm, share) → table, with share 0 for controls. `groups` [K] hold each class."""

    tables: Mapping[tuple[str, float], F1Table]
    groups: npt.NDArray[np.int64]


_GIVEN = {"val": "the {:.0%} that val chose", "default": "the default of {:.0%}", "user": "the given {:.0%}"}


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
    validation: Validation | None,
    *,
    judged: Mapping[str, float],
    chosen_on: Literal["val", "default", "user"],
    to_beat: Collection[str] | None = None,
    mixed: Sequence[str] = (),
    quality: Mapping[str, ClassQuality] | None = None,
) -> dict[str, Recommendation]:
    """Recommend a number for every class that got synthetic images.

    Args:
        verdict: on the test images; a class that is hurt gets none.
        targets: target class → its index.
        counts: class → real images in the export.
        validation: None without validation images of every target class.
        judged: synthetic arm → its share on the test images.
        chosen_on: how that share was chosen.
        to_beat: the controls that an arm must beat; None: all.
        mixed: the classes that got synthetic images. Those that are not targets get the largest share of a target,
            since all classes were measured together.
        quality: class → the result of `check`. It adds a warning but changes no number: a classifier may gain from
            images that lack variety.
    """
    found: dict[str, Recommendation] = {}
    advised: dict[str, float] = {}
    by_val = {}
    if validation is not None and not verdict.missing_controls:
        by_val = _by_val(targets, validation, to_beat)
    for name in targets:
        said, chosen = verdict.per_target[name], by_val.get(name)
        arm = _better_arm(verdict, name)
        by: ChosenOn = chosen_on
        share = 0.0
        if said == "hurts":
            by, reason = "test", "synthetic images of this class hurt the classifier on the test images"
        elif chosen is not None and chosen.arm is not None:
            arm, share = chosen.arm, chosen.share
            reason = f"best on val of those that beat every control (F1 {chosen.tried})"
        elif said == "helps":
            share = judged[arm]
            reason = f"{_GIVEN[chosen_on].format(share)} was tried and helps"
            reason += "" if chosen_on == "val" else "; it was not chosen on data"
        elif verdict.missing_controls:
            by, reason = "test", f"without {', '.join(verdict.missing_controls)} it is unknown whether they help"
        elif chosen is not None:
            reason = f"on val nothing beats every control by more than chance (F1 {chosen.tried})"
        else:
            by, reason = "test", f"{_GIVEN[chosen_on].format(judged[arm])} was tried and made no measurable difference"
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
    """Arm and share for a class; None if val shows no gain. `tried` names the gains over the best control."""

    arm: str | None
    share: float
    tried: str


def _by_val(targets: Mapping[str, int], validation: Validation, to_beat: Collection[str] | None) -> dict[str, _Choice]:
    """For each target class, the arm and share with the best F1 on val among those that beat every control.

    The rule is that of the verdict: intervals against all controls, with Holm's correction over all classes, arms and
    shares. Only the arms of the verdict count: an arm with images of the target classes alone may have learnt traces of
    the network.
    """
    tables, decisive = validation.tables, {contrast.arm.name for contrast in CONTRASTS.values()}
    tried = [key for key in tables if key[0] in decisive]
    controls = [key for key in tables if not ARMS[key[0]].synthetic and (to_beat is None or key[0] in to_beat)]

    def gains(label: int, key: tuple[str, float]) -> list[Estimate]:
        alike = [control for control in controls if control[1] in (0.0, key[1])]  # an imitation has shares, too
        return [contrast(tables[key], tables[control], [label], validation.groups) for control in alike]

    found = {(name, key): gains(label, key) for name, label in targets.items() for key in tried}
    adjusted = dict(zip(found, holm([p_value_over_all(each) for each in found.values()]), strict=True))
    chosen = {}
    for name in targets:
        least = {key: min(e.mean for e in found[name, key]) for key in tried}
        said = ", ".join(f"{arm} {share:.0%}: {least[arm, share]:+.3f}" for arm, share in tried)
        better = [key for key in tried if adjusted[name, key] < ALPHA]
        best = max(better, key=lambda key: (round(least[key], 9), -key[1]), default=None)
        chosen[name] = _Choice(None, 0.0, said) if best is None else _Choice(*best, said)
    return chosen
