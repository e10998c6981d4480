"""Are synthetic images told from real ones by their sharpness alone?

If they are, a classifier can learn blur instead of the class, and all other scores measure blur first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthaug.data.colour import LUMINANCE
from synthaug.documents import Range, Sharpness
from synthaug.metrics.spread import half_sample_range

MIN_IMAGES = 10
TOLD_APART = 0.75
"""From this share of the pairs on, the difference is called visible, if it is also larger than between real images."""
_DRAWS = 200
Floats = NDArray[np.float64]


def sharpness(pixels: NDArray[np.uint8]) -> Floats:
    """Logarithm of the variance of the Laplacian ÷ the variance of the pixels, [N]; higher is sharper.

    The variance of the Laplacian measures focus (Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy",
    ICPR 2000). Divided by that of the pixels, it does not depend on contrast.

    Args:
        pixels: uint8 [N, C, H, W], C 1 or 3, H and W ≥ 3.
    """
    weights = np.array(LUMINANCE if pixels.shape[1] == 3 else (1.0,))
    grey = np.einsum("c,nchw->nhw", weights, pixels)
    sides = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    laplacian = sides - 4 * grey[:, 1:-1, 1:-1]
    found: Floats = np.log(laplacian.var(axis=(1, 2)) + 1e-3) - np.log(grey.var(axis=(1, 2)) + 1e-3)
    return found


def sharpness_auc(real: Floats, synthetic: Floats, rng: np.random.Generator) -> Range | None:
    """The share of pairs in which the real image is sharper, ties counted half (the area under the ROC curve).

    Args:
        real: sharpness [n].
        synthetic: sharpness [m].
        rng: draws the half-samples of the 95% interval.

    Returns:
        None if n or m is below `MIN_IMAGES`.
    """
    if min(len(real), len(synthetic)) < MIN_IMAGES:
        return None
    wins = (np.sign(real[:, None] - synthetic[None]) + 1) / 2
    return half_sample_range(
        float(wins.mean()), lambda i, j: float(wins[np.ix_(i, j)].mean()), len(real), len(synthetic),
        draws=_DRAWS, rng=rng, bounds=(0.0, 1.0),
    )  # fmt: skip


def compare_sharpness(
    real: NDArray[np.uint8], synthetic: NDArray[np.uint8], train: NDArray[np.uint8], rng: np.random.Generator
) -> Sharpness | None:
    """Compare a class's synthetic images with its held-out real ones; None if there are fewer than `MIN_IMAGES`.

    Args:
        real: held-out images uint8 [N, C, S, S].
        synthetic: images of the same size.
        train: real training images, compared instead of the synthetic ones for the floor.
        rng: draws the half-samples.
    """
    held_out = sharpness(real)
    auc = sharpness_auc(held_out, sharpness(synthetic), rng)
    if auc is None:
        return None
    floor = sharpness_auc(held_out, sharpness(train), rng)
    low, high = (floor.low, floor.high) if floor is not None else (0.5, 0.5)
    told_apart = auc.low > max(TOLD_APART, high) or auc.high < min(1 - TOLD_APART, low)
    return Sharpness(auc=auc, floor=floor, told_apart=told_apart)
