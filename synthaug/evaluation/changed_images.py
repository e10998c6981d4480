"""Which test images are newly right, and which newly wrong, with synthetic images instead of the best control."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from synthaug.documents import ChangedImage, ChangedImages
from synthaug.errors import plural
from synthaug.evaluation.scores import Probabilities

KEPT = 100
"""Images of either kind in the document; the counts are of all."""


def changed_images(
    arms: tuple[str, str],
    before: Probabilities,
    after: Probabilities,
    labels: npt.NDArray[np.int64],
    paths: Sequence[str],
    classes: Sequence[str],
    targets: Sequence[int],
) -> ChangedImages:
    """Compare two arms image by image. An arm recognises an image if most of its classifiers do.

    Args:
        arms: their names: the best control, and the synthetic arm.
        before: probabilities of the best control.
        after: probabilities of the synthetic arm.
        labels: [N] of the test images.
        paths: of the test images.
        classes: names of the K classes.
        targets: indices of the target classes. Images that are of one, or taken for one, come first; then those on
            which most classifiers have changed.
    """
    sides = [probabilities.reshape(-1, *probabilities.shape[-2:]).argmax(axis=2) for probabilities in (before, after)]
    taken = [_taken_for(predicted, len(classes)) for predicted in sides]
    right = [(predicted == labels).sum(axis=0) for predicted in sides]
    shares = [hits / len(predicted) for hits, predicted in zip(right, sides, strict=True)]
    known = [share > 0.5 for share in shares]
    concerned = np.isin(labels, targets) | np.isin(taken[0], targets) | np.isin(taken[1], targets)
    order = np.lexsort((-np.abs(shares[1] - shares[0]), ~concerned))

    def of(rows: npt.NDArray[Any]) -> list[ChangedImage]:
        return [
            ChangedImage(
                test=paths[row],
                label=classes[labels[row]],
                before=classes[taken[0][row]],
                after=classes[taken[1][row]],
                right_before=int(right[0][row]),
                right_after=int(right[1][row]),
            )
            for row in rows[:KEPT]
        ]

    newly_right, newly_wrong = order[(~known[0] & known[1])[order]], order[(known[0] & ~known[1])[order]]
    return ChangedImages(
        before=arms[0],
        after=arms[1],
        classifiers_before=len(sides[0]),
        classifiers_after=len(sides[1]),
        right=len(newly_right),
        wrong=len(newly_wrong),
        newly_right=of(newly_right),
        newly_wrong=of(newly_wrong),
    )


def in_words(found: ChangedImages) -> str:
    """How many images have changed."""
    return f"{plural(found.right, 'test image')} newly right, {found.wrong} newly wrong"


def _taken_for(predicted: npt.NDArray[np.int64], num_classes: int) -> npt.NDArray[np.int64]:
    """The class [N] that most of the classifiers [S, N] predict."""
    votes = np.zeros((predicted.shape[1], num_classes), np.int64)
    for one in predicted:
        votes[np.arange(len(one)), one] += 1
    taken: npt.NDArray[np.int64] = votes.argmax(axis=1)
    return taken
