"""How similar two images of a class are: MS-SSIM. The images of a collapsed class are more similar than real ones.

Odena et al. (arXiv:1610.09585, section 4.2) compare the mean MS-SSIM of pairs of samples of a class with that of pairs
of training images. The value alone means little, so only the quotient is reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from synthaug.documents import Range
from synthaug.errors import SynthaugError
from synthaug.metrics.spread import Indices, about

Floats = NDArray[np.float64]
Images = NDArray[np.float32]
Pixels = NDArray[np.uint8]
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Weights, finest scale first (Wang et al., "Multiscale structural similarity for image quality assessment", 2003)."""
WINDOW, SIGMA = 11, 1.5
MAX_IMAGES = 48
"""Images on each side: so many up to 32 pixels, a half above, a quarter above 64."""
MIN_IMAGES = 4
_NUMBERS_AT_ONCE = 1 << 18
_DRAWS = 100


def scales(side: int) -> int:
    """The number of scales of images of this side: the coarsest must not be smaller than the window of 11 pixels.

    >>> [scales(side) for side in (8, 16, 32, 64, 128, 256)]
    [0, 1, 2, 3, 4, 5]
    """
    count = 0
    while count < len(WEIGHTS) and side >> count >= WINDOW:
        count += 1
    return count


def ms_ssim(first: Pixels, second: Pixels) -> Floats:
    """MS-SSIM of pairs of images, the mean over channels; float64 [n].

    Wang et al. (2003), eq. 7, window and borders as in torchmetrics. The published five scales need 176 pixels; smaller
    images have fewer (32 pixels: two), whose weights are divided by their sum.

    Both arguments are uint8 [n, C, H, W].

    Raises:
        SynthaugError: shapes differ, or images are smaller than 11 pixels.
    """
    _check_pairs(first, second)
    rows = np.arange(len(first))
    return _compare(_pyramid(first), _pyramid(second), rows, rows)


def ssim(first: Pixels, second: Pixels) -> Floats:
    """SSIM of pairs of images (Wang et al. 2004, eq. 13), the mean over channels; float64 [n], at least zero.

    Window and borders as in torchmetrics. Both arguments are uint8 [n, C, H, W].

    Raises:
        SynthaugError: shapes differ, or images are smaller than 11 pixels.
    """
    _check_pairs(first, second)
    one = np.arange(1)
    pairs = [(_pyramid(a[None], 1), _pyramid(b[None], 1)) for a, b in zip(first, second, strict=True)]
    return np.concatenate([_similarity(a[0], b[0], one, one)[0] for a, b in pairs])


def _check_pairs(first: Pixels, second: Pixels) -> None:
    if first.shape != second.shape or first.ndim != 4 or not scales(min(first.shape[-2:])):
        raise SynthaugError(
            f"SSIM was asked for images {list(first.shape)} and {list(second.shape)}",
            f"give two arrays [n, C, H, W] of one shape, {WINDOW} pixels or more a side",
        )


