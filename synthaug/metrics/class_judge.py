"""Do samples look like their class? The share that a classifier of real images assigns to it.

Similar to GAN-test (Shmelkov et al., arXiv:1807.09499), with a ridge classifier on frozen features. It takes a fraction
of a second and detects a class that was swapped or lost. It does not replace the user's classifier.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline

from synthaug.features.standardised import Standardiser

Array = NDArray[Any]
MAX_PER_CLASS = 500
MIN_PER_CLASS = 5
_FOLDS = 5


@dataclass(frozen=True, slots=True)
class ClassJudge:
    """A classifier of real features, and how many real images of each class it recognises."""

    model: Pipeline
    recognised: dict[int, tuple[int, int]]
    """Class → (real images recognised by a model that has not seen them, real images tried)."""

    def share(self, features: Array, label: int) -> float | None:
        """Share of `features` [n, d] that it assigns to class `label`; None if the class has too few real images."""
        if label not in self.recognised or not len(features):
            return None
        return float((self.model.predict(features) == label).mean())

    def taken_for(self, features: Array, label: int) -> tuple[int, float] | None:
        """The other class to which it assigns most of `features`, and their share."""
        found = self.model.predict(features)
        others = found[found != label]
        if not len(others):
            return None
        classes, counts = np.unique(others, return_counts=True)
        return int(classes[counts.argmax()]), float(counts.max() / len(found))


def class_judge(
    features: Array,
    labels: NDArray[np.int64],
    *,
    unseen: tuple[Array, NDArray[np.int64]] | None = None,
    rng: np.random.Generator,
) -> ClassJudge | None:
    """Fit the classifier on at most 500 real images of each class; classes have equal weights.

    None if fewer than two classes have at least five real images.

    Args:
        features: [n, d] of real images.
        labels: their classes.
        unseen: features and labels of other real images, on which `recognised` is counted; None: by cross-validation.
            Needed if the feature net was trained on the images of `features`.
        rng: chooses images and folds.
    """
    kept = []
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        if len(of_class) >= MIN_PER_CLASS:
            kept.append(rng.permutation(of_class)[:MAX_PER_CLASS])
    if len(kept) < 2:
        return None
    chosen = np.concatenate(kept)
    x, y = features[chosen], labels[chosen]
    model = make_pipeline(Standardiser(), RidgeClassifier(alpha=1e3, class_weight="balanced"))
    if unseen is None:
        folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=int(rng.integers(2**31)))
        found, truth = cross_val_predict(model, x, y, cv=folds), y
        model.fit(x, y)
    else:
        kept_labels = np.isin(unseen[1], np.unique(y))
        truth = unseen[1][kept_labels]
        model.fit(x, y)
        found = model.predict(unseen[0][kept_labels]) if len(truth) else truth
    recognised = {
        int(label): (int((found[truth == label] == label).sum()), int((truth == label).sum()))
        for label in np.unique(truth)
    }
    return ClassJudge(model, recognised)
