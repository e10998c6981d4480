"""By which score should `logistic` choose its penalty?

    python tests/studies/penalty.py DATA… [--write]

DATA as for controls.py: NAME=FOLDER,TARGET+TARGET,SIDE. Four draws of the training images of each set: all of them, and
three times four fifths of each class (at least 12 images). For each penalty C of `logistic`, its predictions in
three-fold cross-validation and the F1 of the rare classes on the test images; then what each score would have chosen.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from controls import PAGE, Set
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, recall_score
from sklearn.model_selection import StratifiedGroupKFold
from tables import between, written

from synthaug.classifiers.logistic import FEATURES, FOLDS, GRID, RememberedFeatures
from synthaug.features import load_features

Score = Callable[[NDArray[np.int64], NDArray[np.float64]], float]
"""Of labels [N] and probabilities [N, K]; more is better."""
DRAWS = 4
HEAD = ["set", "arm", "the best C", "macro-F1", "mean recall", "log-likelihood", "mean log-likelihood of the classes"]


def likelihoods(labels: NDArray[np.int64], given: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log(np.clip(given[np.arange(len(labels)), labels], 1e-7, 1))


SCORES: dict[str, Score] = {
    "macro-F1": lambda labels, given: f1_score(labels, given.argmax(1), average="macro"),
    "mean recall": lambda labels, given: recall_score(labels, given.argmax(1), average="macro"),
    "log-likelihood": lambda labels, given: likelihoods(labels, given).mean(),
    "mean log-likelihood of the classes": lambda labels, given: np.mean(
        [likelihoods(labels, given)[labels == k].mean() for k in np.unique(labels)]
    ),
}


def model(penalty: float) -> LogisticRegression:
    return LogisticRegression(C=penalty, max_iter=300, tol=1e-3)


def found(given: Set, rows: Any, unseen: Any, kept: NDArray[np.int64], *, weighted: bool) -> dict[str, float]:
    """F1 of the rare classes on the test images with the C that each score chooses, and with the best C."""
    labels, groups = given.grid.train.labels[kept], np.asarray(given.grid.groups)[kept]
    mean, scale = rows[kept].mean(0), rows[kept].std(0) + 1e-6
    rows, unseen = (rows[kept] - mean) / scale, (unseen - mean) / scale
    counts = np.bincount(labels)
    weights = (len(labels) / len(counts) / counts)[labels] if weighted else np.ones(len(labels))
    probabilities = np.zeros((len(GRID), len(labels), len(counts)))
    for seen, held_out in StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0).split(rows, labels, groups):
        for index, penalty in enumerate(GRID):
            fitted = model(penalty).fit(rows[seen], labels[seen], sample_weight=weights[seen])
            probabilities[index][np.ix_(held_out, fitted.classes_)] = fitted.predict_proba(rows[held_out])
    answers = [model(penalty).fit(rows, labels, sample_weight=weights).predict(unseen) for penalty in GRID]
    truth, targets = given.held_out.labels, list(given.grid.targets)
    f1 = [f1_score(truth, answer, labels=targets, average="macro") for answer in answers]
    chosen = {name: f1[int(np.argmax([score(labels, p) for p in probabilities]))] for name, score in SCORES.items()}
    return {"the best C": max(f1), **chosen}


def lines(given: Set) -> list[list[str]]:
    features = RememberedFeatures(load_features(FEATURES, device="cpu"))
    train, unseen = features(given.grid.train.pixels), features(given.grid.test)
    labels = given.grid.train.labels
    draws = [np.arange(len(labels))]
    for seed in range(1, DRAWS):
        order = np.random.default_rng(seed).permutation(len(labels))
        of_classes = [order[labels[order] == k] for k in np.unique(labels)]
        draws.append(np.sort(np.concatenate([rows[: max(12, len(rows) * 4 // 5)] for rows in of_classes])))
    out = []
    for arm, weighted in (("real", False), ("class-weights", True)):
        scores = [found(given, train, unseen, draw, weighted=weighted) for draw in draws]
        out.append(
            [given.name, f"`{arm}`", *(f"{np.mean([score[name] for score in scores]):.3f}" for name in HEAD[2:])]
        )
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", metavar="NAME=FOLDER,TARGET+TARGET,SIDE")
    parser.add_argument("--group-by", default=r"([^_/.]+)[_.][^/]*$", help="regular expression of the group in a path")
    parser.add_argument("--write", action="store_true", help=f"rewrite the table of {Path(PAGE).name}")
    a = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # classes of fewer images than folds, and fits that stop early
    table = written(HEAD, [line for given in a.data for line in lines(Set.read(given, a.group_by))])
    print(table)
    if a.write:
        between(PAGE, "penalty", table)


if __name__ == "__main__":
    main()
