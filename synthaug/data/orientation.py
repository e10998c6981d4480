"""Do the classes of a folder survive mirroring? A classifier of the real images decides.

It is trained on images as they are, and tested on others, as they are and mirrored. If it recognises mirrored images as
well, mirroring them leaves their class; digits, arrows and text it does not. The classifier is kernel ridge regression
on histograms of oriented gradients (Dalal and Triggs, CVPR 2005), which see left and right. Features of a net that was
trained with mirrored images would not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.stats import binomtest, norm

from synthaug.data.duplicates import CHROMA_SIDE, LOOK

Floats = NDArray[np.float32]

MOST = 2000
"""Images that are looked at; the test then takes a second or two."""
FEWEST = 60
FOLDS = 5
MARGIN = 0.05
"""Mirroring may cost at most so much balanced accuracy, by the lower end of a 95% interval."""
LOST = 0.1
"""A class is lost if so much of it is no longer recognised, and clearly so."""
SKILL = 0.3
"""Below this part of the way from chance to perfect, the classifier sees too little to judge."""
BINS, CELLS = 8, 8
RIDGE = 0.02


@dataclass(frozen=True, slots=True)
class MirrorTest:
    """Balanced accuracy on held-out images, and on their mirror images; `low` to `high` is the change, 95%.

    `classes` are those that the classifier clearly loses, each by a sign test with Bonferroni's correction.
    """

    plain: float
    mirrored: float
    low: float
    high: float
    skilled: bool
    classes: tuple[str, ...] = ()

    @property
    def survives(self) -> bool:
        return self.skilled and self.low >= -MARGIN and not self.classes


def mirror_test(
    thumbnails: NDArray[np.uint8],
    labels: NDArray[np.str_],
    groups: NDArray[np.integer],
    rows: NDArray[np.intp] | None = None,
) -> MirrorTest | None:
    """Test whether classes survive mirroring; None with fewer than two classes or 60 images.

    Args:
        thumbnails: uint8 [M, 1056], see `duplicates.make_thumbnails`.
        labels: class name of each image [N].
        groups: group number of each [N]; images of a group are not divided between training and test.
        rows: the thumbnail of each image [N]; None: N = M.
    """
    rng = np.random.default_rng(0)
    names, of = np.unique(labels, return_inverse=True)
    chosen = _chosen(of, rng)
    of, numbers = of[chosen], np.unique(groups[chosen], return_inverse=True)[1]
    if len(names) < 2 or len(chosen) < FEWEST:
        return None
    small = thumbnails[chosen if rows is None else rows[chosen]]
    luminance = small[:, : LOOK * LOOK].reshape(-1, LOOK, LOOK).astype(np.float32)
    chroma = small[:, LOOK * LOOK :].reshape(-1, 2, CHROMA_SIDE, CHROMA_SIDE).astype(np.float32)
    plain = _features(luminance, chroma)
    kernels = _kernels([plain, plain[:, _MIRRORED]], plain)
    fold = _folds(of, numbers, rng)
    right = np.zeros((2, len(of)), bool)
    for number in range(FOLDS):
        seen, held_out = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        duals = _ridge(kernels[0][np.ix_(seen, seen)], of[seen], len(names))
        for correct, kernel in zip(right, kernels, strict=True):
            correct[held_out] = (kernel[np.ix_(held_out, seen)] @ duals).argmax(axis=1) == of[held_out]
    return _judged(right, of, numbers, names)


def _chosen(of: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """Up to `MOST` images: of large classes a part, of small ones all, so that rare classes count."""
    order = rng.permutation(len(of))
    rank = np.zeros(len(of), np.intp)
    for label in np.unique(of):
        rank[order[of[order] == label]] = np.arange((of == label).sum())
    return np.sort(np.argsort(rank, kind="stable")[:MOST])


def _folds(of: NDArray[np.intp], groups: NDArray[np.intp], rng: np.random.Generator) -> NDArray[np.intp]:
    """The fold of each image: group by group, the largest first, where the classes of the group are rarest."""
    parts = np.zeros((groups.max() + 1, of.max() + 1))
    np.add.at(parts, (groups, of), 1 / np.bincount(of)[of])
    loads, fold = np.zeros((FOLDS, parts.shape[1])), np.zeros(len(parts), np.intp)
    order = rng.permutation(len(parts))
    for group in order[np.argsort(-parts[order].sum(axis=1), kind="stable")]:
        fold[group] = (loads @ parts[group]).argmin()
        loads[fold[group]] += parts[group]
    return fold[groups]


def _judged(
    right: NDArray[np.bool_], of: NDArray[np.intp], groups: NDArray[np.intp], names: NDArray[np.str_]
) -> MirrorTest:
    counts = np.bincount(of, minlength=len(names))
    weights = 1 / (counts[of] * len(names))
    accuracy = right @ weights
    change = right[1].astype(float) - right[0]
    spread = 1.96 * np.sqrt(np.square(np.bincount(groups, weights * change)).sum())
    error = np.sqrt(np.square(np.bincount(groups, weights * (right[0] - accuracy[0]))).sum())
    least = accuracy[0] - norm.ppf(0.95) * error
    lost = []
    for k, name in enumerate(names.tolist()):
        losses, gains = int((change[of == k] < 0).sum()), int((change[of == k] > 0).sum())
        if (
            losses - gains > LOST * counts[k]
            and binomtest(losses, losses + gains, 0.5, "greater").pvalue * len(names) < 0.05
        ):
            lost.append(name)
    moved = float(accuracy[1] - accuracy[0])
    return MirrorTest(
        plain=float(accuracy[0]), mirrored=float(accuracy[1]), low=float(moved - spread), high=float(moved + spread),
        skilled=bool(least >= 1 / len(names) + SKILL * (1 - 1 / len(names))),
        classes=tuple(lost),
    )  # fmt: skip


def _kernels(sets: list[Floats], plain: Floats) -> list[Floats]:
    """exp(−distance² ÷ width) between the images of each set and the plain ones; the width is their median."""
    squares = [_squares(rows, plain) for rows in sets]
    width = max(float(np.median(squares[0])), 1e-6)
    return [np.exp(-apart / width) for apart in squares]


def _ridge(kernel: Floats, of: NDArray[np.intp], classes: int) -> NDArray[np.float64]:
    """The dual weights of kernel ridge regression onto class indicators; every class weighs the same."""
    weights = len(of) / (classes * np.bincount(of, minlength=classes)[of])
    filled = kernel.astype(np.float64)
    filled[np.diag_indices(len(of))] += RIDGE / weights
    factor = cho_factor(filled, overwrite_a=True, check_finite=False)
    duals: NDArray[np.float64] = cho_solve(factor, np.eye(classes)[of] - 1 / classes, check_finite=False)
    return duals


def _squares(first: Floats, second: Floats) -> Floats:
    products = np.square(first).sum(axis=1)[:, None] + np.square(second).sum(axis=1) - 2 * first @ second.T
    squares: Floats = np.maximum(products, 0)
    return squares


def _mirrored() -> NDArray[np.intp]:
    """Where each feature of a mirrored image stands among those of the image. An edge to the right points left then."""
    cells = CELLS * CELLS
    histograms = np.arange(cells * BINS).reshape(CELLS, CELLS, BINS)[:, ::-1, (BINS // 2 - np.arange(BINS)) % BINS]
    small = np.arange(cells).reshape(CELLS, CELLS)[:, ::-1] + cells * BINS
    colour = np.arange(2 * CHROMA_SIDE**2).reshape(2, CHROMA_SIDE, CHROMA_SIDE)[..., ::-1] + cells * (BINS + 1)
    return np.concatenate([histograms.ravel(), small.ravel(), colour.ravel(), [cells * (BINS + 1) + colour.size]])


_MIRRORED = _mirrored()


def _features(luminance: Floats, chroma: Floats) -> Floats:
    """Histograms of oriented gradients in 8 × 8 cells, luminance at 8 × 8 and colour at 4 × 4, [N, 609]."""
    count, step = len(luminance), LOOK // CELLS
    down, right = np.gradient(luminance, axis=(1, 2))
    size, turn = np.hypot(right, down), np.arctan2(down, right) * (BINS / (2 * np.pi)) % BINS
    lower = np.floor(turn).astype(np.intp) % BINS
    share = turn - np.floor(turn)
    cell = np.arange(LOOK) // step
    place = (np.arange(count)[:, None, None] * CELLS + cell[:, None]) * CELLS + cell
    histograms = np.zeros(count * CELLS * CELLS * BINS, np.float64)
    for bin_, weight in ((lower, size * (1 - share)), ((lower + 1) % BINS, size * share)):
        histograms += np.bincount((place * BINS + bin_).ravel(), weight.ravel(), len(histograms))
    small = luminance.reshape(count, CELLS, step, CELLS, step).mean((2, 4)).reshape(count, -1)
    colour = np.concatenate([chroma.reshape(count, -1) - 128, small.mean(axis=1, keepdims=True) - 128], axis=1) / 100
    parts = [_unit(np.sqrt(histograms.reshape(count, -1))), 0.5 * _unit(small - small.mean(axis=1, keepdims=True))]
    return np.concatenate([*parts, 0.5 * colour], axis=1).astype(np.float32)


def _unit(rows: NDArray[np.floating]) -> NDArray[np.floating]:
    unit: NDArray[np.floating] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return unit
