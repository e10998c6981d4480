"""Euclidean distances between feature sets, in tiles: for any number of images, memory is that of one tile.

Large products run in single precision, which is twice as fast. If two distances, or a distance and a radius, are closer
together than the rounding error, they are computed again in double precision. So the answers are those of double
precision.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthaug.errors import SynthaugError

Array = NDArray[Any]
Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
BLOCK = 2048
"""Rows and columns of a tile."""
SMALL = 1 << 18
"""Up to so many products are computed in double precision."""
_SPARE = 3
"""Candidates beyond the k nearest, in case rounding has changed the order."""
_ROUNDING = 4e-6
"""Bound on the error of a squared distance in single precision, ÷ the sum of the two squared lengths. The largest of
10⁷ errors at 1,280 dimensions was a tenth of it."""
_ROUNDING_DOUBLE = 1e-13
"""The same in double precision: 1,280 numbers × half a unit in the last place."""
_PAIRS = 1024


def bands(n: int) -> list[slice]:
    """The rows 0 to n in pieces of `BLOCK`."""
    return [slice(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK)]


def squared_distances(x: Array, y: Array) -> Floats:
    """‖x_i − y_j‖² as [n, m], from one matrix product. Values below the rounding error are set to 0."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    of_x, of_y = np.square(x).sum(1)[:, None], np.square(y).sum(1)[None, :]
    out: Floats = x @ y.T
    out *= -2
    out += of_x
    out += of_y
    out[out < _ROUNDING_DOUBLE * (of_x.max(initial=0) + of_y.max(initial=0))] = 0
    return out


def squared_distances_of_pairs(x: Array, y: Array, i: Indices, j: Indices) -> Floats:
    """‖x_i − y_j‖² of single pairs of rows, exact to the last digits; float64 [len(i)]."""
    out = np.empty(len(i))
    for start in range(0, len(i), _PAIRS):
        some = slice(start, start + _PAIRS)
        out[some] = np.square(np.subtract(x[i[some]], y[j[some]], dtype=np.float64)).sum(1)
    return out


@dataclass(frozen=True, slots=True)
class Tile:
    """Squared distances of some rows to some columns, and a bound on their rounding error."""

    rows: slice
    columns: slice
    squared: Array
    """float32 or float64 [rows, columns]."""
    error: Array
    """[rows, 1]: bound on the rounding error."""


def strips(
    x: Array, y: Array, dtype: type[np.floating[Any]] | None = None, *, upper: bool = False
) -> Iterator[Iterator[Tile]]:
    """All squared distances of `x` [n, d] to `y` [m, d]: for each band of rows its tiles, one after the other.

    Args:
        x: features; like `y` read piece by piece, never copied as a whole.
        y: features.
        dtype: precision; None: single for more than `SMALL` distances.
        upper: `x` is `y`, and the tiles below the diagonal, which mirror those above it, are left out.
    """
    chosen = dtype or precision(len(x), len(y))
    shift = y.mean(0, dtype=np.float64)  # distances do not change, and their rounding error shrinks
    if x.dtype == y.dtype == np.float32 and chosen is np.float32:
        shift = shift.astype(np.float32)
    lengths = np.concatenate([_centred(y, columns, shift, chosen)[1] for columns in bands(len(y))])
    for rows in bands(len(x)):
        columns = [part for part in bands(len(y)) if not upper or part.start >= rows.start]
        yield _strip(rows, columns, _centred(x, rows, shift, chosen), y, shift, lengths)


def precision(n: int, m: int) -> type[np.floating[Any]]:
    """The type in which n × m products are computed."""
    return np.float64 if n * m <= SMALL else np.float32


def nearest(x: Array, y: Array, k: int = 1, *, skip_self: bool = False) -> tuple[Floats, Indices]:
    """For each row of `x` [n, d] the k nearest rows of `y` [m, d], nearest first; of equally near ones the first.

    With `skip_self`, `x` is `y`, and a row is no neighbour of itself.

    Returns:
        Distances [n, k] and indices into `y` [n, k].

    Raises:
        SynthaugError: `y` has no k neighbours.
    """
    available = len(y) - int(skip_self)
    if not 1 <= k <= available:
        raise SynthaugError(f"{k} nearest neighbours were asked for among {available} images", "use fewer neighbours")
    x, y = np.asarray(x), np.asarray(y)
    own = np.arange(len(x)) if skip_self else None
    tiles = strips(x, y, precision(len(x), len(y)), upper=skip_self)
    distances, indices, sure = _nearest(x, y, k, own, tiles, mirrored=skip_self)
    if not sure.all():
        again = np.flatnonzero(~sure)
        some, them = x[again], None if own is None else own[again]
        distances[again], indices[again], _ = _nearest(some, y, k, them, strips(some, y, np.float64))
    return distances, indices


