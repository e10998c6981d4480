"""Images that a scan has resized on its way, so that nobody decodes the same files a second time at a first start."""

from __future__ import annotations

import mmap
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from synthaug.config import Fit
from synthaug.data.decode import OVERSAMPLE, may_be_reduced, resize

MOST_BYTES = 1 << 30


@dataclass(frozen=True)
class Geometry:
    """The square that images will be wanted as."""

    resolution: int
    fit: Fit


def shared(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Zeros, uint8, in memory that forked processes share."""
    size = int(np.prod(shape))
    return np.frombuffer(mmap.mmap(-1, max(1, size)), np.uint8, size).reshape(shape)


@dataclass
class Ahead:
    """RGB images uint8 [N, 3, S, S], and the row and the pixel hash of each path; grey ones stand in all channels."""

    geometry: Geometry
    pixels: NDArray[np.uint8]
    rows: dict[str, tuple[int, str, bool]] = field(default_factory=dict)  # path → row, pixel hash, coloured

    @classmethod
    def of(cls, geometry: Geometry | None, count: int) -> Ahead | None:
        """Room for `count` images; None where none are wanted, or too many."""
        if geometry is None or count * 3 * geometry.resolution**2 > MOST_BYTES:
            return None
        return cls(geometry, shared((count, 3, geometry.resolution, geometry.resolution)))

    def put(self, row: int, image: Image.Image, kind: str) -> bool:
        """Resize an image into its row; False for one that would be decoded at reduced size when it is loaded."""
        if kind in ("JPEG", "MPO") and may_be_reduced(image.size, OVERSAMPLE * self.geometry.resolution):
            return False
        self.pixels[row] = resize(image, self.geometry.resolution, 3, self.geometry.fit)
        return True

    def find(self, path: str, pixel_sha256: str, channels: int) -> int | None:
        """The row that holds what `resize(image, S, channels, fit)` gives for this image."""
        row, digest, coloured = self.rows.get(path, (0, "", True))
        return row if digest == pixel_sha256 and (channels == 3 or not coloured) else None
