"""SMOTE [arXiv:1106.1813]: points between images of a class, in the feature space of a classifier."""

from __future__ import annotations

import importlib.util

import numpy as np
import numpy.typing as npt

from synthaug.classifiers.base import Labels
from synthaug.errors import SynthaugError

Floats = npt.NDArray[np.float32]


def require_smote() -> None:
    """Raise unless imbalanced-learn is installed.

    Raises:
        SynthaugError: it is not.
    """
    if importlib.util.find_spec("imblearn") is None:
        raise SynthaugError("the arm smote needs the package imbalanced-learn", "pip install 'synthaug[smote]'")


def interpolate(rows: Floats, labels: Labels, seed: int, neighbours: int = 5) -> tuple[Floats, Labels]:
    """Bring every class to the size of the largest by SMOTE; a single image is repeated instead.

    Args:
        rows: features [N, d].
        labels: [N].
        neighbours: SMOTE's k, lowered to what the smallest class allows.

    Returns:
        Features [M, d] and labels [M].
    """
    from imblearn.over_sampling import SMOTE

    classes, counts = np.unique(labels, return_counts=True)
    largest = int(counts.max())
    for label in classes[(counts == 1) & (counts < largest)]:
        extra = np.repeat(np.flatnonzero(labels == label), largest - 1)
        rows, labels = np.concatenate([rows, rows[extra]]), np.concatenate([labels, labels[extra]])
    small = {int(c): largest for c, n in zip(classes, counts, strict=True) if 1 < n < largest}
    if not small:
        return rows, labels
    k = min(neighbours, int(counts[(counts > 1) & (counts < largest)].min()) - 1)
    rows, labels = SMOTE(sampling_strategy=small, k_neighbors=k, random_state=seed).fit_resample(rows, labels)
    return rows, labels
