"""Can a classifier tell synthetic from real? 0.5: no; 1.0: always."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from synthaug.errors import SynthaugError

MIN_IMAGES = 10


def detect_auc(real: NDArray[Any], fake: NDArray[Any], *, rng: np.random.Generator, folds: int = 5) -> float:
    """Area under the ROC curve of a logistic regression that tells synthetic from real on frozen features.

    Cross-validated: each image is scored by a model that has not seen it, and the folds' areas are averaged. It is a
    classifier two-sample test (Lopez-Paz & Oquab, arXiv:1610.06545).

    Args:
        real: features [n, d], n ≥ 10.
        fake: features [m, d], m ≥ 10; take m = n.
        rng: shuffles the folds.
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
    areas = []
    for train, test in splitter.split(x, y):
        # Weak C: with more features than images the classes are always separable, and strong shrinkage ranks better.
        model = make_pipeline(StandardScaler(), LogisticRegression(C=1e-2, max_iter=300)).fit(x[train], y[train])
        areas.append(roc_auc_score(y[test], model.decision_function(x[test])))
    return float(np.mean(areas))
