"""Scores of predictions, by scikit-learn, and the counts that the bootstrap needs for F1."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, confusion_matrix, f1_score, precision_recall_fscore_support

Floats = npt.NDArray[np.float64]
Probabilities = npt.NDArray[np.float32]
"""Of classes, for each seed: [S, N, K], or [R, S, N, K] with R generators."""


def target_f1(
    truth: npt.NDArray[np.int64], probabilities: Iterable[npt.NDArray[np.float32]], targets: Sequence[int]
) -> float:
    """Mean F1 of the target classes over all seeds; rounded to nine digits, so that equal choices are equal.

    Args:
        truth: [N] labels.
        probabilities: [N, K] of each seed.
        targets: indices of the target classes.
    """
    scores = [
        f1_score(truth, rows.argmax(axis=1), labels=list(targets), average="macro", zero_division=0.0)
        for rows in probabilities
    ]
    return round(float(np.mean(scores)), 9)


@dataclass(frozen=True)
class Scores:
    """Scores of one classifier on labelled images; arrays have one entry per class.

    A class without test images is NaN, and is left out of the means.
    """

    precision: Floats
    recall: Floats
    f1: Floats
    average_precision: Floats
    balanced_accuracy: float
    macro_f1: float
    geometric_mean: float
    confusion: npt.NDArray[np.int64]


def score(truth: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float32]) -> Scores:
    """Score class probabilities.

    An undefined precision (nothing predicted as the class) counts as 0. Balanced accuracy is the mean of the recalls,
    the geometric mean the K-th root of their product (Kubat & Matwin 1997).

    Args:
        truth: [N].
        probabilities: [N, K].
    """
    classes = np.arange(probabilities.shape[1])
    predicted = probabilities.argmax(axis=1)
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, predicted, labels=classes, average=None, zero_division=0.0
    )
    present = support > 0
    precision, recall, f1 = (np.where(present, values, np.nan) for values in (precision, recall, f1))
    average_precision = np.full(len(classes), np.nan)
    for k in np.flatnonzero(present):
        average_precision[k] = average_precision_score(truth == k, probabilities[:, k])
    return Scores(
        precision=precision,
        recall=recall,
        f1=f1,
        average_precision=average_precision,
        balanced_accuracy=float(recall[present].mean()),
        macro_f1=float(f1[present].mean()),
        geometric_mean=float(np.prod(recall[present]) ** (1 / present.sum())),
        confusion=confusion_matrix(truth, predicted, labels=classes),
    )


def group_counts(
    truth: npt.NDArray[np.int64], predicted: npt.NDArray[np.int64], groups: npt.NDArray[np.int64], num_classes: int
) -> Floats:
    """True positives, predictions and images of each class in each group, [3, G, K]; `groups` holds 0 to G-1.

    F1 of any set of groups is 2·sum(true positives) / (sum(predictions) + sum(images)).
    """
    counts = np.zeros((3, int(groups.max()) + 1, num_classes))
    hit = truth == predicted
    np.add.at(counts[0], (groups[hit], truth[hit]), 1)
    np.add.at(counts[1], (groups, predicted), 1)
    np.add.at(counts[2], (groups, truth), 1)
    return counts


def f1_of_resamples(counts: Floats, times: Floats) -> Floats:
    """F1 [B, K] if group g is counted times[b, g] times; 0 if a class neither occurs nor is predicted."""
    return f1_of_totals(times @ counts)


def f1_of_totals(totals: Floats) -> Floats:
    """F1 [...] of true positives, predictions and images [3, ...]; 0 if a class neither occurs nor is predicted."""
    hits, predictions, images = totals
    total = predictions + images
    f1: Floats = np.divide(2 * hits, total, out=np.zeros_like(hits), where=total > 0)
    return f1
