"""Copies of images that were mirrored, moved, turned, cropped, brightened or recompressed: found by alignment.

1. *Search*. The central window of an image, at 6 × 6 pixels, is compared with windows of every other image at 43 shifts
   and sizes, and so is its mirror image. The 32 nearest images are its neighbours.
2. *Alignment*. The nearest neighbours are aligned with it by an affine map, a gain and an offset: Gauss-Newton in the
   inverse compositional form (Lucas and Kanade 1981; Baker and Matthews, IJCV 56(3), 2004). What remains is the
   residual 1 − ρ², where ρ is the correlation over all inner pixels that both show.
3. *Decision*. An image is a copy if its residual is below `NEAR` × a typical one: that of images which are neighbours,
   but not the nearest ones, or less where the image's own neighbours are nearer. So similar photographs of one kind
   raise no alarm, and up to 15 copies of one image hide nothing.

docs/science/leaks.md shows which copies are found, and how often other images are taken for copies.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from synthaug.data.colour import CHROMA, LUMINANCE
from synthaug.data.duplicates import CHROMA_SIDE, FLATNESS, LOOK, SIDE

Floats = NDArray[np.float32]
Indices = NDArray[np.intp]
Planes = NDArray[np.float32]
"""Luminance, or luminance and two planes of chroma: [N, 1 or 3, S, S] in grey levels."""

NEAR = 0.1
"""The residual of a copy is below this part of a typical residual."""
SUSPICIOUS = 0.6
"""An image is aligned only with neighbours nearer than this part of the distance to its farther neighbours."""
LARGEST = 32  # side of the images that are aligned
NEIGHBOURS = 32
SEARCHED = 43  # of the maps are tried to find the neighbours; all are tried to find the nearest of them
ALIGNED = 4
FEWEST = 6
"""With fewer images to compare with, there is no typical distance and nothing is found."""
CALIBRATING = 64  # images that the typical residual is measured on
WINDOW, CELLS = 0.78, 6  # side of the central window, as part of the image's; pixels a side that it is reduced to
STEPS = 6
BLUR = 1.0  # standard deviation in pixels, so that interpolation changes little
TURN = np.deg2rad(5)
COMPARED = 0.9  # of both sides of an image; the corners of a turned picture are filled with anything
LEAST_OVERLAP = 0.6  # of all pixels
LARGEST_CHANGE = 0.35  # of any number of the map from the identity: shifts by a sixth of the side, for example
_BLOCK = 256
_PAIRS = 512
_CHROMA_WEIGHT = 0.5  # JPEG keeps little of the chroma of a small image


@dataclass(frozen=True, slots=True)
class Pairs:
    """Copies: image `queries[i]` copies image `images[i]`; `nearness` is its residual ÷ the limit, below 1."""

    queries: Indices
    images: Indices
    nearness: Floats


def planes_of(pixels: NDArray[np.uint8]) -> Planes:
    """Planes of images uint8 [N, C, S, S], C 1 or 3; sides above 32 are reduced to 32 by averaging."""
    side = pixels.shape[-1]
    shrink = _averaging(side, min(side, LARGEST))
    weights = np.array([LUMINANCE, *CHROMA], np.float32)
    cells = _averaging(side, CHROMA_SIDE)
    coarse = (cells > 0).T.astype(np.float32) @ cells
    made = np.empty((len(pixels), pixels.shape[1], len(shrink), len(shrink)), np.float32)
    for start in range(0, len(pixels), _BLOCK):
        some = pixels[start : start + _BLOCK].astype(np.float32)
        if some.shape[1] == 3:
            some = np.einsum("pc,nchw->nphw", weights, some)
            some[:, 1:] = _CHROMA_WEIGHT * (coarse @ some[:, 1:] @ coarse.T)
        made[start : start + _BLOCK] = shrink @ some @ shrink.T
    return made


def planes_of_thumbnails(thumbnails: NDArray[np.uint8]) -> Planes:
    """Planes [N, 3, 32, 32] of thumbnails (`duplicates.make_thumbnails`)."""
    rows = thumbnails.astype(np.float32)
    chroma, times = rows[:, LOOK * LOOK :].reshape(-1, 2, CHROMA_SIDE, CHROMA_SIDE), LOOK // CHROMA_SIDE
    luminance = rows[:, : LOOK * LOOK].reshape(-1, 1, LOOK, LOOK)
    chroma = (chroma - 128) * np.float32(_CHROMA_WEIGHT)
    return np.concatenate([luminance, chroma.repeat(times, axis=2).repeat(times, axis=3)], axis=1)


def _nothing(_: float) -> None:
    """Nobody wants to know."""


class CopySearch:
    """Images [M] to find copies of.

    Args:
        images: their planes.
        groups: group number of each [M]; images of one group are known to be alike, and tell nothing about what is
            typical. None: each image is a group.
    """

    def __init__(self, images: Planes, groups: NDArray[np.integer] | None = None) -> None:
        self.groups = np.arange(len(images)) if groups is None else groups
        self._images = _blurred(images)
        self._usable = ~_is_flat(images)
        small = _reduced(images)
        self._views = [_unit(small @ window.T) for window in _windows(_maps())]
        self._typical, self._spacing = np.float32(0), np.float32(0)
        rows = np.random.default_rng(0).permutation(np.flatnonzero(self._usable))[:CALIBRATING]
        if len(rows):
            self._calibrate(images[rows], self.groups[rows])

    def _calibrate(self, queries: Planes, groups: NDArray[np.integer]) -> None:
        """Measure what is typical of neighbours which are not the nearest."""
        near = self._search(queries, groups)
        rows, places = np.nonzero(near.columns[:, NEIGHBOURS // 2 :: 4] >= 0)
        if len(rows):
            self._typical = np.float32(np.median(self._residuals(queries, near, rows, NEIGHBOURS // 2 + 4 * places)))
            self._spacing = np.float32(np.median(near.spacing[np.isfinite(near.spacing)]))

    def copies(
        self, queries: Planes, groups: NDArray[np.integer] | None = None, searched: Callable[[float], None] = _nothing
    ) -> Pairs:
        """The pairs of a query and an image that it copies, the nearest first.

        Args:
            queries: planes [N] of the size of the images.
            groups: [N]; a query is not compared with images of its own group. None: compare with all.
            searched: gets how many queries more are done.
        """
        found = [(np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0, np.float32))]
        for start in range(0, len(queries) if self._typical > 0 else 0, _BLOCK):
            block = queries[start : start + _BLOCK]
            near = self._search(block, None if groups is None else groups[start : start + _BLOCK])
            suspicious = near.distances[:, :ALIGNED] < SUSPICIOUS * near.spacing[:, None]
            rows, places = np.nonzero(suspicious & (near.columns[:, :ALIGNED] >= 0))
            limits = NEAR * self._typical * np.minimum(near.spacing[rows] / self._spacing, 1)
            quotient = self._residuals(block, near, rows, places) / limits
            below = quotient < 1
            found.append(((rows + start)[below], near.columns[rows, places][below], quotient[below]))
            searched(len(block))
        rows, columns, nearness = (np.concatenate(parts) for parts in zip(*found, strict=True))
        order = np.argsort(nearness, kind="stable")
        return Pairs(rows[order], columns[order], nearness[order])

    def _search(self, queries: Planes, groups: NDArray[np.integer] | None) -> _Near:
        """The neighbours of each query, nearest first, over all shifts, sizes and turns."""
        looks = _looks(queries)
        upright = looks[:, :, 0].swapaxes(0, 1).reshape(2 * len(queries), -1)
        best = np.full((len(upright), len(self._usable)), -1, np.float32)
        for view in self._views[:SEARCHED]:
            np.maximum(best, upright @ view.T, out=best)
        plain, mirrored = best.reshape(2, len(queries), -1)
        similar = np.maximum(plain, mirrored)
        similar[_is_flat(queries)] = -1
        similar[:, ~self._usable] = -1
        if groups is not None:
            similar[groups[:, None] == self.groups[None]] = -1
        rows, count = np.arange(len(queries))[:, None], min(NEIGHBOURS, similar.shape[1])
        columns = np.argpartition(-similar, count - 1, axis=1)[:, :count]
        flip = mirrored[rows, columns] > plain[rows, columns]
        valid = similar[rows, columns] > 0
        valid &= valid.sum(axis=1, keepdims=True) >= FEWEST
        row, place = np.nonzero(valid)
        distances, maps = np.full(columns.shape, np.inf, np.float32), np.zeros((*columns.shape, 2, 3), np.float32)
        sides = flip[row, place].astype(np.intp)
        distances[row, place], maps[row, place] = self._nearest(looks[row, sides], columns[row, place])
        order = np.argsort(distances, axis=1, kind="stable")
        distances, columns, flip, maps = (
            distances[rows, order],
            columns[rows, order],
            flip[rows, order],
            maps[rows, order],
        )
        spacing = np.full(len(queries), np.inf, np.float32)
        for query in np.flatnonzero(valid.any(axis=1)):
            known = distances[query, : valid[query].sum()]
            spacing[query] = np.median(known[len(known) // 2 :])
        return _Near(np.where(np.isfinite(distances), columns, -1), flip, maps, distances, spacing)

    def _nearest(self, looks: Floats, columns: Indices) -> tuple[Floats, Floats]:
        """Distance of looks [P, 3, d] to the images `columns` [P] at the best map, and that map [P, 2, 3]."""
        similar, which = np.full(len(looks), -1, np.float32), np.zeros((len(looks), 2), np.intp)
        for number, view in enumerate(self._views):
            values = np.einsum("ptd,pd->pt", looks, view[columns])
            turn = values.argmax(axis=1)
            value = values[np.arange(len(values)), turn]
            better = value > similar
            similar[better] = value[better]
            which[better, 0], which[better, 1] = number, turn[better]
        views, turns = np.stack(_maps())[which[:, 0]], np.stack(_turns())[which[:, 1]]
        return 1 - similar, _composed(views, turns)

    def _residuals(self, queries: Planes, near: _Near, rows: Indices, places: Indices) -> Floats:
        """What remains after aligning query `rows[i]` with its neighbour at `places[i]`, [P]."""
        blurred, found = _blurred(queries), np.empty(len(rows), np.float32)
        for start in range(0, len(rows), _PAIRS):
            row, place = rows[start : start + _PAIRS], places[start : start + _PAIRS]
            flip = near.mirrored[row, place][:, None, None, None]
            first = np.where(flip, blurred[row][..., ::-1], blurred[row])
            second = self._images[near.columns[row, place]]
            found[start : start + _PAIRS] = residuals(first, second, near.maps[row, place])
        return found


@dataclass(frozen=True, slots=True)
class _Near:
    """Neighbours [N, K]: images, −1 where there is none; whether the query is mirrored; the best map [N, K, 2, 3].

    `spacing` [N] is the median distance of the farther half.
    """

    columns: Indices
    mirrored: NDArray[np.bool_]
    maps: Floats
    distances: Floats
    spacing: Floats


def residuals(first: Planes, second: Planes, maps: Floats) -> Floats:
    """1 − ρ² of each pair after alignment, [P]; 1 where it fails.

    Args:
        first, second: planes [P, C, S, S]; the luminance is aligned, all planes are compared.
        maps: where the alignment begins, [P, 2, 3]; see `_grid` for the units.
    """
    count, _, side, _ = first.shape
    u, v = _grid(side)
    template = first[:, 0].reshape(count, -1)
    down, right = np.gradient(first[:, 0], axis=(1, 2))
    slopes = [d.reshape(count, -1) * np.float32(side / 2) for d in (right, down)]
    columns = [slope * unit for slope in slopes for unit in (u, v, np.float32(1))]
    jacobian = np.stack([*columns, template, np.ones_like(template)], axis=1)
    hessian = (jacobian @ jacobian.transpose(0, 2, 1)).astype(np.float64)
    diagonal = np.einsum("pii->pi", hessian)
    diagonal += 1e-3 * diagonal[:, :6].mean(axis=1, keepdims=True) + 1e-6
    inverse = np.linalg.inv(hessian).astype(np.float32)
    found = np.ones(count, np.float32)
    for step in range(STEPS + 1):
        sampled, inside = _sampled(second, maps)
        found = np.where(_allowed(maps, inside), np.minimum(found, _uncorrelated(first, sampled, inside)), found)
        if step == STEPS:
            return found
        error = _matched(template, sampled[:, 0], inside)
        change = np.einsum("pij,pjn,pn->pi", inverse, jacobian, error, optimize=True)[:, :6].clip(-0.2, 0.2)
        maps = _composed(maps, _IDENTITY + change.reshape(-1, 2, 3))
    return found


def _allowed(maps: Floats, inside: Floats) -> NDArray[np.bool_]:
    near = np.abs(maps - _IDENTITY).max(axis=(1, 2)) <= LARGEST_CHANGE
    allowed: NDArray[np.bool_] = near & (inside.mean(axis=1) >= LEAST_OVERLAP)
    return allowed


def _matched(template: Floats, sampled: Floats, inside: Floats) -> Floats:
    """The difference of `sampled` and `template` after the best gain and offset; 0 outside."""
    a, b = (x - _mean(x, inside) for x in (template, sampled))
    gain = (a * b * inside).sum(axis=1) / np.maximum((b * b * inside).sum(axis=1), 1e-6)
    difference: Floats = (gain[:, None] * b - a) * inside
    return difference


def _uncorrelated(first: Planes, sampled: Floats, inside: Floats) -> Floats:
    """1 − ρ² over all planes, each around its own mean; 1 where the correlation is negative."""
    products = np.zeros((3, len(first)), np.float32)
    for plane in range(first.shape[1]):
        a, b = first[:, plane].reshape(len(first), -1), sampled[:, plane]
        a, b = ((x - _mean(x, inside)) * inside for x in (a, b))
        products += np.stack([(a * b).sum(axis=1), (a * a).sum(axis=1), (b * b).sum(axis=1)])
    rho = products[0] / np.sqrt(np.maximum(products[1] * products[2], 1e-6))
    uncorrelated: Floats = np.where(rho > 0, 1 - rho**2, 1).astype(np.float32)
    return uncorrelated


def _mean(values: Floats, inside: Floats) -> Floats:
    mean: Floats = (values * inside).sum(axis=1, keepdims=True) / np.maximum(inside.sum(axis=1, keepdims=True), 1)
    return mean


def _sampled(images: Planes, maps: Floats) -> tuple[Floats, Floats]:
    """Bilinear samples [P, C, n] of images at the mapped pixels, and which of these lie inside, [P, n] of 0 and 1."""
    count, channels, side, _ = images.shape
    u, v = _grid(side)
    x, y = ((maps[:, k, :1] * u + maps[:, k, 1:2] * v + maps[:, k, 2:]) * (side / 2) + (side - 1) / 2 for k in (0, 1))
    inside = (np.abs(x - (side - 1) / 2) <= side / 2) & (np.abs(y - (side - 1) / 2) <= side / 2)
    inside &= (np.maximum(np.abs(u), np.abs(v)) <= COMPARED)[None]
    x, y = (np.clip(np.nan_to_num(p), 0, side - 1.001) for p in (x, y))
    left, top = x.astype(np.int32), y.astype(np.int32)
    x, y = x - left, y - top
    flat = images.reshape(count, channels, -1)
    at = np.broadcast_to((top * side + left)[:, None], (count, channels, side * side))
    corners = [np.take_along_axis(flat, at + offset, axis=2) for offset in (0, 1, side, side + 1)]
    x, y = x[:, None].astype(np.float32), y[:, None].astype(np.float32)
    upper, lower = (a + (b - a) * x for a, b in (corners[:2], corners[2:]))
    return upper + (lower - upper) * y, inside.astype(np.float32)


_IDENTITY = np.eye(2, 3, dtype=np.float32)


def _composed(maps: Floats, change: Floats) -> Floats:
    """The map `maps` after the inverse of `change`, [P, 2, 3]."""
    turn = np.linalg.inv(change[:, :, :2].astype(np.float64)).astype(np.float32)
    made = np.empty_like(maps)
    made[:, :, :2] = maps[:, :, :2] @ turn
    made[:, :, 2:] = maps[:, :, 2:] - made[:, :, :2] @ change[:, :, 2:]
    return made


@cache
def _grid(side: int) -> tuple[Floats, Floats]:
    """Coordinates [n] of an image's pixels, right and down; its borders are at −1 and 1."""
    places = ((np.arange(side) * 2 + 1) / side - 1).astype(np.float32)
    return np.tile(places, side), np.repeat(places, side)


