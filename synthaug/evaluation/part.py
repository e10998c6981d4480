"""One split of an evaluation: its real images, the images that its generator made, and the trials on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from synthaug.data.cache import LabelledImages
from synthaug.evaluation.arms import ARMS
from synthaug.evaluation.images import RealImages
from synthaug.evaluation.shares import Candidates, choose
from synthaug.evaluation.trial import Grid, Outcome, Trial


@dataclass
class Part:
    """`pool` holds the synthetic images that are judged, `generator` ungated ones where the generator is ours.

    `outcomes` are filled by the trials. An evaluation has one part, or one a fold.
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
            per_seed=real.per_seed, targets=tuple(real.target_indices),
        )  # fmt: skip

    def choose(self, arms: Sequence[str], tried: Candidates, seeds: int) -> None:
        """Fix the share of each arm: with folds, each by its own validation images."""
        for name in arms:
            self.chosen[name] = (
                choose(name, tried.shares, seeds, self.outcomes, self.real.val.labels, self.real.target_indices)
                if ARMS[name].synthetic
                else 0.0
            )


def _plain(images: LabelledImages) -> LabelledImages:
    """In ordinary memory: what goes to other processes must not depend on the cache."""
    return LabelledImages(np.array(images.pixels), images.labels, images.classes, images.paths)


def trials_of(arms: Sequence[str], shares: Sequence[float], seeds: int) -> list[Trial]:
    """Every arm with every share that is tried.

    Every share predicts the test images as well, so that the chosen one need not be trained twice; only the predictions
    of the share that val chose are ever compared with the test labels.
    """
    return [
        Trial(name, share, seed)
        for name in arms
        for share in (shares if ARMS[name].synthetic else [0.0])
        for seed in range(seeds)
    ]


def predictions(parts: Sequence[Part], arm: str, seeds: int, *, real: float = 1.0) -> list[npt.NDArray[np.float32]]:
    """Test probabilities [N, K] of each seed, the parts behind one another as in `HeldOut.of`."""
    return [
        np.concatenate([part.outcomes[Trial(arm, part.chosen[arm], seed, real)].test for part in parts])
        for seed in range(seeds)
    ]


def shares_of(parts: Sequence[Part]) -> Mapping[str, list[float]]:
    """Arm → the share that each part chose."""
    return {arm: [part.chosen[arm] for part in parts] for arm in parts[0].chosen}
