"""Confusion matrices as tables: before, after, and the change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synthaug.documents import EvaluateDocument
from synthaug.evaluation.report.scores import arm_name

SHOWN = 26  # classes; beyond this the rest become one row and one column
OTHERS = "all others"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its text, the same in words, its strength in [0, 1] and its colour."""

    text: str
    words: str
    strength: float
    tone: str


@dataclass(frozen=True, slots=True)
class Matrix:
    title: str
    note: str
    labels: list[str]
    rows: list[list[Cell]]


@dataclass(frozen=True, slots=True)
class Change:
    """The share of a class's images with one prediction, before and after; right if `true == predicted`."""

    true: str
    predicted: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two arms' matrices and their difference, in per cent of each true class's test images."""

    before: str
    after: str
    matrices: list[Matrix]
    changes: list[Change]


def compare(document: EvaluateDocument, before: str, after: str) -> Comparison | None:
    """Both arms' matrices and the difference; None if an arm has no matrix of the right shape."""
    counts = [np.asarray(document.arms[arm].confusion, dtype=np.float64) for arm in (before, after)]
    k = len(document.classes)
    if k == 0 or any(c.shape != (k, k) for c in counts):
        return None
    labels, groups = _groups(document, counts[0] + counts[1])
    first, second = (_shares(_merged(c, groups)) for c in counts)
    per_seed = [_merged(c, groups) / max(1, document.seeds) for c in counts]
    size = range(len(labels))
    matrices = []
    for title, arm, share, images in (("Before", before, first, per_seed[0]), ("After", after, second, per_seed[1])):
        cells = [[_cell(labels, i, j, share, images) for j in size] for i in size]
        matrices.append(Matrix(title, f"the {arm_name(arm)} arm", labels, cells))
    changed = [[_change(labels, i, j, second - first) for j in size] for i in size]
    matrices.append(Matrix("Change", "after − before, in percentage points", labels, changed))
    targets = {i for i, label in enumerate(labels) if label in document.targets}
    return Comparison(before, after, matrices, _largest_changes(labels, first, second, targets))


def _groups(document: EvaluateDocument, counts: Floats) -> tuple[list[str], list[list[int]]]:
    """The classes that get a row: all, or the targets and the classes they are most often confused with."""
    k = len(document.classes)
    if k <= SHOWN:
        return list(document.classes), [[i] for i in range(k)]
    targets = [i for i, c in enumerate(document.classes) if c in document.targets][: SHOWN - 1]
    confused = counts[targets].sum(axis=0) + counts[:, targets].sum(axis=1)
    order = [int(i) for i in np.argsort(-confused, kind="stable") if i not in targets]
    kept = sorted([*targets, *order[: SHOWN - 1 - len(targets)]])
    rest = [i for i in range(k) if i not in kept]
    return [document.classes[i] for i in kept] + [OTHERS], [[i] for i in kept] + [rest]


def _merged(counts: Floats, groups: Sequence[Sequence[int]]) -> Floats:
    return np.array([[counts[np.ix_(rows, columns)].sum() for columns in groups] for rows in groups])


def _shares(counts: Floats) -> Floats:
    totals = counts.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return np.where(totals > 0, counts / totals, np.nan)


def _cell(labels: Sequence[str], i: int, j: int, shares: Floats, images: Floats) -> Cell:
    share = float(shares[i, j])
    if np.isnan(share):
        return Cell("–", f"no test image of {labels[i]}", 0.0, "none")
    words = f"{labels[i]} taken for {labels[j]}: {100 * share:.1f}% ({images[i, j]:.1f} images per seed)"
    text = "" if share == 0 else "·" if share < 0.01 else f"{100 * share:.0f}"
    return Cell(text, words, round(share, 3), "right" if i == j else "wrong")


def _change(labels: Sequence[str], i: int, j: int, difference: Floats) -> Cell:
    d = float(difference[i, j])
    words = f"{labels[i]} taken for {labels[j]}: {100 * d:+.1f} points".replace("-", "−")
    if np.isnan(d) or abs(d) < 0.005:
        return Cell("–" if np.isnan(d) else "", words, 0.0, "none")
    tone = "gain" if (d > 0) == (i == j) else "loss"
    return Cell(f"{100 * d:+.0f}".replace("-", "−"), words, round(min(1.0, 2 * abs(d)), 3), tone)


def _largest_changes(labels: Sequence[str], before: Floats, after: Floats, targets: set[int]) -> list[Change]:
    """Up to six changes of a percentage point or more in the row or column of a target class, the largest first."""
    moves = [
        (abs(float(after[i, j] - before[i, j])), i, j)
        for i in range(len(labels))
        for j in range(len(labels))
        if (i in targets or j in targets) and abs(float(after[i, j] - before[i, j])) >= 0.01
    ]
    moves.sort(key=lambda move: (-round(move[0], 6), move[1] != move[2], move[1], move[2]))  # right answers first
    return [Change(labels[i], labels[j], float(before[i, j]), float(after[i, j])) for _, i, j in moves[:6]]