def _map(size: float, turn: float, right: float, down: float) -> Floats:
    cos, sin = size * np.cos(turn), size * np.sin(turn)
    return np.array([[cos, -sin, right], [sin, cos, down]], np.float32)


@cache
def _maps() -> tuple[Floats, ...]:
    """Shifts by up to a tenth of the side (a pixel of 8), and windows that are 8% larger or smaller.

    The maps of the search come first: every other shift, as on the black fields of a chessboard, and all sizes.
    """
    grid = [(round(i * 0.07, 2), round(k * 0.07, 2), (i + k) % 2) for i in range(-3, 4) for k in range(-3, 4)]
    black, white = ([_map(1, 0, x, y) for x, y, colour in grid if colour == wanted] for wanted in (0, 1))
    sizes = [_map(s, 0, *p) for s in (0.92, 1.08) for p in itertools.product((-0.08, 0, 0.08), repeat=2)]
    return (*black, *sizes, *white)


@cache
def _turns() -> tuple[Floats, ...]:
    return tuple(_map(1, turn, 0, 0) for turn in (0, -TURN, TURN))


def _looks(planes: Planes) -> Floats:
    """The central window of each image and of its mirror image, as it is and turned: [N, 2, 3, 36]."""
    small = _reduced(planes)
    mirrored = small.reshape(-1, SIDE, SIDE)[:, :, ::-1].reshape(len(small), -1)
    both = [np.stack([_unit(one @ w.T) for w in _windows(_turns())], axis=1) for one in (small, mirrored)]
    return np.stack(both, axis=1)


