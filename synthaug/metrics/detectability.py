"""Can a classifier tell synthetic from real images? AUC 0.5: no; 1: always."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from synthaug.documents import Range
from synthaug.errors import SynthaugError
from synthaug.metrics.spread import about

Floats = NDArray[np.float64]
MIN_IMAGES = 10
_DRAWS = 200


def detect_auc(real: NDArray[Any], fake: NDArray[Any], *, rng: np.random.Generator, folds: int = 5) -> Range:
    """Area under the ROC curve of a logistic regression that tells synthetic from real on frozen features.

    Cross-validated: each image is scored by a model that has not seen it, and the folds' areas are averaged. It is a
    classifier two-sample test (Lopez-Paz & Oquab, arXiv:1610.06545). The range is for other images with the same
    models, as in LeDell et al., "Computationally efficient confidence intervals for cross-validated area under the ROC
    curve estimates" (2015), here from half-samples of the scores.

    Args:
        real: features [n, d], n ≥ 10.
        fake: features [m, d], m ≥ 10; take m = n. Give other real images for the floor.
        rng: shuffles the folds and draws the half-samples.
        folds: of the cross-validation.

    Raises:
        SynthaugError: a set has fewer than ten images.
    """
    if min(len(real), len(fake)) < MIN_IMAGES:
        raise SynthaugError(
            f"detectability was asked for {len(real)} real and {len(fake)} synthetic images",
            f"it needs at least {MIN_IMAGES} of each",
        )
    x = np.concatenate([real, fake]).astype(np.float64)
    y = np.repeat([0, 1], [len(real), len(fake)])
    splitter = StratifiedKFold(folds, shuffle=True, random_state=int(rng.integers(2**31)))
    wins = []
    for train, test in splitter.split(x, y):
        # Small C: with more features than images, the classes are always separable; strong shrinkage ranks better.
        model = make_pipeline(StandardScaler(), LogisticRegression(C=1e-2, max_iter=300)).fit(x[train], y[train])
        scores = model.decision_function(x[test])
        wins.append(_wins(scores[y[test] == 0], scores[y[test] == 1]))
    halves = np.array([np.mean([_half(fold, rng).mean() for fold in wins]) for _ in range(_DRAWS)])
    return about(float(np.mean([fold.mean() for fold in wins])), halves, bounds=(0.0, 1.0))


def _wins(real: Floats, fake: Floats) -> Floats:
    """[n, m]: 1 if the synthetic image scores higher, ½ if both are equal. The mean is the area under the ROC curve."""
    out: Floats = (np.sign(fake[None] - real[:, None]) + 1) / 2
    return out


def _half(wins: Floats, rng: np.random.Generator) -> Floats:
    rows, columns = (rng.permutation(n)[: max(1, n // 2)] for n in wins.shape)
    return wins[np.ix_(rows, columns)]
