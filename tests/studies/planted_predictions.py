"""Predictions with a planted truth, for studies and tests of the verdict: a repetition takes a tenth of a second.

No classifier is trained. Whether an arm recognises a test image depends on how hard the image is, for all arms; on how
well the arm does with its group and with the image itself; on the arm's strength; and a little on the seed. That the
seeds of an arm mostly agree is the hard case for an interval: nearly all of its variance is that of the test set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from synthaug.documents import Recommendation, VerdictDocument
from synthaug.evaluation.arms import ARMS, DEFAULT_SHARES
from synthaug.evaluation.held_out import HeldOut
from synthaug.evaluation.recommend import Validation, recommend
from synthaug.evaluation.statistics import F1Table
from synthaug.evaluation.verdict import judge

BEST = "classical"
CONTROLS = ("real", "class-weights", "oversample", BEST)
SYNTHETIC = ("synthetic", "synthetic+classical")
PAIR = ("synthetic+classical", BEST)
SEEDS = 5


@dataclass(frozen=True)
class Case:
    """Test images and a truth. Strengths are in standard deviations of how hard images are.

    In every target class there are `groups` groups of `images` test images, in each of the other classes `common`
    groups of one. With `patients`, the classes share `groups` groups, each with `images` images of every class.
    The arms `gaining` have `gain` over the control `classical` on the first target class. Otherwise the synthetic arms
    are equal to it: the null hypothesis at its boundary. The other controls are `behind`.
    """

    about: str
    groups: int
    images: int = 1
    targets: int = 1
    classes: int = 5
    common: int = 40
    patients: bool = False
    arms: tuple[str, ...] = (*CONTROLS, *SYNTHETIC)
    gain: float = 0.0
    gaining: tuple[str, ...] = SYNTHETIC
    behind: float = 1.0
    group_sd: float = 0.2

    def test_images(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Labels and groups [N]. The target classes come first."""
        if self.patients:
            labels = np.tile(np.repeat(np.arange(self.classes), self.images), self.groups)
            return labels, np.repeat(np.arange(self.groups), self.classes * self.images)
        counts = [self.groups] * self.targets + [self.common] * (self.classes - self.targets)
        images = np.repeat([self.images] * self.targets + [1] * (self.classes - self.targets), counts)
        groups = np.repeat(np.arange(sum(counts)), images)
        return np.repeat(np.repeat(np.arange(self.classes), counts), images), groups


def repetition(case: Case, number: int) -> tuple[dict[str, F1Table], VerdictDocument]:
    """One evaluation of the case: the tables of all arms, and the verdict."""
    held_out, tables = planted(case, number, {name: name for name in case.arms})
    targets = held_out.classes[: case.targets]
    return tables, judge(tables, held_out.classes, targets, held_out.groups_of_classes(), needed=CONTROLS)


def recommendation(case: Case, number: int) -> Recommendation:
    """The recommended export of the first target class, with as many validation images as test images."""
    shares = {name: DEFAULT_SHARES if ARMS[name].synthetic else (0.0,) for name in case.arms}
    arms = {(name, share): name for name in case.arms for share in shares[name]}
    held_out, tables = planted(case, number, arms, purpose=0x7AC)
    _, verdict = repetition(case, number)
    targets = {str(k): k for k in range(case.targets)}
    return recommend(
        verdict, targets, dict.fromkeys(targets, 30), Validation(tables, held_out.groups_of_classes()),
        judged=dict.fromkeys(SYNTHETIC, 0.25), chosen_on="val",
    )["0"]  # fmt: skip


Key = TypeVar("Key")


def planted(
    case: Case, number: int, arms: Mapping[Key, str], purpose: int = 0x7AB
) -> tuple[HeldOut, dict[Key, F1Table]]:
    """The test images of one evaluation, and F1 of the predictions of arms with all seeds. `arms`: key → its arm."""
    rng = np.random.default_rng([number, purpose])
    labels, groups = case.test_images()
    held_out = HeldOut(
        labels, groups, np.zeros(len(labels), np.int64), [str(k) for k in range(case.classes)], seed=number
    )
    hard = _by_group(rng, groups) * 0.7 + rng.normal(0, 0.7, len(labels))
    base = np.where(labels < case.targets, 0.0, 1.5)
    tables = {}
    for key, name in arms.items():
        strength = base + hard + case.group_sd * _by_group(rng, groups) + rng.normal(0, 1, len(labels))
        if ARMS[name].synthetic:
            strength = strength + case.gain * (name in case.gaining) * (labels == 0)
        elif name != BEST:
            strength = strength - case.behind * (labels < case.targets)
        tables[key] = held_out.table([predicted(strength, labels, case.classes, rng) for _ in range(SEEDS)])
    return held_out, tables


def _by_group(rng: np.random.Generator, groups: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    drawn: npt.NDArray[np.float64] = rng.normal(0, 1, int(groups.max()) + 1)[groups]
    return drawn


def predicted(
    strength: npt.NDArray[np.float64], labels: npt.NDArray[np.int64], classes: int, rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Probabilities [N, K] of one seed: 1 for the class itself, or for another at random."""
    right = strength + rng.normal(0, 0.05) + rng.normal(0, 0.2, len(labels)) > 0
    other = (labels + rng.integers(1, classes, len(labels))) % classes
    return np.eye(classes, dtype=np.float32)[np.where(right, labels, other)]
