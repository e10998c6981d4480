"""The test images that predictions are compared with, of one split or of all folds together, and an arm's scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from synthaug.documents import Arm, ClassScores, Interval
from synthaug.evaluation.images import RealImages
from synthaug.evaluation.scores import Floats, group_counts, score
from synthaug.evaluation.statistics import F1Table, estimate, f1_table, resample_groups


@dataclass(frozen=True)
class HeldOut:
    """Labels [N], groups [N] in 0 … G-1 of what belongs together, and the fold of each image [N].

    No group lies in two folds. `seed` is that of the bootstrap.
    """

    labels: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]
    folds: npt.NDArray[np.int64]
    classes: list[str]
    seed: int = 0

    @classmethod
    def of(cls, parts: Sequence[RealImages]) -> HeldOut:
        """The test images of each fold behind one another, or of the only split."""
        sizes = np.cumsum([0, *(int(part.test_groups.max()) + 1 for part in parts)])
        return cls(
            labels=np.concatenate([part.test.labels for part in parts]),
            groups=np.concatenate([part.test_groups + start for part, start in zip(parts, sizes, strict=False)]),
            folds=np.repeat(np.arange(len(parts)), [len(part.test) for part in parts]),
            classes=parts[0].classes,
            seed=parts[0].config.seed,
        )

    @property
    def num_groups(self) -> int:
        return int(self.groups.max()) + 1

    def groups_of_classes(self) -> npt.NDArray[np.int64]:
        """Groups that hold each class, [K]."""
        return np.array([len(np.unique(self.groups[self.labels == k])) for k in range(len(self.classes))], np.int64)

    def counts(self) -> dict[str, int]:
        """Class → test images."""
        found = np.bincount(self.labels, minlength=len(self.classes))
        return {name: int(n) for name, n in zip(self.classes, found, strict=True)}

    def without_fold(self) -> Floats | None:
        """[F, G] 0 for the groups of a fold and 1 for the others; None where there is one fold."""
        if self.folds.max() == 0:
            return None
        fold_of = np.zeros(self.num_groups, np.int64)
        fold_of[self.groups] = self.folds
        others: Floats = (fold_of != np.arange(self.folds.max() + 1)[:, None]).astype(np.float64)
        return others

    def table(self, probabilities: Sequence[npt.NDArray[np.float32]]) -> F1Table:
        """F1 of an arm from each seed's probabilities [N, K]; resamples are the same for every arm."""
        predicted = [rows.argmax(axis=1) for rows in probabilities]
        return f1_table(self.labels, predicted, self.groups, len(self.classes), self._times, self.without_fold())

    @cached_property
    def _times(self) -> Floats:
        return resample_groups(self.num_groups, np.random.default_rng([self.seed, 0xB0]))

    def arm(
        self,
        probabilities: Sequence[npt.NDArray[np.float32]],
        table: F1Table,
        *,
        shares: Sequence[float],
        steps: int | None,
    ) -> Arm:
        """Scores of one arm: means over seeds, intervals for the summaries.

        Args:
            probabilities: [N, K] of each seed.
            table: what `table` says of them.
            shares: of synthetic draws, one a fold.
            steps: optimiser steps of each classifier.
        """
        scored = [score(self.labels, rows) for rows in probabilities]
        present = np.flatnonzero(self.groups_of_classes()).tolist()
        times = resample_groups(self.num_groups, np.random.default_rng([self.seed, 0xB1]), 200)
        without = self.without_fold()
        recalls = self._recalls(probabilities, times)[:, :, present]
        recalls_without = None if without is None else self._recalls(probabilities, without)[:, :, present]

        def interval(values: list[float], resamples: Floats, without: Floats | None) -> Interval:
            found = estimate(np.array(values), float(np.var(resamples, ddof=1)), self.num_groups, without)
            return Interval(mean=found.mean, low=found.low, high=found.high, per_seed=found.per_seed)

        def mean(field: str, k: int) -> float:
            return float(np.mean([getattr(s, field)[k] for s in scored]))

        fields = ("precision", "recall", "f1", "average_precision")
        return Arm(
            share=float(np.mean(shares)),
            shares=list(shares) if len(shares) > 1 else [],
            steps=steps,
            macro_f1=interval(
                [s.macro_f1 for s in scored],
                table.resamples[:, present].mean(axis=1),
                None if table.without_fold is None else table.without_fold[:, present].mean(axis=1),
            ),
            balanced_accuracy=interval(
                [s.balanced_accuracy for s in scored],
                recalls.mean(axis=(0, 2)),
                None if recalls_without is None else recalls_without.mean(axis=(0, 2)),
            ),
            geometric_mean=interval(
                [s.geometric_mean for s in scored],
                _geometric(recalls),
                None if recalls_without is None else _geometric(recalls_without),
            ),
            per_class={self.classes[k]: ClassScores(**{f: mean(f, k) for f in fields}) for k in present},
            f1_per_seed={self.classes[k]: [float(s.f1[k]) for s in scored] for k in present},
            confusion=sum((s.confusion for s in scored[1:]), scored[0].confusion).tolist(),
        )

    def _recalls(self, probabilities: Sequence[npt.NDArray[np.float32]], times: Floats) -> Floats:
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
