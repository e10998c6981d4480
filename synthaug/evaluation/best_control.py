"""The best control, and the controls that a synthetic arm must beat for the verdict *helps*.

With enough validation images of every target class, they choose the best control before a test image is used. Synthetic
images must then beat this control, and those that show what else they could be: the controls of the fixed comparisons,
and real images reduced and enlarged. To ask for a gain over each of ten controls costs power, since each of the strong
ones may be above its mean by chance.

With fewer, val would often choose another than the best control, and useless images would beat that one
(docs/science/verdict.md). Test cannot choose either: the best there is so partly by chance. So every control must be
beaten.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from synthaug.evaluation.arms import ARMS, CONTRASTS
from synthaug.evaluation.fold import Fold, probabilities
from synthaug.evaluation.held_out import HeldOut
from synthaug.evaluation.scores import target_f1

LEAST_VAL_GROUPS = 40
"""Groups of validation images of each target class from which on val chooses the best control."""


@dataclass(frozen=True)
class BestControl:
    """The control with the best mean F1 of the target classes over all seeds, on val or on test."""

    name: str
    chosen_on: Literal["val", "test"]

    def to_beat(self, arms: Iterable[str]) -> list[str]:
        """The controls among `arms` that a synthetic arm must beat."""
        fixed = {pair.control.name for pair in CONTRASTS.values()}
        return [
            name for name in arms
            if not ARMS[name].synthetic and ARMS[name].times == 1
            and (self.chosen_on == "test" or name == self.name or name in fixed or ARMS[name].down_up)
        ]  # fmt: skip


def best_control(folds: Sequence[Fold], arms: Iterable[str], seeds: int) -> BestControl:
    """Choose on the validation images of all folds together; on test, if val has too few of a target class."""
    targets = folds[0].real.target_indices
    candidates = [name for name in arms if not ARMS[name].mixes and ARMS[name].times == 1]
    val = HeldOut.of_val([fold.real for fold in folds])
    on_val = bool((val.groups_of_classes()[targets] >= LEAST_VAL_GROUPS).all())
    held_out = val if on_val else HeldOut.of([fold.real for fold in folds])

    side: Literal["val", "test"] = "val" if on_val else "test"

    def f1(arm: str) -> float:
        return target_f1(held_out.labels, probabilities(folds, arm, seeds, side=side, share=0.0), targets)

    return BestControl(max(candidates, key=f1), side)
