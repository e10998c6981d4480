"""From how many validation images on may val choose the best control? Planted predictions, so no classifier is trained.

    python tests/studies/chosen_control.py [--repetitions 400] [--write]

One control is the best, `ahead` of `classical` (in standard deviations of how hard images are). In the null cases the
synthetic arm is equal to it, so *helps* is wrong: where val chooses another control, it is easier to beat. In the cases
of power the synthetic arm has `gain` over it. `val` 0: the arm must beat every control.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import planted_predictions
from tables import between, rate, written

from synthaug.data.cache import LabelledImages
from synthaug.evaluation import best_control, verdict
from synthaug.evaluation.arms import CONTROLS
from synthaug.evaluation.grid import Outcome, Trial
from synthaug.evaluation.held_out import HeldOut
from synthaug.evaluation.verdict import judge

PAGE = Path(__file__).parents[2] / "docs/science/verdict.md"
SEEDS = planted_predictions.SEEDS
ARM = "synthetic+classical"


@dataclass(frozen=True)
class Case:
    """`strong` controls are `ahead` of `classical`, the arm is `gain` above them; test and val images per class."""

    strong: int
    ahead: float
    gain: float = 0.0
    val: int = 0
    test: int = 80

    def strengths(self) -> dict[str, float]:
        others = [name for name in CONTROLS if name not in ("classical", "oversample")]
        weak = {name: -0.1 * k for k, name in enumerate(others[self.strong :], 1)}
        strong = dict.fromkeys(others[: self.strong], self.ahead)
        return {"oversample": -0.3, "classical": 0.0} | weak | strong | {ARM: self.ahead + self.gain}


def planted(case: Case, count: int, number: int, purpose: int) -> tuple[HeldOut, dict[str, list[Any]]]:
    """Images of three classes, one of them rare, and the predictions of every arm with all seeds."""
    rng = np.random.default_rng([number, purpose])
    labels = np.repeat([0, 1, 2], count)
    everyone = np.arange(len(labels))
    held_out = HeldOut(labels, everyone, np.zeros(len(labels), np.int64), ["rare", "b", "c"], seed=number)
    hard = rng.normal(0, 1, len(labels))
    base = np.where(labels == 0, 0.0, 1.5)
    predicted = {}
    for name, strength in case.strengths().items():
        own = base + strength * (labels == 0) + hard + rng.normal(0, 0.45, len(labels))
        predicted[name] = [planted_predictions.predicted(own, labels, 3, rng) for _ in range(SEEDS)]
    return held_out, predicted


def says_helps(case: Case, number: int) -> tuple[bool, bool]:
    """Whether the verdict is *helps*, and whether one of the strong controls was chosen."""
    held_out, on_test = planted(case, case.test, number, 0x7E)
    val, on_val = planted(case, max(case.val, 1), number, 0x7A)
    outcomes = {
        Trial(name, 0.0, seed): Outcome(on_val[name][seed], on_test[name][seed])
        for name in on_test
        for seed in range(SEEDS)
    }
    real = SimpleNamespace(
        val=_images(val), val_group_names=[str(i) for i in val.groups], test=_images(held_out),
        test_groups=held_out.groups, classes=held_out.classes, config=SimpleNamespace(seed=number), target_indices=[0],
    )  # fmt: skip
    fold: Any = SimpleNamespace(real=real, outcomes=outcomes)
    best = best_control.best_control([fold], [name for name in on_test if name != ARM], SEEDS)
    tables = {name: held_out.table(rows) for name, rows in on_test.items()}
    given = judge(tables, held_out.classes, ["rare"], held_out.groups_of_classes(), best=best)
    strengths = case.strengths()
    return given.overall == "helps", strengths[best.name] == max(strengths[name] for name in CONTROLS)


def _images(held_out: HeldOut) -> LabelledImages:
    return LabelledImages(np.zeros((len(held_out.labels), 1, 1, 1), np.uint8), held_out.labels, held_out.classes, [])


CASES = [
    *(Case(strong=1, ahead=ahead, val=val) for val in (0, 10, 20, 40, 80) for ahead in (0.2, 0.4, 0.6)),
    *(Case(strong=strong, ahead=0.1, gain=0.5, val=val) for strong in (1, 4) for val in (0, 40, 80)),
]
HEAD = ["truth", "validation images of each class", "the best is chosen", "*helps*"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=400)
    parser.add_argument("--write", action="store_true", help=f"rewrite the table of {PAGE.name}")
    a = parser.parse_args()
    best_control.LEAST_VAL_GROUPS = 5  # type: ignore[misc]  # what smaller ones would do
    verdict.smallest_detectable = lambda *_: None  # not needed here, and a third of the time
    rows = []
    for case in CASES:
        found = [says_helps(case, number) for number in range(a.repetitions)]
        helps, chosen = (sum(column) for column in zip(*found, strict=True))
        strong = "one control is" if case.strong == 1 else f"{case.strong} controls are"
        truth = f"{strong} {case.ahead:g} ahead of `classical`, "
        truth += f"the synthetic arm {case.gain:g} above" if case.gain else "the synthetic arm is equal"
        many = str(case.val) if case.val else "none: all must be beaten"
        rows.append([truth, many, f"{chosen / a.repetitions:.0%}" if case.val else "", rate(helps, a.repetitions)])
        print(" | ".join(rows[-1]), flush=True)
    if a.write:
        between(PAGE, "chosen control", written(HEAD, rows))


if __name__ == "__main__":
    main()
