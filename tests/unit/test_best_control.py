"""Who chooses the best control, and whom a synthetic arm must then beat."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from synthaug.data.cache import LabelledImages
from synthaug.evaluation.best_control import LEAST_VAL_GROUPS, BestControl, best_control
from synthaug.evaluation.fold import Fold
from synthaug.evaluation.grid import Outcome, Trial

CLASSES = ["a", "rare", "c"]
ARMS = ["real", "oversample", "classical", "cmo", "down-up", "longer", "synthetic", "synthetic+classical"]
SEEDS = 2


def images(rare: int) -> Any:
    return LabelledImages(np.zeros((0, 1, 2, 2), np.uint8), np.repeat([0, 1, 2], [20, rare, 20]), CLASSES, [])


def predicted(truth: np.ndarray, wrong: int, shift: int = 0) -> np.ndarray:
    """Probabilities that are right except for `wrong` images of the rare class."""
    given = truth.copy()
    given[np.roll(np.flatnonzero(truth == 1), shift)[:wrong]] = 0
    return np.eye(3, dtype=np.float32)[given]


def fold(
    on_val: dict[str, int], on_test: dict[str, int], val: int = LEAST_VAL_GROUPS, groups: int = 0, number: int = 0
) -> Fold:
    """A fold with as many wrong predictions of the rare class, and `groups` groups of validation images of it."""
    real: Any = SimpleNamespace(
        val=images(val),
        test=images(10),
        classes=CLASSES,
        target_indices=[1],
        config=SimpleNamespace(seed=0),
        val_group_names=[f"{number} {i % (groups or 200)}" for i in range(val + 40)],
        test_groups=np.arange(50),
    )
    made = Fold(real, pool=None, judged=None)  # type: ignore[arg-type]
    for arm in on_val:
        for seed in range(SEEDS):
            made.outcomes[Trial(arm, 0.0, seed)] = Outcome(
                predicted(real.val.labels, on_val[arm], seed), predicted(real.test.labels, on_test[arm], seed)
            )
    return made


WRONG = {"real": 8, "oversample": 6, "classical": 4, "cmo": 2}


def test_val_chooses_and_test_images_change_nothing() -> None:
    for on_test in ({"real": 0, "oversample": 9, "classical": 9, "cmo": 9}, dict.fromkeys(WRONG, 5)):
        assert best_control([fold(WRONG, on_test)], ARMS, SEEDS) == BestControl("cmo", "val")


@pytest.mark.parametrize("few", [{"val": 0}, {"val": LEAST_VAL_GROUPS - 1}, {"groups": LEAST_VAL_GROUPS - 1}])
def test_with_few_val_images_of_a_target_test_shows_the_best(few: dict[str, int]) -> None:
    on_test = {"real": 9, "oversample": 1, "classical": 3, "cmo": 9}
    assert best_control([fold(WRONG, on_test, **few)], ARMS, SEEDS) == BestControl("oversample", "test")


def test_folds_are_judged_together() -> None:
    """`cmo` is best in one fold and useless in the other."""
    first, second = WRONG, {"real": 8, "oversample": 6, "classical": 1, "cmo": 10}
    assert best_control([fold(first, first), fold(second, second, number=1)], ARMS, SEEDS).name == "classical"


def test_equal_controls_are_taken_in_the_order_of_the_table() -> None:
    assert best_control([fold(dict.fromkeys(WRONG, 3), WRONG)], ARMS, SEEDS).name == "real"


@pytest.mark.parametrize(
    ("best", "expected"),
    [
        (BestControl("cmo", "val"), ["oversample", "classical", "cmo", "down-up"]),
        (BestControl("classical", "val"), ["oversample", "classical", "down-up"]),
        (BestControl("cmo", "test"), ["real", "oversample", "classical", "cmo", "down-up"]),
    ],
)
def test_whom_a_synthetic_arm_must_beat(best: BestControl, expected: list[str]) -> None:
    assert best.to_beat(ARMS) == expected
