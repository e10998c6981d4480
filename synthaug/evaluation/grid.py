"""A grid: trials that share images and settings. A trial trains one classifier; its outcome is the predictions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synthaug.data.cache import LabelledImages
from synthaug.evaluation.arms import ARMS, TrainingSet, fewer_real, training_set
from synthaug.evaluation.mirrors import with_mirrors


@dataclass(frozen=True, order=True)
class Trial:
    """One classifier. `share` is the share of images from the pool, 0 in arms without.

    With `real` below 1, each target class keeps only that share of its real images. With `times` above 1, the
    classifier is trained for so many times the steps.
    """

    arm: str
    share: float
    seed: int
    real: float = 1.0
    times: int = 1


@dataclass(frozen=True)
class Outcome:
    """Class probabilities [N, K] of the validation and of the test images; the penalty that `logistic` chose."""

    val: npt.NDArray[np.float32]
    test: npt.NDArray[np.float32]
    penalty: float | None = None


@dataclass(frozen=True)
class Grid:
    """The images and settings that all trials share.

    `groups` are group numbers [len(train)], `pool` the synthetic images, `val` and `test` pixels [N, C, H, W],
    `per_seed` the most images of a class that one classifier sees from a pool, `targets` indices of classes. With
    `flip`, arms with classical changes also see every image mirrored. `down_up` are the real images that were reduced
    and enlarged, as many as in `pool`; None at the generator's size. `combinations` [len(train)] are the numbers of
    those that `--by` makes.
    """

    classifier: str
    steps: int
    device: str
    train: LabelledImages
    groups: npt.NDArray[np.int64]
    pool: LabelledImages
    val: npt.NDArray[np.uint8]
    test: npt.NDArray[np.uint8]
    per_seed: int
    targets: tuple[int, ...] = ()
    flip: bool = False
    down_up: LabelledImages | None = None
    combinations: npt.NDArray[np.int64] | None = None

    def training_set(self, trial: Trial) -> TrainingSet:
        train, groups, combinations = self.train, self.groups, self.combinations
        pool = self.pool
        if ARMS[trial.arm].down_up:
            assert self.down_up is not None  # `choose_arms` sees to it
            pool = self.down_up
        if ARMS[trial.arm].targets_only:
            pool = pool.subset(np.flatnonzero(np.isin(pool.labels, self.targets)))
        if trial.real < 1:
            left = fewer_real(train.labels, self.targets, trial.real, trial.seed)
            train, groups = train.subset(left), groups[left]
            combinations = None if combinations is None else combinations[left]
        made = training_set(
            trial.arm, train, groups, pool,
            share=trial.share, seed=trial.seed, per_seed=self.per_seed, combinations=combinations,
        )  # fmt: skip
        return with_mirrors(made) if self.flip and made.augment == "classical" else made
