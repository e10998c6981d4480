"""Does a condition act? What a classifier of real images reads off the generated ones, beside what they were told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from synthaug.documents import ConditionEffect, Range
from synthaug.features.standardised import Standardiser

FEWEST = 5
"""Images of a value in each set, without which it is left out."""
ENOUGH, LEAST = 0.8, 0.05
"""Of what is recovered from real images, the share from which a condition acts; and how far above the floor that is."""
_DRAWS = 300


class Described(NamedTuple):
    """Images: their features [N, d], the value of a column [N], and their class [N]."""

    features: NDArray[Any]
    values: Sequence[str]
    classes: Sequence[str]


def condition_effect(
    name: str, train: Described, real: Described, fake: Described, *, rng: np.random.Generator
) -> ConditionEffect:
    """Balanced accuracy of a classifier that learns the values of a column on real images, on others and on fakes.

    The floor is what the class alone tells of the value, for a column may go with the class: chance, or more. So that
    the classifier does not take the class for the value, it learns each pair of both with the same weight.

    Args:
        name: of the column.
        train: real images that the classifier learns from.
        real: other real images.
        fake: generated images, with the values that the generator was told.
        rng: draws images with replacement, for the range.
    """
    sets = (train, real, fake)
    counts = [Counter(images.values) for images in sets]
    shared = [value for value in counts[0] if min(count[value] for count in counts) >= FEWEST]
    if len(shared) < 2:
        return ConditionEffect(name=name, acts="unknown", reason="too few held-out images of two values")
    train, real, fake = (_only(images, shared) for images in sets)
    model = make_pipeline(Standardiser(), LogisticRegression(C=1e-2, max_iter=2000))
    model.fit(train.features, train.values, logisticregression__sample_weight=_equal(train))
    recovered = _balanced(model.predict(real.features) == np.array(real.values), real.values)
    right = model.predict(fake.features) == np.array(fake.values)
    found, floor = _balanced(right, fake.values), _by_class(fake)
    told, rows = np.array(fake.values), rng.integers(len(right), size=(_DRAWS, len(right)))
    draws = [_balanced(right[some], told[some]) for some in rows]
    low, high = np.quantile(draws, [0.025, 0.975]).tolist()
    effect = ConditionEffect(
        name=name, values=shared, real=recovered, floor=floor, samples=Range(mean=found, low=low, high=high),
        share=(found - floor) / (recovered - floor) if recovered > floor + LEAST else None, acts="unknown",
    )  # fmt: skip
    if effect.share is None:
        by_class = floor > 1 / len(shared) + LEAST
        reason = "the class tells as much" if by_class else "a classifier does not recover it from real images either"
        return effect.model_copy(update={"reason": reason})
    return effect.model_copy(update={"acts": "no" if low <= floor else "yes" if effect.share >= ENOUGH else "weakly"})


def _only(images: Described, values: Sequence[str]) -> Described:
    rows = np.flatnonzero(np.isin(images.values, values))
    return Described(images.features[rows], *([part[k] for k in rows.tolist()] for part in images[1:]))


def _equal(images: Described) -> NDArray[np.float64]:
    """Weights of mean 1, equal in sum for each pair of class and value."""
    pairs = list(zip(images.classes, images.values, strict=True))
    counts = Counter(pairs)
    weights = np.array([1 / counts[pair] for pair in pairs])
    return weights / weights.mean()  # type: ignore[no-any-return]


def _balanced(right: NDArray[np.bool_], values: Sequence[str] | NDArray[Any]) -> float:
    """The share of right answers, averaged over the values that occur."""
    of = np.array(values)
    return float(np.mean([right[of == value].mean() for value in np.unique(of)]))


def _by_class(images: Described) -> float:
    """Balanced accuracy of the best guess from the class alone."""
    values, classes = np.array(images.values), np.array(images.classes)
    of_value = [classes[values == value] for value in np.unique(values)]
    shares = np.array([[(some == label).mean() for some in of_value] for label in np.unique(classes)])
    return float(shares.max(axis=1).sum() / shares.shape[1])
