"""An exact test of the difference of two arms, for few test groups.

If two arms are equally good, the predictions of one for a group of test images might as well be those of the other.
So all ways to swap the arms in some of the groups are equally likely, and the p-value is the share of them whose
difference is at least as large: the sign-flip test for scores that are no means (Noreen, Computer Intensive Methods for
Testing Hypotheses, 1989; for F1: Yeh, COLING 2000, arXiv:cs/0008005). With G groups it is never below 2^(1 − G).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

import numpy as np
import numpy.typing as npt

from synthaug.evaluation.scores import Floats, f1_of_totals

FEW_GROUPS = 12
"""With more groups, the t interval is used alone. The 2,048 ways to swap 12 groups take a few milliseconds."""


def least_p_value(groups: int) -> float:
    """The smallest p-value that any exact test over so many groups can give; above 0 for any number."""
    return float(2.0 ** -min(groups - 1, 1000))


def holding(counts: Floats, classes: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Which groups [G] have images of some classes; counts [S, 3, G, K]."""
    held: npt.NDArray[np.bool_] = counts[0, 2][:, list(classes)].sum(axis=1) > 0
    return held


def attainable(level: float, groups: int) -> float:
    """The largest p-value up to `level` that the exact test can give; 0 if there is none."""
    step = least_p_value(groups)
    return level if groups > FEW_GROUPS else step * int(level / step * (1 + 1e-9))


def swap_p_value(arm: Floats, control: Floats, classes: Sequence[int]) -> float:
    """The two-sided p-value of the difference in mean F1 of some classes, mean over seeds and generators.

    Groups with images of the classes are swapped. Each of the other groups, which can only add false positives, is
    swapped with one of these. With more than `FEW_GROUPS` groups, the result is `least_p_value`.

    Args:
        arm: [S, 3, G, K] counts of `group_counts` for each seed; or [R·S, 3, G, K], generator by generator.
        control: [S, 3, G, K] of the other arm.
        classes: indices of classes.
    """
    holds = holding(arm, classes)
    groups = int(holds.sum())
    if groups > FEW_GROUPS:
        return least_p_value(groups)
    swapped_with = np.empty(len(holds), np.int64)
    swapped_with[holds], swapped_with[~holds] = np.arange(groups), np.arange(len(holds) - groups) % groups
    ways = np.arange(2 ** (groups - 1))  # to swap all groups changes only the sign, so the last is never swapped
    swapped = ((ways[:, None] >> swapped_with) & 1).astype(np.float64)
    gain = np.zeros(len(ways))
    pairs = zip(arm[..., list(classes)], cycle(control[..., list(classes)]))
    for a, b in pairs:
        moved = swapped @ (b - a)
        gain += (f1_of_totals(a.sum(axis=1)[:, None] + moved) - f1_of_totals(b.sum(axis=1)[:, None] - moved)).mean(1)
    return float(np.mean(np.abs(gain) >= abs(gain[0]) - 1e-9 * len(arm)))
