"""Cross-validation folds for data that is too small for a test set: each image is a test image in one fold."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from synthaug.errors import SynthaugError, plural


def fold_of(labels: Sequence[str], groups: NDArray[np.intp], folds: int, seed: int) -> NDArray[np.int64]:
    """The fold of each image, [N] in 0 … folds - 1, stratified by class. Images of one group are in one fold.

    Args:
        labels: [N] classes.
        groups: [N] group numbers.
        seed: must be the same for every fold of one evaluation.

    Raises:
        SynthaugError: there are too few groups for so many folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold  # takes half a second; `inspect` does not need it

    count = len(np.unique(groups))
    assigned = np.full(len(labels), -1, np.int64)
    if count >= folds and max(Counter(labels).values(), default=0) >= folds:
        split = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a class may have fewer images than folds
            for fold, (_, held_out) in enumerate(split.split(np.zeros(len(labels)), np.asarray(labels), groups)):
                assigned[held_out] = fold
    if len(np.unique(assigned[assigned >= 0])) < folds:
        raise SynthaugError(
            f"{plural(len(labels), 'image')} in {plural(count, 'group')} cannot be divided into {folds} folds",
            "give a smaller number with --folds",
        )
    return assigned
