"""Is an image a copy of a training image, up to flips, small shifts and brightness? Decided by pixels.

The central window of an image is compared with the windows of a training image and of its mirror image at shifts of up
to two pixels (one below 16 pixels a side), after the best change of brightness by at most a fifth. The comparison is of
averages over small cells of luminance and larger cells of chroma, because JPEG preserves little more of a small colour
image; chroma counts half. A distance is a root mean square difference in grey levels.

Each training image has its own limit, because new images are nearer where training images are dense: `NEAR` × its
distance to the nearest other training image, but at least the change by recompression (JPEG 75).
docs/science/copying.md shows which copies are found and how many new real images are taken for copies.

A lower bound excludes nearly all pairs: a projection onto a few directions, and a free change of brightness, can only
make a distance smaller.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from synthaug.data.colour import CHROMA, LUMINANCE

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

NEAR = 0.33
"""An image nearer than so many times the distance between training images is a copy."""
TYPICAL = 0.75
"""Quantile of the distances that is typical of a class. The median of animation frames would be tiny."""
SPARSE = 1.25
"""The distance of an isolated image counts at most as this many times the typical one."""
RECOMPRESSED, RECOMPRESSED_CAP = 1.1, 0.31
"""The limit is at least the first × the change by recompression, up to the second × the typical distance."""
QUALITY = 75
LEAST = 1.0
"""The lowest limit, in grey levels: a smaller difference is invisible."""
GAIN = 0.2
CHROMA_WEIGHT = 0.5
DIRECTIONS = 32
FEW = 5
"""With fewer training images, the typical distance is that between images of all classes."""
_SUSPECTS = 4
_VERSIONS_KEPT = 1000
_BLOCK = 128


@dataclass(frozen=True, slots=True)
class Geometry:
    """How images of one size are compared: windows of `side` − 2 · `margin` pixels, averaged over `cell` × `cell`."""

    side: int
    margin: int
    cell: int

    @classmethod
    def of(cls, side: int) -> Geometry:
        return cls(side, 2 if side >= 16 else 1, max(1, round(side / 16)))

    @property
    def window(self) -> int:
        return self.side - 2 * self.margin

    @property
    def coarse(self) -> int:
        """Side of a chroma cell."""
        return min(2 * self.cell, self.window)

    def squares(self, cell: int) -> NDArray[np.intp]:
        """The index of each cell of each version among all `cell` × `cell` squares of an image, [versions, cells].

        The first version is the central window; then come all windows, then those of the mirrored image.
        """
        places = range(2 * self.margin + 1)
        last, offsets = self.side - cell, np.arange(self.window // cell) * cell
        found = []
        for y, x in [(self.margin, self.margin), *((y, x) for y in places for x in places)]:
            rows, columns = y + offsets, x + offsets
            found.append([rows[:, None] * (last + 1) + c[None] for c in (columns, last - columns)])
        plain, mirrored = zip(*found, strict=True)
        return np.stack([*plain, *mirrored[1:]]).reshape(2 * len(found) - 1, -1)


def _boxes(planes: Floats, cell: int) -> Floats:
    """Averages [n, c, S − cell + 1, …] over all cell × cell squares, × `cell`: each pixel has the same weight."""
    for axis in (2, 3):
        last = planes.shape[axis] - cell + 1
        slices = [(slice(None),) * axis + (slice(k, k + last),) for k in range(cell)]
        total = planes[slices[0]]
        for one in slices[1:]:
            total = total + planes[one]
        planes = total
    averages: Floats = planes / np.float32(cell)
    return averages


def _planes(pixels: Pixels) -> Floats:
    """Luminance, and chroma of colour images: float32 [n, 1 or 3, H, W]."""
    if pixels.shape[1] != 3:
        return pixels.astype(np.float32)
    weights = np.array([LUMINANCE, *CHROMA], np.float32)
    n, _, height, width = pixels.shape
    mixed: Floats = np.matmul(weights, pixels.reshape(n, 3, -1).astype(np.float32))
    return mixed.reshape(n, 3, height, width)


def recompressed(pixels: Pixels, quality: int = QUALITY) -> Pixels:
    """The images [n, C, H, W] written as JPEG and read again."""
    out = np.empty_like(pixels)
    for row, image in enumerate(pixels):
        file = io.BytesIO()
        Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)).save(file, "JPEG", quality=quality)
        read = np.asarray(Image.open(file))
        out[row] = read if read.ndim == 2 else read.transpose(2, 0, 1)
    return out


class CopyFinder:
    """The training images of a class, to find copies of them among other images.

    `spacing` [m]: distance of each to the nearest other one (inf if there is none). `limits` [m]: distance below which
    an image is its copy. Both in grey levels.
    """

    def __init__(self, images: Pixels, typical: float | None = None) -> None:
        """Measure the images.

        Args:
            images: uint8 [m, C, S, S], m ≥ 1; kept, because suspects are compared with them.
            typical: the typical distance between images, for fewer than `FEW` of them.
        """
        self.images = images
        self.geometry = Geometry.of(images.shape[-1])
        self._fine, self._coarse = (self.geometry.squares(c) for c in (self.geometry.cell, self.geometry.coarse))
        self._versions: dict[int, Floats] = {}
        self._basis, self._sketches = self._sketch()
        self.spacing = self._spacing()
        self.typical = self._typical() if typical is None or len(images) >= FEW else typical
        real = np.asarray(images)
        changed = np.linalg.norm(self._inside(recompressed(real)) - self._inside(real), axis=1)
        least = np.minimum(RECOMPRESSED * changed, RECOMPRESSED_CAP * self.typical)
        self.limits = np.maximum(np.maximum(NEAR * np.minimum(self.spacing, SPARSE * self.typical), least), LEAST)

    def _typical(self) -> float:
        there = self.spacing[np.isfinite(self.spacing)]
        return float(np.quantile(there, TYPICAL)) if len(there) else 0.0

    @property
    def limit(self) -> float:
        """The median of the limits."""
        return float(np.median(self.limits))

    def copied(self, pixels: Pixels) -> NDArray[np.int64]:
        """Which training image each of [n, C, S, S] copies: its index [n], −1 for none."""
        return self.closest(pixels)[1]

    def closest(self, pixels: Pixels) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Distance ÷ limit [n] of the training image that each of [n, C, S, S] copies, and its index; inf, −1: none."""
        nearness, found = np.full(len(pixels), np.inf), np.full(len(pixels), -1, np.int64)
        for start in range(0, len(pixels), _BLOCK):
            inside = self._inside(pixels[start : start + _BLOCK])
            rows, columns = self._suspects(inside)
            quotient = self._distances(inside, rows, columns) / self.limits[columns]
            for row, column, value in zip(rows + start, columns, quotient, strict=True):
                if value < min(1.0, nearness[row]):
                    nearness[row], found[row] = value, column
        return nearness, found

    def _looks(self, pixels: Pixels, versions: slice) -> Floats:
        """What images are compared by, [n, versions, d]; distances are in grey levels."""
        planes, parts = _planes(pixels), []
        for channels, cell, squares, weight in (
            (slice(0, 1), self.geometry.cell, self._fine, 1.0),
            (slice(1, 3), self.geometry.coarse, self._coarse, CHROMA_WEIGHT),
        ):
            if planes[:, channels].size:
                boxes = _boxes(planes[:, channels], cell).reshape(len(pixels), -1, (self.geometry.side - cell + 1) ** 2)
                looks = boxes[:, :, squares[versions]].swapaxes(1, 2)
                parts.append(looks.reshape(*looks.shape[:2], -1) * np.float32(weight / self.geometry.window))
        return np.concatenate(parts, axis=2)

    def _inside(self, pixels: Pixels) -> Floats:
        return self._looks(pixels, slice(0, 1))[:, 0]

    def _sketch(self) -> tuple[Floats, Floats]:
        """Principal directions [d, k] of the images, and the unit vectors of all versions in them, [versions, m, k]."""
        inside = self._inside(np.asarray(self.images[:: max(1, len(self.images) // 512)]))
        directions = np.linalg.eigh((inside.T @ inside).astype(np.float64))[1][:, ::-1][:, :DIRECTIONS]
        basis = np.ascontiguousarray(directions, np.float32)
        parts = []
        for start in range(0, len(self.images), _BLOCK):
            along = self._looks(np.asarray(self.images[start : start + _BLOCK]), slice(1, None)) @ basis
            parts.append(along / np.maximum(np.linalg.norm(along, axis=2, keepdims=True), 1e-6))
        return basis, np.ascontiguousarray(np.concatenate(parts).swapaxes(0, 1))

    def _bounds(self, inside: Floats) -> Floats:
        """Lower bounds [n, m] of the squared distances of looks [n, d] to the training images."""
        along = inside @ self._basis
        best = np.zeros((len(inside), len(self.images)), np.float32)
        for sketch in self._sketches:
            np.maximum(best, along @ sketch.T, out=best)
        bounds: Floats = np.square(along).sum(axis=1)[:, None] - np.square(best)
        return bounds

    def _suspects(self, inside: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Pairs of a look and a training image that may be nearer than its limit, four at most a look."""
        quotient = self._bounds(inside) / np.square(self.limits).astype(np.float32)
        if quotient.shape[1] > _SUSPECTS:
            columns = np.argpartition(quotient, _SUSPECTS - 1, axis=1)[:, :_SUSPECTS]
        else:
            columns = np.broadcast_to(np.arange(quotient.shape[1]), quotient.shape)
        row, place = np.nonzero(np.take_along_axis(quotient, columns, axis=1) < 1)
        return row, columns[row, place]

    def _distances(self, inside: Floats, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Floats:
        """Distances of pairs: look `rows[i]` of [n, d] to training image `columns[i]`."""
        found = np.empty(len(columns), np.float32)
        for column in np.unique(columns):
            pairs = np.flatnonzero(columns == column)
            looks, versions = inside[rows[pairs]], self._versions_of(int(column))
            products, size = looks @ versions.T, np.square(versions).sum(axis=1)
            gain = np.clip(products / np.maximum(size, 1e-6), 1 - GAIN, 1 + GAIN)
            squares = np.square(looks).sum(axis=1)[:, None] + gain * (gain * size - 2 * products)
            found[pairs] = np.sqrt(np.maximum(squares.min(axis=1), 0))
        return found

    def _versions_of(self, index: int) -> Floats:
        """The looks [versions, d] of one training image, cached."""
        if index not in self._versions:
            if len(self._versions) >= _VERSIONS_KEPT:
                self._versions.clear()
            self._versions[index] = self._looks(np.asarray(self.images[index : index + 1]), slice(1, None))[0]
        return self._versions[index]

    def _spacing(self) -> NDArray[np.float64]:
        """Distance [m] of each image to the nearest other one, among the few with the lowest bounds."""
        m = len(self.images)
        spacing = np.full(m, np.inf)
        if m < 2:
            return spacing
        others = min(_SUSPECTS, m - 1)
        for start in range(0, m, _BLOCK):
            inside = self._inside(np.asarray(self.images[start : start + _BLOCK]))
            bounds = self._bounds(inside)
            own = np.arange(len(inside))
            bounds[own, start + own] = np.inf
            columns = np.argpartition(bounds, others - 1, axis=1)[:, :others]
            rows = np.repeat(own, others)
            spacing[start + own] = self._distances(inside, rows, columns.ravel()).reshape(-1, others).min(axis=1)
        return spacing
