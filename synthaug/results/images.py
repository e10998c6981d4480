"""Images that a notebook shows as one picture; each is a PIL image, all together are an array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from synthaug.grid import grid

_COLUMNS = 16


@dataclass(frozen=True, eq=False, repr=False)
class Images(Sequence[Image.Image]):
    """A sequence of PIL images.

    `pixels` are the same images, uint8 [N, C, H, W], as PyTorch wants them; `np.asarray` gives uint8 [N, H, W, C], or
    [N, H, W] for grey ones, as Matplotlib and scikit-image want them.

    >>> images = Images(np.zeros((16, 3, 32, 32), np.uint8))
    >>> images
    16 images of 32 × 32 px, RGB
    >>> images[0].size, images[0].mode
    ((32, 32), 'RGB')
    >>> np.asarray(images).shape, len(images[:4])
    ((16, 32, 32, 3), 4)
    """

    pixels: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.pixels)

    @overload
    def __getitem__(self, index: int) -> Image.Image: ...
    @overload
    def __getitem__(self, index: slice) -> Images: ...
    def __getitem__(self, index: int | slice) -> Image.Image | Images:
        if isinstance(index, slice):
            return Images(self.pixels[index])
        return Image.fromarray(last_channel(self.pixels[index][None])[0])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.array(last_channel(self.pixels), dtype=dtype)

    def grid(self, columns: int = _COLUMNS) -> Image.Image:
        """All images as one picture; those of less than 64 px are enlarged by whole factors."""
        return grid([self.pixels], columns)

    def __repr__(self) -> str:
        count, channels, height, width = self.pixels.shape
        mode = "grey" if channels == 1 else "RGB"
        return f"{count:,} {'image' if count == 1 else 'images'} of {width} × {height} px, {mode}"

    def _repr_png_(self) -> bytes | None:
        if not len(self):
            return None
        file = BytesIO()
        self.grid().save(file, "PNG")
        return file.getvalue()


def last_channel(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 [N, C, H, W] as [N, H, W, C]; one channel as [N, H, W]."""
    return pixels[:, 0] if pixels.shape[1] == 1 else np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))
