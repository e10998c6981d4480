"""Features on one scale, for what learns from the features of real images and then sees others."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.preprocessing import StandardScaler
from typing_extensions import Self

SMALLEST = 0.1
"""Of the mean standard deviation: a feature that varies less is divided by so much."""


class Standardiser(StandardScaler):  # type: ignore[misc]
    """Each feature minus its mean, divided by its standard deviation; both of the images that it is fitted on.

    Some features are (nearly) constant on real images and vary on augmented or generated ones. Divided by their own
    deviation, they would outweigh all the others by factors up to a million.
    """

    def fit(self, X: npt.ArrayLike, y: Any = None, sample_weight: Any = None) -> Self:
        super().fit(X, y, sample_weight)
        deviation = np.sqrt(self.var_)
        scale = np.maximum(deviation, SMALLEST * deviation.mean())
        self.scale_ = np.where(scale > 0, scale, 1.0)
        return self
