"""One fold of an evaluation: its real images, the images that its generator made, and the trials on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from synthaug.data.cache import LabelledImages
from synthaug.evaluation.arms import ARMS
from synthaug.evaluation.grid import Grid, Outcome, Trial
from synthaug.evaluation.images import RealImages
from synthaug.evaluation.shares import Candidates, choose


@dataclass
class Fold:
    """An evaluation has K folds, or one: its only split.

    `pool` holds the synthetic images to judge; `generator` ungated ones, if there is a run. `outcomes` is filled by the
    trials, `chosen` (arm → share) by `choose`.
    """

    real: RealImages
    pool: LabelledImages
    generator: LabelledImages | None
    checkpoint: str = ""
    outcomes: dict[Trial, Outcome] = field(default_factory=dict)
    chosen: dict[str, float] = field(default_factory=dict)

    def grid(self, classifier: str, steps: int, device: str) -> Grid:
        real = self.real
        return Grid(
            classifier=classifier, steps=steps, device=device, train=_plain(real.train), groups=real.train_groups,
            pool=_plain(self.pool), val=np.array(real.val.pixels), test=np.array(real.test.pixels),
            per_seed=real.per_seed, targets=tuple(real.target_indices), flip=real.config.training.flip,
        )  # fmt: skip

    def choose(self, arms: Sequence[str], tried: Candidates, seeds: int) -> None:
        """Choose the share of each arm on the fold's own validation images."""
        for name in arms:
            self.chosen[name] = (
                choose(name, tried.shares, seeds, self.outcomes, self.real.val.labels, self.real.target_indices)
                if ARMS[name].synthetic
                else 0.0
            )


def _plain(images: LabelledImages) -> LabelledImages:
    """A copy in ordinary memory, because other processes must not depend on the memory-mapped cache file."""
    return LabelledImages(np.array(images.pixels), images.labels, images.classes, images.paths)


def trials_of(arms: Sequence[str], shares: Sequence[float], seeds: int) -> list[Trial]:
    """Every arm with every share that is tried.

    Every trial also predicts the test images, so that the chosen share is not trained twice. Only the predictions of
    the share that val chose are compared with the test labels.
    """
    return [
        Trial(name, share, seed)
        for name in arms
        for share in (shares if ARMS[name].synthetic else [0.0])
        for seed in range(seeds)
    ]


def predictions(folds: Sequence[Fold], arm: str, seeds: int, *, real: float = 1.0) -> list[npt.NDArray[np.float32]]:
    """Test probabilities [N, K] of each seed. The folds are concatenated as in `HeldOut.of`."""
    return [
        np.concatenate([fold.outcomes[Trial(arm, fold.chosen[arm], seed, real)].test for fold in folds])
        for seed in range(seeds)
    ]


def shares_of(folds: Sequence[Fold]) -> Mapping[str, list[float]]:
    """Arm → the share that each fold chose."""
    return {arm: [fold.chosen[arm] for fold in folds] for arm in folds[0].chosen}
