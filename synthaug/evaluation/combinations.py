"""The target classes on parts of the test images: by camera, site, or any other column of a metadata table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import numpy.typing as npt

from synthaug.data.attributes import MISSING, Column, chosen_columns, column_of, read_texts
from synthaug.documents import CombinationDocument, Contrast
from synthaug.evaluation.held_out import HeldOut
from synthaug.evaluation.images import RealImages
from synthaug.evaluation.scores import Probabilities
from synthaug.evaluation.statistics import contrast

FEWEST_GROUPS = 2
"""Groups of target images from which a difference has an interval."""


def divide(names: Sequence[str], folds: Sequence[RealImages]) -> list[Column]:
    """The columns of `--by`, with a value for each test image of all folds, which are of one folder.

    The training images of each fold get the numbers of their combinations. Ranges of numbers are those of all images.

    Raises:
        SynthaugError: a column that cannot be used.
    """
    if not names:
        return []
    tested = [row.path for fold in folds for row in fold.test_rows]
    learnt = [[row.path for row in fold.data.split.of("train")] for fold in folds]
    root, test_root = folds[0].data.folder, folds[0].test_root
    chosen_columns(test_root, tested, names, "--by")
    of_test, of_train = read_texts(test_root, tested), [read_texts(root, paths) for paths in learnt]
    joined = []
    for name in names:
        texts = [found.get(name, [MISSING] * len(paths)) for found, paths in zip(of_train, learnt, strict=True)]
        joined.append(column_of(name, [*of_test[name], *(text for part in texts for text in part)]))
    numbers = np.unique(np.array([column.values for column in joined]).T, axis=0, return_inverse=True)[1].reshape(-1)
    start = len(tested)
    for fold, paths in zip(folds, learnt, strict=True):
        fold.combinations, start = numbers[start : start + len(paths)].astype(np.int64), start + len(paths)
    return [replace(column, values=column.values[: len(tested)]) for column in joined]


def by_combination(
    columns: Sequence[Column],
    held_out: HeldOut,
    predicted: tuple[Probabilities, Probabilities],
    targets: Sequence[int],
) -> list[CombinationDocument]:
    """F1 of the target classes on the test images of each combination of values; the worst combination first.

    A combination counts only its own images, also for precision. One without test images of a target class is left out.

    Args:
        columns: with a value for each test image [N].
        held_out: the test images.
        predicted: probabilities of the best control, and of the synthetic arm.
        targets: indices of the target classes.
    """
    found, arrays = [], [np.array(column.values) for column in columns]
    for values in product(*(column.ordered for column in columns)):
        of_it = np.all([of_each == value for of_each, value in zip(arrays, values, strict=True)], axis=0)
        if np.isin(held_out.labels[of_it], targets).any():
            names = {column.name: value for column, value in zip(columns, values, strict=True)}
            found.append(_of(names, _part(held_out, of_it), [rows[..., of_it, :] for rows in predicted], targets))
    return sorted(found, key=lambda one: one.before)


def _part(held_out: HeldOut, rows: npt.NDArray[np.bool_]) -> HeldOut:
    """Some of the test images; groups and folds are numbered anew."""
    groups, folds = (
        np.unique(numbers[rows], return_inverse=True)[1].astype(np.int64)
        for numbers in (held_out.groups, held_out.folds)
    )
    return replace(held_out, labels=held_out.labels[rows], groups=groups, folds=folds)


def _of(
    values: dict[str, str], part: HeldOut, predicted: Sequence[Probabilities], targets: Sequence[int]
) -> CombinationDocument:
    present = [k for k in targets if (part.labels == k).any()]
    tables, groups = [part.table(rows) for rows in predicted], part.groups_of_classes()
    means = [float(table.seeds[..., present].mean()) for table in tables]
    gain = None
    if groups[present].min() >= FEWEST_GROUPS:
        difference = contrast(tables[1], tables[0], present, groups)
        gain = Contrast(mean=difference.mean, low=difference.low, high=difference.high, p_value=difference.p_value)
    return CombinationDocument(
        values=values, images=len(part.labels), before=means[0], after=means[1], gain=gain,
        targets={part.classes[k]: int((part.labels == k).sum()) for k in present},
    )  # fmt: skip
