"""The share of synthetic images in a class's draws. It is chosen on val, never on test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from synthaug.errors import SynthaugError
from synthaug.evaluation.arms import DEFAULT_SHARES, MIXES
from synthaug.evaluation.grid import Outcome, Trial
from synthaug.evaluation.images import RealImages
from synthaug.evaluation.scores import target_f1

FEW_VAL_IMAGES = 20


@dataclass(frozen=True)
class Candidates:
    """The shares to try, how one is chosen, and a note for the user."""

    shares: list[float]
    chosen_on: Literal["val", "default", "user"]
    note: str | None = None


def candidates(asked: Sequence[float] | None, folds: Sequence[RealImages], mix: str = "targets") -> Candidates:
    """Which shares are tried. Val can choose if every fold has validation images of every target class.

    Raises:
        SynthaugError: several were given and val cannot choose.
    """
    least = {name: min(real.val.counts()[name] for real in folds) for name in folds[0].targets}
    without = [name for name, images in least.items() if not images]
    shares = sorted(set(asked)) if asked else list(DEFAULT_SHARES)
    if asked and len(shares) == 1:
        return Candidates(shares, "user")
    if not without:
        few = min(least, key=lambda name: least[name])
        note = f"the share is chosen on only {least[few]} validation images of {few}: the choice may be chance"
        return Candidates(shares, "val", note if least[few] < FEW_VAL_IMAGES else None)
    reason = f"{', '.join(without)} {'has' if len(without) == 1 else 'have'} no validation images"
    if asked:
        raise SynthaugError(
            f"val cannot choose among the shares {', '.join(f'{s:g}' for s in shares)}: {reason}",
            f"give one share, such as --shares {MIXES[mix]:g}",
        )
    return Candidates(
        [MIXES[mix]], "default", f"the share of synthetic images is the default of {MIXES[mix]:.0%}: {reason}"
    )


def choose(
    arm: str,
    shares: Sequence[float],
    seeds: int,
    outcomes: Mapping[Trial, Outcome],
    truth: npt.NDArray[np.int64],
    targets: Sequence[int],
) -> float:
    """The share with the best mean F1 of the targets on val, over all seeds; the smallest if several are equal.

    Args:
        arm: a synthetic arm.
        shares: in ascending order.
        seeds: trials per share.
        outcomes: of all trials.
        truth: [N] labels of the validation images.
        targets: indices of the target classes.
    """
    if len(shares) == 1:
        return shares[0]

    def on_val(share: float) -> float:
        return target_f1(truth, (outcomes[Trial(arm, share, seed)].val for seed in range(seeds)), targets)

    return max(shares, key=on_val)