def ms_ssim_ratio(real: Pixels, fake: Pixels, *, rng: np.random.Generator) -> tuple[Range, Range] | None:
    """Mean MS-SSIM of pairs of synthetic images ÷ that of pairs of real ones; and the same for two halves of the real.

    Above 1, the synthetic images are more similar than real ones. Ranges are from half-samples. None if images are
    smaller than 11 pixels, or if there are fewer than eight real or four synthetic ones.

    Args:
        real: uint8 [n, C, H, W], all real images of the class.
        fake: uint8 [m, C, H, W].
        rng: chooses the images: equally many of both, at most `MAX_IMAGES`.
    """
    if not scales(min(real.shape[-2:])):
        return None
    side = max(real.shape[-2:])
    limit = MAX_IMAGES // (1 if side <= 32 else 2 if side <= 64 else 4)
    n = min(len(real) // 2, len(fake), limit)
    if n < MIN_IMAGES:
        return None
    order = rng.permutation(len(real))
    half, other = (_all_pairs(real[order[i * n : (i + 1) * n]]) for i in (0, 1))
    among = _all_pairs(fake[rng.permutation(len(fake))[:n]])
    return _quotient(among, half, rng), _quotient(other, half, rng)


def _quotient(among: Floats, within: Floats, rng: np.random.Generator) -> Range:
    n = len(within)

    def ratio(i: Indices, j: Indices) -> float:
        return _mean(among[np.ix_(j, j)]) / max(_mean(within[np.ix_(i, i)]), 1e-6)

    values = [ratio(*(rng.permutation(n)[: max(2, n // 2)] for _ in range(2))) for _ in range(_DRAWS)]
    everything = np.arange(n)
    return about(ratio(everything, everything), np.array(values), bounds=(0, np.inf))


def _mean(pairs: Floats) -> float:
    return float(pairs[np.triu_indices(len(pairs), 1)].mean())


def _all_pairs(images: Pixels) -> Floats:
    i, j = np.triu_indices(len(images), 1)
    pyramid = _pyramid(images)
    out = np.zeros((len(images), len(images)))
    out[i, j] = _compare(pyramid, pyramid, i, j)
    out += out.T
    return out


@dataclass(frozen=True, slots=True)
class _Scale:
    """Images at one scale, with the local mean and variance of each; float32 [n, C, h, w]."""

    images: Images
    mean: Images
    variance: Images


def _pyramid(pixels: Pixels, most: int = len(WEIGHTS)) -> list[_Scale]:
    images: Images = pixels.astype(np.float32)
    images /= 255
    out = []
    for _ in range(min(most, scales(min(pixels.shape[-2:])))):
        mean = _blurred(images)
        out.append(_Scale(images, mean, np.maximum(_blurred(images * images) - mean * mean, 0)))
        images = _halved(images)
    return out


def _compare(first: list[_Scale], second: list[_Scale], i: Indices, j: Indices) -> Floats:
    """MS-SSIM of the images `i` of one pyramid with the images `j` of the other, a part of the pairs at a time."""
    weights = np.array(WEIGHTS[: len(first)]) / sum(WEIGHTS[: len(first)])
    step = max(1, _NUMBERS_AT_ONCE // max(1, first[0].images[:1].size))
    out = np.ones(len(i))
    for start in range(0, len(i), step):
        some = slice(start, start + step)
        for x, y, weight in zip(first, second, weights, strict=True):
            whole, contrast = _similarity(x, y, i[some], j[some])
            out[some] *= (whole if x is first[-1] else contrast) ** weight
    return out


def _similarity(first: _Scale, second: _Scale, i: Indices, j: Indices) -> tuple[Floats, Floats]:
    """SSIM (mean over the image) and its contrast-structure part (mean without the border), [n]; at least zero."""
    c1, c2 = np.float32(0.01**2), np.float32(0.03**2)
    mean_x, mean_y = first.mean[i], second.mean[j]
    means = mean_x * mean_y
    contrast = _blurred(first.images[i] * second.images[j])
    contrast -= means
    contrast *= 2
    contrast += c2
    contrast /= first.variance[i] + second.variance[j] + c2
    border = WINDOW // 2
    inner = contrast[..., border:-border, border:-border].mean((1, 2, 3), dtype=np.float64)
    contrast *= 2 * means + c1
    contrast /= mean_x * mean_x + mean_y * mean_y + c1
    return np.maximum(contrast.mean((1, 2, 3), dtype=np.float64), 0), np.maximum(inner, 0)


def _blurred(x: Images) -> Images:
    n, channels, height, width = x.shape
    along = (x.reshape(-1, width) @ _gaussian(width).T).reshape(n * channels, height, width)
    across = along.transpose(0, 2, 1).reshape(-1, height) @ _gaussian(height).T
    out: Images = across.reshape(n * channels, width, height).transpose(0, 2, 1).reshape(x.shape)
    return out


@lru_cache(maxsize=16)
def _gaussian(side: int) -> Images:
    """[side, side]: a Gaussian blur of 11 pixels with mirrored borders, as a matrix."""
    reach = WINDOW // 2
    kernel = np.exp(-np.square(np.arange(-reach, reach + 1) / SIGMA) / 2)
    out = np.zeros((side, side))
    for offset, weight in zip(range(-reach, reach + 1), kernel / kernel.sum(), strict=True):
        place = np.abs(np.arange(side) + offset)
        place = np.where(place >= side, 2 * (side - 1) - place, place)
        out[np.arange(side), place] += weight
    return out.astype(np.float32)


def _halved(x: Images) -> Images:
    """Means of 2 × 2 pixels; an odd last row or column is dropped."""
    height, width = (size // 2 * 2 for size in x.shape[-2:])
    x = x[..., :height, :width]
    out: Images = x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]
    out /= 4
    return out
