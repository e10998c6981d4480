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


@dataclass(frozen=True, slots=True)
class Cell:
    """One field: its text, what it means in words, its strength in [0, 1] and its colour."""

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
    """A mistake, or a right answer (`true == predicted`), whose share of a class's images moved."""

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
    """Both arms' matrices and the difference; None where an arm has no matrix of the right shape."""
    counts = [np.asarray(document.arms[arm].confusion, dtype=np.float64) for arm in (before, after)]
    k = len(document.classes)
    if k == 0 or any(c.shape != (k, k) for c in counts):
        return None
    labels, groups = _groups(document, counts[0] + counts[1])
    first, second = (_shares(_merged(c, groups)) for c in counts)
    per_seed = [_merged(c, groups) / max(1, document.seeds) for c in counts]
    matrices = [
        Matrix(title, f"the {arm_name(arm)} arm", labels, _cells(labels, share, images))
        for title, arm, share, images in (
            ("Before", before, first, per_seed[0]),
            ("After", after, second, per_seed[1]),
        )
    ]
    difference = second - first
    matrices.append(
        Matrix("Change", "after − before, in percentage points", labels, _difference_cells(labels, difference))
    )
    targets = {i for i, label in enumerate(labels) if label in document.targets}
    return Comparison(before, after, matrices, _largest_changes(labels, first, second, targets))


def _groups(document: EvaluateDocument, counts: npt.NDArray[np.float64]) -> tuple[list[str], list[list[int]]]:
    """Which classes get a row: all, or the targets and what they are most often confused with."""
    k = len(document.classes)
    if k <= SHOWN:
        return list(document.classes), [[i] for i in range(k)]
    targets = [i for i, c in enumerate(document.classes) if c in document.targets][: SHOWN - 1]
    confused = counts[targets].sum(axis=0) + counts[:, targets].sum(axis=1)
    order = [int(i) for i in np.argsort(-confused, kind="stable") if i not in targets]
    kept = sorted([*targets, *order[: SHOWN - 1 - len(targets)]])
    rest = [i for i in range(k) if i not in kept]
    return [document.classes[i] for i in kept] + [OTHERS], [[i] for i in kept] + [rest]


def _merged(counts: npt.NDArray[np.float64], groups: Sequence[Sequence[int]]) -> npt.NDArray[np.float64]:
    return np.array([[counts[np.ix_(rows, columns)].sum() for columns in groups] for rows in groups])


def _shares(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    totals = counts.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return np.where(totals > 0, counts / totals, np.nan)


def _cells(labels: Sequence[str], shares: npt.NDArray[np.float64], images: npt.NDArray[np.float64]) -> list[list[Cell]]:
    rows = []
    for i, true in enumerate(labels):
        row = []
        for j, predicted in enumerate(labels):
            share = float(shares[i, j])
            if np.isnan(share):
                row.append(Cell("–", f"no test image of {true}", 0.0, "none"))
                continue
            words = f"{true} taken for {predicted}: {100 * share:.1f}% ({images[i, j]:.1f} images a seed)"
            row.append(Cell(_share_text(share), words, round(share, 3), "right" if i == j else "wrong"))
        rows.append(row)
    return rows


def _share_text(share: float) -> str:
    return "" if share == 0 else "·" if share < 0.01 else f"{100 * share:.0f}"


def _difference_cells(labels: Sequence[str], difference: npt.NDArray[np.float64]) -> list[list[Cell]]:
    rows = []
    for i, true in enumerate(labels):
        row = []
        for j, predicted in enumerate(labels):
            d = float(difference[i, j])
            if np.isnan(d) or abs(d) < 0.005:
                text, tone = ("–" if np.isnan(d) else ""), "none"
            else:
                text, tone = f"{100 * d:+.0f}".replace("-", "−"), "gain" if (d > 0) == (i == j) else "loss"
            words = f"{true} taken for {predicted}: {100 * d:+.1f} points".replace("-", "−")
            row.append(Cell(text, words, round(min(1.0, 2 * abs(d)), 3) if tone != "none" else 0.0, tone))
        rows.append(row)
    return rows


def _largest_changes(
    labels: Sequence[str],
    before: npt.NDArray[np.float64],
    after: npt.NDArray[np.float64],
    targets: set[int],
    count: int = 6,
) -> list[Change]:
    """The moves of at least one percentage point that touch a target class, the largest first."""
    moves = [
        (abs(float(after[i, j] - before[i, j])), i, j)
        for i in range(len(labels))
        for j in range(len(labels))
        if (i in targets or j in targets) and abs(float(after[i, j] - before[i, j])) >= 0.01
    ]
    moves.sort(key=lambda move: (-round(move[0], 6), move[1] != move[2], move[1], move[2]))  # right answers first
    return [Change(labels[i], labels[j], float(before[i, j]), float(after[i, j])) for _, i, j in moves[:count]]
