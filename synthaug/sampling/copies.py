"""Distances for two gates: copies of training images, and near-duplicates of accepted images.

Two tests find different kinds of copies. `metrics.pixel_copies` compares pixels under flips, shifts of two pixels and
changes of brightness. The classifiers' features find copies whose pixels differ more, but not their look.
Distances are in units of the class: the median distance of a real image to its nearest neighbour.
docs/science/copying.md has the measured rates, by kind of copy and class size, and for new real images.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthaug.data.cache import LabelledImages
from synthaug.features.base import FeatureNet
from synthaug.files import digest
from synthaug.metrics.distances import nearest, squared_distances
from synthaug.metrics.pixel_copies import CopyFinder

Floats = NDArray[np.floating[Any]]

COPY_FEATURES = (0.20, 0.35)
DUPLICATE_FEATURES, DUPLICATE_PIXELS = (0.20, 0.35), (0.10, 0.20)
"""The lowest and the highest limit, in medians; between them, the limit is the 1% quantile of real images."""
CALIBRATING = 5
"""A class with fewer training images uses the unit of all classes."""
_FEATURE_DIM, _PIXEL_DIM = 256, 128
MEMORY_DIM = _FEATURE_DIM + _PIXEL_DIM
_MOST_IN_MEMORY = 20_000  # real images


def low_pass(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Images averaged to s × s pixels, [n, C · s²]; s = 16, or half the side below 32 px. Robust to noise and blur."""
    n, channels, side, _ = pixels.shape
    small = min(16, max(side // 2, 1))
    step = side // small
    cut = pixels[:, :, : small * step, : small * step].astype(np.float32)
    flat: NDArray[np.float32] = cut.reshape(n, channels, small, step, small, step).mean((3, 5)).reshape(n, -1)
    return flat


def mirrored(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(pixels[..., ::-1])


def limit(distances: Floats, lowest: float, highest: float) -> float:
    """The 1% quantile of `distances`, but at least `lowest` and at most `highest` times their median.

    >>> limit(np.array([1.0, 1.0, 1.0]), 0.3, 0.5)
    0.5
    """
    median = float(np.median(distances))
    return float(np.clip(np.quantile(distances, 0.01), lowest * median, highest * median))


@dataclass(frozen=True)
class Limits:
    """Distances below which an image is a copy of a real one, or a duplicate of an accepted one."""

    copy_features: float
    duplicate_features: float
    duplicate_pixels: float


@dataclass(frozen=True)
class Reference:
    """The real training images of one class and their mirror images."""

    indices: NDArray[np.int64]  # [m], into the training images; row m + i of the features mirrors row i
    features: Floats  # [2m, d]
    copies: CopyFinder
    limits: Limits


@dataclass
class Accepted:
    """The accepted images of a class, randomly projected and in half precision: 0.8 kB an image.

    The projection changes distances by about 5%. Half precision changes those near a limit by at most 0.3% (measured on
    digits).
    """

    features: NDArray[np.floating[Any]]  # [n, 256]
    pixels: NDArray[np.floating[Any]]  # [n, 128]
    _room: tuple[NDArray[np.float16], NDArray[np.float16]] | None = field(default=None, repr=False)

    @classmethod
    def nothing(cls) -> Accepted:
        return cls(np.empty((0, _FEATURE_DIM), np.float16), np.empty((0, _PIXEL_DIM), np.float16))

    def rows(self, start: int = 0) -> NDArray[np.float32]:
        """The images from `start` on as one array [n - start, MEMORY_DIM]."""
        return np.concatenate([self.features[start:], self.pixels[start:]], axis=1).astype(np.float32)

    @staticmethod
    def columns(rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Undo `rows`: features [n, 256] and pixels [n, 128]."""
        return rows[:, :_FEATURE_DIM], rows[:, _FEATURE_DIM:]

    def add(self, features: NDArray[np.floating[Any]], pixels: NDArray[np.floating[Any]]) -> None:
        """Append rows. The arrays grow by doubling."""
        have, want = len(self.features), len(self.features) + len(features)
        if self._room is None or len(self._room[0]) < want:
            grown = (np.empty((2 * want, _FEATURE_DIM), np.float16), np.empty((2 * want, _PIXEL_DIM), np.float16))
            grown[0][:have], grown[1][:have] = self.features, self.pixels
            self._room = grown
        self._room[0][have:want], self._room[1][have:want] = features, pixels
        self.features, self.pixels = self._room[0][:want], self._room[1][:want]


class Neighbourhood:
    """Distances between candidates, real training images and accepted images of one class at a time."""

    def __init__(self, train: LabelledImages, features: FeatureNet) -> None:
        self.train = train
        self.net = features
        self._references: dict[int, Reference] = {}
        self._borrowed: tuple[Floats, Floats, float] | None = None
        self._exact = {digest(image) for image in train.pixels}
        rng = np.random.default_rng(0)
        self._project_features = rng.standard_normal((features.dim, _FEATURE_DIM)).astype(np.float32) / 16.0
        dim = low_pass(np.asarray(train.pixels[:1])).shape[1]
        scale = np.float32(np.sqrt(_PIXEL_DIM))
        self._project_pixels = rng.standard_normal((dim, _PIXEL_DIM)).astype(np.float32) / scale

    def exact(self, pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Which of [n, C, H, W] equal a training image of any class, or its mirror image, bit for bit."""
        pairs = zip(pixels, mirrored(pixels), strict=True)
        return np.array([not self._exact.isdisjoint(map(digest, pair)) for pair in pairs], np.bool_)

    def reference(self, class_index: int) -> Reference:
        """The real images of a class; measured on first use, and dropped when too many are in memory."""
        if class_index not in self._references:
            while self._references and sum(len(r.indices) for r in self._references.values()) > _MOST_IN_MEMORY:
                del self._references[next(iter(self._references))]
            self._references[class_index] = self._measure(class_index)
        return self._references[class_index]

    def _measure(self, class_index: int) -> Reference:
        indices = np.flatnonzero(self.train.labels == class_index).astype(np.int64)
        real = np.asarray(self.train.pixels[indices])
        both = np.concatenate([real, mirrored(real)])
        features = self.net(both)
        if len(indices) >= CALIBRATING:
            feature_unit, pixel_unit, typical = _nearest_others(features), _nearest_others(low_pass(both)), None
        else:
            feature_unit, pixel_unit, typical = self._from_all_classes()
        limits = Limits(
            limit(feature_unit, *COPY_FEATURES),
            limit(feature_unit, *DUPLICATE_FEATURES),
            limit(pixel_unit, *DUPLICATE_PIXELS),
        )
        return Reference(indices, features, CopyFinder(real, typical), limits)

    def _from_all_classes(self) -> tuple[Floats, Floats, float]:
        if self._borrowed is None:
            rows = np.random.default_rng(0).permutation(len(self.train.labels))[:512]
            real = np.asarray(self.train.pixels[np.sort(rows)])
            both = np.concatenate([real, mirrored(real)])
            units = _nearest_others(self.net(both)), _nearest_others(low_pass(both))
            self._borrowed = (*units, CopyFinder(real).typical)
        return self._borrowed

    def project(self, features: Floats, pixels: Floats) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Features [n, d] and low-pass pixels [n, p] as rows for `Accepted`."""
        return (
            np.asarray(features, np.float32) @ self._project_features,
            np.asarray(pixels, np.float32) @ self._project_pixels,
        )


def _nearest_others(both: Floats) -> Floats:
    """Distance [m] of each image to the nearest other image or its mirror image; `both` [2m, d] holds the two."""
    m = len(both) // 2
    distances = squared_distances(both[:m], both)
    rows = np.arange(m)
    distances[rows, rows] = np.inf
    distances[rows, rows + m] = np.inf
    nearest_: Floats = np.sqrt(distances.min(axis=1))
    return nearest_ if np.isfinite(nearest_).all() else np.ones(1)


def nearest_real(reference: Reference, features: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Feature distance [n] to the nearest real image, and its index [n] among the training images."""
    if not len(features):
        return np.empty(0), np.empty(0, np.int64)
    distance, row = nearest(features, reference.features)
    return distance[:, 0], reference.indices[row[:, 0] % len(reference.indices)]
