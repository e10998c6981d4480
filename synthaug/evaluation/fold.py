"""One fold of an evaluation: its real images, the images that its generator made, and the trials on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from synthaug.classifiers.logistic import RememberedFeatures
from synthaug.data.cache import LabelledImages
from synthaug.documents import ByHand, MadeFrom
from synthaug.evaluation.arms import ARMS, DOWN_UP
from synthaug.evaluation.grid import Grid, Outcome, Trial
from synthaug.evaluation.images import Origins, RealImages
from synthaug.evaluation.scores import Probabilities
from synthaug.evaluation.shares import Candidates, choose
from synthaug.runs import Run


@dataclass(frozen=True)
class JudgedImages:
    """What classifiers see, uint8 [N, C, S, S]: real images, synthetic ones, and real ones reduced and enlarged.

    At the generator's size there is no need for the last.
    """

    train: LabelledImages
    val: LabelledImages
    test: LabelledImages
    pool: LabelledImages
    down_up: LabelledImages | None = None


@dataclass
class Fold:
    """An evaluation has K folds, or one: its only split. With replicates, it has its only split once per generator.

    `pool` holds the synthetic images at the generator's size, for quality and pictures; `judged` the images of the
    classifiers; `generator` ungated images, if there is a run; `made_from` and `origins` what stands behind
    the pool's images, if they were made from others; `extrapolated` (class → images) how many have conditions that no
    training image of their class has; `by_hand` what a person decided about them. `run` and `checkpoint`
    have made the images. `outcomes` is filled by the trials, and so is `features`, which they share; `chosen` (arm →
    share) by `choose`.
    """

    real: RealImages
    pool: LabelledImages
    judged: JudgedImages
    generator: LabelledImages | None = None
    run: Run | None = None
    checkpoint: str = ""
    made_from: dict[str, MadeFrom] = field(default_factory=dict)
    origins: Origins | None = None
    by_hand: dict[str, ByHand] = field(default_factory=dict)
    extrapolated: dict[str, int] = field(default_factory=dict)
    features: RememberedFeatures | None = None
    outcomes: dict[Trial, Outcome] = field(default_factory=dict)
    chosen: dict[str, float] = field(default_factory=dict)

    def grid(self, classifier: str, steps: int, device: str) -> Grid:
        real, seen = self.real, self.judged
        return Grid(
            classifier=classifier, steps=steps, device=device, train=_plain(seen.train), groups=real.train_groups,
            pool=_plain(seen.pool), val=np.array(seen.val.pixels), test=np.array(seen.test.pixels),
            per_seed=real.per_seed, targets=tuple(real.target_indices), flip=real.config.training.flip,
            down_up=seen.down_up, combinations=real.combinations,
        )  # fmt: skip

    def choose(self, arms: Sequence[str], tried: Candidates, seeds: int) -> None:
        """Choose the share of each synthetic arm on the fold's own validation images; its imitation takes the same."""
        for name in sorted(arms, key=lambda name: ARMS[name].down_up):
            imitated = DOWN_UP[name].arm.name if name in DOWN_UP else None
            if imitated in self.chosen:
                self.chosen[name] = self.chosen[imitated]
            elif ARMS[name].mixes:
                self.chosen[name] = choose(
                    name, tried.shares, seeds, self.outcomes, self.real.val.labels, self.real.target_indices
                )
            else:
                self.chosen[name] = 0.0


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
        if ARMS[name].times == 1  # a longer training waits for the choice of its control
        for share in (shares if ARMS[name].mixes else [0.0])
        for seed in range(seeds)
    ]


def probabilities(
    folds: Sequence[Fold],
    arm: str,
    seeds: int,
    *,
    replicates: bool = False,
    side: Literal["val", "test"] = "test",
    share: float | None = None,
    real: float = 1.0,
    times: int = 1,
) -> Probabilities:
    """Class probabilities [S, N, K] of each seed, the folds concatenated as in `HeldOut.of`.

    With `replicates`, the folds are one split with R generators. Then they are [R, S, N, K] for an arm with synthetic
    images; other arms were only trained once.

    Args:
        folds: with their outcomes.
        arm: its name.
        seeds: S.
        replicates: whether the folds differ in the generator only.
        side: of the split.
        share: of synthetic images; None: what each fold has chosen.
        real: share of the real target images.
        times: the steps, in multiples of the usual ones.
    """
    used = folds[:1] if replicates and not ARMS[arm].synthetic else folds
    each = []
    for fold in used:
        used_share = fold.chosen[arm] if share is None else share
        trials = [Trial(arm, used_share, seed, real, times) for seed in range(seeds)]
        each.append(np.stack([getattr(fold.outcomes[trial], side) for trial in trials]))
    return np.stack(each) if replicates and ARMS[arm].synthetic else np.concatenate(each, axis=1)


def shares_of(folds: Sequence[Fold]) -> Mapping[str, list[float]]:
    """Arm → the share that each fold chose."""
    return {arm: [fold.chosen[arm] for fold in folds] for arm in folds[0].chosen}