def _windows(maps: tuple[Floats, ...]) -> list[Floats]:
    """For each map the matrix [36, 256] that takes the mapped central window out of a 16 × 16 image."""
    places = ((np.arange(CELLS) * 2 + 1) / CELLS - 1).astype(np.float32) * WINDOW
    u, v = np.tile(places, CELLS), np.repeat(places, CELLS)
    made = []
    for one in maps:
        x, y = ((one[k, 0] * u + one[k, 1] * v + one[k, 2]) * (SIDE / 2) + (SIDE - 1) / 2 for k in (0, 1))
        weights = [np.maximum(0, 1 - np.abs(p.clip(0, SIDE - 1)[:, None] - np.arange(SIDE))) for p in (y, x)]
        made.append(np.einsum("wi,wj->wij", *weights).reshape(len(u), -1).astype(np.float32))
    return made


def _reduced(planes: Planes) -> Floats:
    """The luminance at 16 × 16 pixels, blurred, as rows [N, 256]."""
    shrink = _averaging(planes.shape[-1], SIDE)
    soft = _gauss(SIDE, 1.0) @ shrink
    small: Floats = (soft @ planes[:, 0] @ soft.T).reshape(-1, SIDE * SIDE)
    return small


def _blurred(planes: Planes) -> Planes:
    blur = _gauss(planes.shape[-1], BLUR)
    blurred: Planes = blur @ planes @ blur.T
    return blurred


def _is_flat(planes: Planes) -> NDArray[np.bool_]:
    flat: NDArray[np.bool_] = planes[:, 0].std(axis=(1, 2)) < FLATNESS
    return flat


def _unit(rows: Floats) -> Floats:
    """Rows around their mean, of length 1."""
    rows = rows - rows.mean(axis=1, keepdims=True)
    unit: Floats = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return unit


@cache
def _averaging(side: int, small: int) -> Floats:
    """The matrix [small, side] that averages over the part of a row that each smaller pixel covers."""
    edges = np.arange(small + 1) * (side / small)
    pixels = np.arange(side)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    averaging: Floats = (overlap.clip(0) * (small / side)).astype(np.float32)
    return averaging


@cache
def _gauss(side: int, deviation: float) -> Floats:
    """The matrix of a Gaussian blur of a row [side, side]; its rows sum to 1."""
    apart = np.arange(side)[:, None] - np.arange(side)
    weights = np.exp(-0.5 * (apart / deviation) ** 2)
    blur: Floats = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return blur
