"""Euclidean distances between feature sets, in blocks: memory is that of one block, whatever the number of images."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthaug.errors import SynthaugError

Floats = NDArray[np.float64]
BLOCK = 1024


def squared_distances(x: NDArray[Any], y: NDArray[Any]) -> Floats:
    """‖x_i − y_j‖² as [n, m], through one matrix product; rounding below zero is cut off."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    out: Floats = x @ y.T
    out *= -2
    out += np.square(x).sum(1)[:, None]
    out += np.square(y).sum(1)[None, :]
    return np.maximum(out, 0, out=out)


def nearest(
    x: NDArray[Any], y: NDArray[Any], k: int = 1, *, skip_self: bool = False
) -> tuple[Floats, NDArray[np.intp]]:
    """For each row of `x` the k nearest rows of `y`, nearest first.

    Args:
        x: features [n, d].
        y: features [m, d].
        k: neighbours.
        skip_self: `x` is `y`, and a row is no neighbour of itself.

    Returns:
        Distances [n, k] and indices into `y` [n, k].

    Raises:
        SynthaugError: `y` has no k neighbours.
    """
    available = len(y) - int(skip_self)
    if not 1 <= k <= available:
        raise SynthaugError(f"{k} nearest neighbours were asked for among {available} images", "use fewer neighbours")
    shift = np.asarray(y, np.float64).mean(0)  # distances do not change, and their rounding error shrinks
    x, y = np.asarray(x, np.float64) - shift, np.asarray(y, np.float64) - shift
    distances = np.empty((len(x), k))
    indices = np.empty((len(x), k), np.intp)
    for start in range(0, len(x), BLOCK):
        rows = slice(start, start + BLOCK)
        block = squared_distances(x[rows], y)
        if skip_self:
            own = np.arange(start, start + len(block))
            block[np.arange(len(block)), own] = np.inf
        found = np.argpartition(block, k - 1, axis=1)[:, :k]
        values = np.take_along_axis(block, found, 1)
        order = np.argsort(values, axis=1, kind="stable")
        indices[rows] = np.take_along_axis(found, order, 1)
        distances[rows] = np.sqrt(np.take_along_axis(values, order, 1))
    return distances, indices


def mean_pairwise(x: NDArray[Any]) -> float:
    """Mean Euclidean distance over all pairs of different rows of `x` [n, d], n ≥ 2; unbiased at any n."""
    n = len(x)
    if n < 2:
        raise SynthaugError(f"pairwise distances were asked for {n} images", "give at least two")
    shifted = np.asarray(x, np.float64) - np.asarray(x, np.float64).mean(0)
    total = 0.0
    for start in range(0, n, BLOCK):
        block = np.sqrt(squared_distances(shifted[start : start + BLOCK], shifted))
        block[np.arange(len(block)), np.arange(start, start + len(block))] = 0.0  # exactly, not by rounding
        total += float(block.sum())
    return total / (n * (n - 1))
