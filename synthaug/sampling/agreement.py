"""The first gate: would a classifier that learnt from real images give a synthetic one its own class?

Three classifiers are trained, each on two thirds of the real training images. What they give the third that they did
not see says how sure they are of real images, and that, not a round number, is where a class's threshold lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthaug.classifiers import CLASSIFIERS
from synthaug.classifiers.base import Classifier
from synthaug.data.cache import LabelledImages
from synthaug.progress import Progress, Silent

FOLDS = 3
QUANTILE = 0.20
TARGET_QUANTILE = 0.05
"""Share of real images of a class that its threshold may turn away; rare classes are known less well, so fewer."""
SURE = 0.5
"""No threshold is above this: an image that gets more than half of the probability is agreed on."""


@dataclass(frozen=True)
class Agreement:
    """Classifiers of the folds, and the least probability [K] that each class asks for (0: anything passes)."""

    members: list[Classifier]
    thresholds: NDArray[np.float64]

    def probability(self, pixels: NDArray[np.uint8], class_index: int) -> NDArray[np.float64]:
        """Mean probability [n] of one class for uint8 [n, C, H, W].

        A mean scatters less than one classifier does, so that it turns away fewer real images than the threshold's
        quantile allows.
        """
        votes = [member.predict_proba(pixels)[:, class_index].astype(np.float64) for member in self.members]
        mean: NDArray[np.float64] = np.mean(votes, axis=0)
        return mean


def fit_agreement(
    train: LabelledImages,
    targets: Sequence[str],
    *,
    steps: int,
    seed: int,
    groups: Sequence[str | None] | None = None,
    device: str = "auto",
    progress: Progress | None = None,
) -> Agreement:
    """Train the classifiers of the folds and place the thresholds.

    Args:
        train: real training images only.
        targets: the rare classes, whose thresholds are generous.
        steps: optimiser steps of each classifier.
        groups: [N] images with an equal group never stand on both sides of a fold.

    Raises:
        SynthaugError: fewer than two classes have images.
    """
    folds = assign_folds(train.labels, groups, np.random.default_rng([seed, 1]))
    probability = np.full(len(train.labels), np.nan)
    members: list[Classifier] = []
    with (progress or Silent()).task("gate: agreement", FOLDS, "classifier") as task:
        for fold in range(FOLDS):
            seen, held_out = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            labels = train.labels[seen]
            draw_weights = 1.0 / np.bincount(labels, minlength=len(train.classes))[labels]
            member = CLASSIFIERS.get("cnn")(device=device).fit(
                train.pixels[seen],
                labels,
                draw_weights,
                num_classes=len(train.classes),
                steps=steps,
                seed=seed + fold,
                augment="classical",
            )
            if len(held_out):
                given = member.predict_proba(train.pixels[held_out])
                probability[held_out] = given[np.arange(len(held_out)), train.labels[held_out]]
            members.append(member)
            task.advance()
    thresholds = np.zeros(len(train.classes))
    for index, label in enumerate(train.classes):
        own = probability[train.labels == index]
        quantile = TARGET_QUANTILE if label in targets else QUANTILE
        thresholds[index] = threshold(own[np.isfinite(own)], quantile)
    return Agreement(members, thresholds)


def threshold(probabilities: NDArray[np.float64], quantile: float) -> float:
    """The largest value up to `SURE` that at most `quantile` of `probabilities` lie below; 0 for none.

    >>> threshold(np.array([0.1, 0.2, 0.3, 0.4]), 0.25)
    0.2
    >>> threshold(np.array([0.1, 0.2, 0.3, 0.4]), 0.2)
    0.1
    """
    if not len(probabilities):
        return 0.0
    return float(min(np.sort(probabilities)[int(quantile * len(probabilities))], SURE))


def assign_folds(
    labels: NDArray[np.int64], groups: Sequence[str | None] | None, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Give each image the fold [N] that holds it out, spreading each class evenly; -1 trains in every fold.

    A class whose images are all of one group (a single image, say) is never held out: some fold would lose it.
    """
    names = [f"\0{i}" if g is None else g for i, g in enumerate(groups or [None] * len(labels))]
    keys = np.unique(np.asarray(names, dtype=object).astype(str), return_inverse=True)[1].reshape(-1)
    folds = np.full(len(labels), -1, np.int64)
    counts = np.zeros((int(labels.max(initial=-1)) + 1, FOLDS), np.int64)
    order = rng.permutation(int(keys.max(initial=-1)) + 1)
    members: dict[int, list[int]] = {}
    for index, key in enumerate(keys):
        members.setdefault(int(key), []).append(index)
    for key in sorted(order, key=lambda k: -len(members[int(k)])):
        rows = members[int(key)]
        label = int(labels[rows[0]])
        fold = int(np.argmin(counts[label]))
        folds[rows] = fold
        for row in rows:
            counts[int(labels[row]), fold] += 1
    for label in np.unique(labels):
        if np.count_nonzero(counts[label]) < 2:
            folds[labels == label] = -1
    return folds
