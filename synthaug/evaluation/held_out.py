"""The test images of all folds together, and the scores of an arm's predictions for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from synthaug.documents import Arm, ClassScores, Interval
from synthaug.errors import plural
from synthaug.evaluation.images import RealImages
from synthaug.evaluation.scores import Floats, Probabilities, group_counts, score
from synthaug.evaluation.statistics import F1Table, Variance, estimate, f1_table, resample_groups
from synthaug.seeds import TEST_GROUPS, TEST_GROUPS_OF_AN_ARM, stream

FEW_TEST_IMAGES = 30


@dataclass(frozen=True)
class HeldOut:
    """Labels [N], group numbers [N] from 0 to G-1, and fold numbers [N]; `seed` of the bootstrap.

    No group is in two folds.
    """

    labels: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]
    folds: npt.NDArray[np.int64]
    classes: list[str]
    seed: int = 0

    @classmethod
    def of(cls, folds: Sequence[RealImages]) -> HeldOut:
        """The test images of all folds, concatenated."""
        sizes = np.cumsum([0, *(int(fold.test_groups.max()) + 1 for fold in folds)])
        return cls(
            labels=np.concatenate([fold.test.labels for fold in folds]),
            groups=np.concatenate([fold.test_groups + start for fold, start in zip(folds, sizes, strict=False)]),
            folds=np.repeat(np.arange(len(folds)), [len(fold.test) for fold in folds]),
            classes=folds[0].classes,
            seed=folds[0].config.seed,
        )

    @classmethod
    def of_val(cls, folds: Sequence[RealImages]) -> HeldOut:
        """The validation images of all folds. They overlap, so a group has the same number in all of them."""
        names = [name for fold in folds for name in fold.val_group_names]
        groups = np.unique(np.asarray(names, dtype=str), return_inverse=True)[1].reshape(-1).astype(np.int64)
        labels = np.concatenate([fold.val.labels for fold in folds])
        return cls(labels, groups, np.zeros(len(labels), np.int64), folds[0].classes, folds[0].config.seed)

    @property
    def num_groups(self) -> int:
        return int(self.groups.max()) + 1

    def groups_of_classes(self) -> npt.NDArray[np.int64]:
        """The number of groups with images of each class, [K]."""
        return np.array([len(np.unique(self.groups[self.labels == k])) for k in range(len(self.classes))], np.int64)

    def counts(self) -> dict[str, int]:
        """Class → test images."""
        found = np.bincount(self.labels, minlength=len(self.classes))
        return {name: int(n) for name, n in zip(self.classes, found, strict=True)}

    def without_fold(self) -> Floats | None:
        """[F, G] 0 for the groups of a fold and 1 for the others; None if there is one fold."""
        if self.folds.max() == 0:
            return None
        fold_of = np.zeros(self.num_groups, np.int64)
        fold_of[self.groups] = self.folds
        others: Floats = (fold_of != np.arange(self.folds.max() + 1)[:, None]).astype(np.float64)
        return others

    def table(self, probabilities: npt.ArrayLike) -> F1Table:
        """F1 of an arm from `Probabilities`. Every arm has the same resamples."""
        predicted = np.asarray(probabilities).argmax(axis=-1)
        return f1_table(self.labels, predicted, self.groups, len(self.classes), self._times, self.without_fold())

    @cached_property
    def _times(self) -> Floats:
        return resample_groups(self.num_groups, stream(self.seed, TEST_GROUPS))

    def arm(
        self,
        probabilities: Probabilities,
        table: F1Table,
        *,
        shares: Sequence[float],
        steps: int | None,
    ) -> Arm:
        """Scores of one arm: means over seeds, intervals for the summaries.

        Args:
            probabilities: of each seed, and of each generator if there are several.
            table: their `table`.
            shares: of synthetic draws, one per fold or generator.
            steps: optimiser steps of each classifier.
        """
        each = probabilities.reshape(-1, *probabilities.shape[-2:])
        scored = [score(self.labels, rows) for rows in each]
        present = np.flatnonzero(self.groups_of_classes()).tolist()
        times = resample_groups(self.num_groups, stream(self.seed, TEST_GROUPS_OF_AN_ARM), 200)
        without = self.without_fold()
        recalls = self._recalls(each, times)[:, :, present]
        recalls_without = None if without is None else self._recalls(each, without)[:, :, present]
        groups = self.groups_of_classes()[present]

        def interval(values: list[float], test: Variance, without: Floats | None) -> Interval:
            found = estimate(np.array(values).reshape(probabilities.shape[:-2]), test, without)
            return Interval(mean=found.mean, low=found.low, high=found.high, per_seed=found.per_seed)

        def mean(field: str, k: int) -> float:
            return float(np.mean([getattr(s, field)[k] for s in scored]))

        per_seed = table.seeds.reshape(-1, *table.seeds.shape[-2:]).mean(axis=0)
        fields = ("precision", "recall", "f1", "average_precision")
        return Arm(
            share=float(np.mean(shares)),
            shares=list(shares) if len(shares) > 1 else [],
            steps=steps,
            macro_f1=interval(
                [s.macro_f1 for s in scored],
                Variance.over_groups(table.resamples[:, present], groups),
                None if table.without_fold is None else table.without_fold[:, present].mean(axis=1),
            ),
            balanced_accuracy=interval(
                [s.balanced_accuracy for s in scored],
                Variance.over_groups(recalls.mean(axis=0), groups),
                None if recalls_without is None else recalls_without.mean(axis=(0, 2)),
            ),
            geometric_mean=interval(
                [s.geometric_mean for s in scored],
                Variance.over_groups(_geometric(recalls)[:, None], groups.min(keepdims=True)),
                None if recalls_without is None else _geometric(recalls_without),
            ),
            per_class={self.classes[k]: ClassScores(**{f: mean(f, k) for f in fields}) for k in present},
            f1_per_seed={self.classes[k]: [float(f) for f in per_seed[:, k]] for k in present},
            confusion=sum((s.confusion for s in scored[1:]), scored[0].confusion).tolist(),
        )

    def _recalls(self, probabilities: Probabilities, times: Floats) -> Floats:
        """Recalls [S, B, K] under resamples of the groups; a class that a resample misses counts as 0."""
        rows = []
        for seed in probabilities:
            hits, _, images = group_counts(self.labels, seed.argmax(axis=1), self.groups, len(self.classes))
            rows.append((times @ hits) / np.maximum(times @ images, 1))
        return np.stack(rows)


def _geometric(recalls: Floats) -> Floats:
    """Geometric mean over the classes, mean over the seeds: [S, B, K] → [B]."""
    with np.errstate(divide="ignore"):
        found: Floats = np.exp(np.log(recalls).mean(axis=2)).mean(axis=0)
    return found


def small_test_warnings(held_out: HeldOut, targets: Sequence[str], alike: int) -> list[str]:
    """Warnings about too few test images, and about the `alike` test images that look like training images."""
    warnings = []
    groups, counts = held_out.groups_of_classes(), held_out.counts()
    for name in targets:
        images, apart = counts[name], int(groups[held_out.classes.index(name)])
        if images < FEW_TEST_IMAGES:
            warnings.append(
                f"only {plural(images, 'test image')} of {name!r}: each changes its recall by {1 / images:.3f}, so "
                "only a large effect can be detected"
            )
        elif apart < FEW_TEST_IMAGES:
            warnings.append(f"the {images} test images of {name!r} come from only {plural(apart, 'group')}")
    if alike:
        warnings.append(
            f"{plural(alike, 'test image looks', 'test images look')} like a training image or "
            f"{'has' if alike == 1 else 'have'} a group in common with one: the scores of all arms are too high"
        )
    absent = [name for name, n in counts.items() if n == 0]
    if absent:
        warnings.append(f"no test images of {', '.join(absent)}: left out of macro-F1 and of the means")
    return warnings
