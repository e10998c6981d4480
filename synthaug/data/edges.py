"""Edge maps of images: white lines, one pixel wide, on black.

From Canny, "A computational approach to edge detection", IEEE PAMI 8 (1986).

Brightness is blurred (σ = 1 px) and differentiated (Sobel). Ridges of the gradient remain: those that are strong, and
weaker ones that touch them. Strong is more than 70% of the image's pixels have, and than a tenth of what the strongest
has; weak is 0.4 times that. So dark images have edges too, and noise on an even ground has none. Whole numbers only:
the same map at each call, on any machine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_AT_ONCE = 256
_BLUR = (1, 4, 6, 4, 1)
_BELOW, _TENTH, _WEAK = 0.7, 100, (4, 25)  # sizes are squared: 0.1² = 1 / 100, 0.4² = 4 / 25
_FLAT = 29, 70  # tan 22.5°


def edge_maps(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The edges of images, 0 or 255, uint8[N, C, H, W], equal in all channels.

    Args:
        pixels: uint8[N, C, H, W] with 1 channel or 3.
    """
    found = np.empty(pixels.shape, np.uint8)
    for start in range(0, len(pixels), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        found[part] = 255 * _edges(_brightness(pixels[part]))[:, None]
    return found


def _brightness(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """A thousand times the luminance (ITU-R 601), int64[N, H, W]."""
    weights = np.array([299, 587, 114] if pixels.shape[1] == 3 else [1000])
    return np.tensordot(weights, pixels.astype(np.int64), axes=(0, 1))


def _edges(grey: NDArray[np.int64]) -> NDArray[np.bool_]:
    smooth = _filtered(grey, _BLUR, _BLUR)
    down, right = _filtered(smooth, (-1, 0, 1), (1, 2, 1)), _filtered(smooth, (1, 2, 1), (-1, 0, 1))
    size = down**2 + right**2
    ridge = _ridges(size, down, right)
    most = np.quantile(size, _BELOW, axis=(1, 2), keepdims=True, method="lower")
    strong = np.maximum(most, size.max(axis=(1, 2), keepdims=True) // _TENTH)
    factor, of = _WEAK
    weak = ridge & (of * size > factor * strong)
    within = np.zeros((3, 3, 3), np.bool_)
    within[1] = True  # lines touch at corners too, but not from image to image
    lines, count = ndimage.label(weak, within)
    kept = np.zeros(count + 1, np.bool_)
    kept[lines[weak & (size > strong)]] = True
    edges: NDArray[np.bool_] = kept[lines]
    return edges


def _filtered(grey: NDArray[np.int64], rows: tuple[int, ...], columns: tuple[int, ...]) -> NDArray[np.int64]:
    along = ndimage.correlate1d(grey, rows, axis=1, mode="nearest")
    found: NDArray[np.int64] = ndimage.correlate1d(along, columns, axis=2, mode="nearest")
    return found


def _ridges(size: NDArray[np.int64], down: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where the gradient is larger than at both neighbours in its direction, one of eight."""
    rise, of = _FLAT
    flat, steep = of * np.abs(down) < rise * np.abs(right), of * np.abs(right) < rise * np.abs(down)
    dy = np.where(flat, 0, 1)
    dx = np.where(steep, 0, np.where(flat | ((down > 0) == (right > 0)), 1, -1))
    n, y, x = np.ogrid[: len(size), 1 : 1 + size.shape[1], 1 : 1 + size.shape[2]]
    around = np.pad(size, ((0, 0), (1, 1), (1, 1)))
    ahead, behind = around[n, y + dy, x + dx], around[n, y - dy, x - dx]
    found: NDArray[np.bool_] = (size > behind) & (size >= ahead)
    return found
