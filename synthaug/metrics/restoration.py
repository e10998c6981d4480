"""How near enlarged images are to the real ones: PSNR and SSIM of pairs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthaug.metrics.ms_ssim import ssim as ssim

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]


def psnr(first: Pixels, second: Pixels) -> Floats:
    """Peak signal-to-noise ratio of pairs of images uint8 [n, C, H, W] in decibels, float64 [n]; infinite if equal.

    10 log₁₀(255² ÷ mean squared error). The peak is that of the format, not of the image.
    """
    errors = np.square(first.astype(np.float64) - second).mean(axis=(1, 2, 3))
    with np.errstate(divide="ignore"):
        out: Floats = 10 * np.log10(255**2 / errors)
    return out
