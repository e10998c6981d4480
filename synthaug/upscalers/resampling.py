"""The tool's own halving and doubling of images as matrices, so that networks are trained through them.

Images are reduced by Lanczos and enlarged by bicubic interpolation, as `data.decode.resize` does. Both are linear in
each direction: Pillow's answer to the unit vectors is the matrix. Pillow itself also rounds and clips in between.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

Matrix = NDArray[np.float32]


class _Matrices(NamedTuple):
    halve: Matrix  # [n, 2n]
    double: Matrix  # [2n, n]
    least: Matrix  # [2n, n]: the smallest image that `halve` turns into a given one


@lru_cache(maxsize=32)
def _matrices(side: int) -> _Matrices:
    halve = _resampled(2 * side, side, Image.Resampling.LANCZOS)
    exact = halve.astype(np.float64)
    least = exact.T @ np.linalg.inv(exact @ exact.T)
    return _Matrices(halve, _resampled(side, 2 * side, Image.Resampling.BICUBIC), least.astype(np.float32))


def _resampled(before: int, after: int, how: Image.Resampling) -> Matrix:
    unit = Image.fromarray(np.eye(before, dtype=np.float32))
    return np.ascontiguousarray(np.asarray(unit.resize((after, before), how)).T)


def halved(images: Tensor) -> Tensor:
    """Images float32[B, C, H, W] at half of their sides, which must be even; not clipped."""
    height, width = (_matrices(side // 2).halve for side in images.shape[2:])
    return _both(images, height, width)


def doubled(images: Tensor) -> Tensor:
    """Images float32[B, C, H, W] at twice their sides by bicubic interpolation; not clipped."""
    height, width = (_matrices(side).double for side in images.shape[2:])
    return _both(images, height, width)


def back_projected(images: Tensor, low: Tensor) -> Tensor:
    """The nearest images to `images` whose halves are `low`, up to rounding."""
    height, width = (_matrices(side).least for side in low.shape[2:])
    return images + _both(low - halved(images), height, width)


def _both(images: Tensor, height: Matrix, width: Matrix) -> Tensor:
    """Apply one matrix to the columns and one to the rows, in float32."""
    with torch.autocast(images.device.type, enabled=False):
        x = images.float()
        out: Tensor = torch.from_numpy(height).to(x) @ (x @ torch.from_numpy(width).to(x).T)
    return out