def _nearest(
    x: Array, y: Array, k: int, own: Indices | None, tiles: Iterator[Iterator[Tile]], *, mirrored: bool = False
) -> tuple[Floats, Indices, NDArray[np.bool_]]:
    """Distances, indices, and whether rounding cannot hide a nearer row. `mirrored`: only upper tiles are given."""
    distances, indices = np.empty((len(x), k)), np.empty((len(x), k), np.intp)
    sure = np.ones(len(x), bool)
    best: dict[int, tuple[Array, Indices]] = {}  # first row of a band → values and columns of its nearest so far
    for strip in tiles:
        for tile in strip:
            rows, columns = tile.rows, tile.columns
            if own is not None:
                here = own[rows] - columns.start
                inside = np.flatnonzero((here >= 0) & (here < tile.squared.shape[1]))
                tile.squared[inside, here[inside]] = np.inf
            best[rows.start] = _merged(best.get(rows.start), tile.squared, columns.start, k + _SPARE)
            if mirrored and columns != rows:
                best[columns.start] = _merged(best.get(columns.start), tile.squared.T, rows.start, k + _SPARE)
            error = tile.error
        values, candidates = best.pop(rows.start)  # its mirrored tiles came before
        count = candidates.shape[1]
        exact = squared_distances_of_pairs(
            x[rows], y, np.repeat(np.arange(len(values)), count), candidates.ravel()
        ).reshape(values.shape)
        exact[np.isinf(values)] = np.inf
        order = np.lexsort((candidates, exact), axis=1)[:, :k]
        exact, indices[rows] = np.take_along_axis(exact, order, 1), np.take_along_axis(candidates, order, 1)
        distances[rows] = np.sqrt(exact)
        if count < len(y):
            sure[rows] = exact[:, -1] <= values.max(1) - error[:, 0]
    return distances, indices, sure


def _merged(before: tuple[Array, Indices] | None, squared: Array, start: int, count: int) -> tuple[Array, Indices]:
    """The `count` smallest values of each row, among those of `before` and new columns from `start` on."""
    found = _smallest(squared, count)
    nearer, found = np.take_along_axis(squared, found, 1), found + start
    if before is not None:
        nearer, found = np.hstack([before[0], nearer]), np.hstack([before[1], found])
        kept = _smallest(nearer, count)
        nearer, found = np.take_along_axis(nearer, kept, 1), np.take_along_axis(found, kept, 1)
    return nearer, found


def _centred(x: Array, rows: slice, shift: Array, dtype: type[np.floating[Any]]) -> tuple[Array, Floats]:
    """Rows of `x` minus `shift`, and their squared lengths."""
    part = np.subtract(x[rows], shift).astype(dtype, copy=False)
    return part, np.einsum("ij,ij->i", part, part).astype(np.float64)


def _strip(
    rows: slice, parts: Sequence[slice], centred: tuple[Array, Floats], y: Array, shift: Array, lengths: Floats
) -> Iterator[Tile]:
    part, own = centred
    error = (own + lengths.max())[:, None] * (_ROUNDING if part.dtype == np.float32 else 1e-14)
    for columns in parts:
        squared = part @ _centred(y, columns, shift, part.dtype.type)[0].T
        squared *= -2
        squared += own[:, None].astype(part.dtype)
        squared += lengths[None, columns].astype(part.dtype)
        yield Tile(rows, columns, squared, error.astype(part.dtype))


def _smallest(values: Array, count: int) -> Indices:
    """Columns of the `count` smallest values of each row, in any order; all columns if there are no more."""
    if count >= values.shape[1]:
        return np.broadcast_to(np.arange(values.shape[1]), values.shape)
    return np.argpartition(values, count - 1, axis=1)[:, :count]
