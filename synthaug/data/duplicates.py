"""Near-duplicates: a perceptual hash proposes pairs of images, and the correlation of their thumbnails confirms them.

The hash alone is not enough: among small flat images (digits, clothes), hundreds of different ones share almost all
bits. Correlation of 16x16 pixels still confuses two pairs of trousers. Recompression and noise change fine detail only,
so the lowest frequencies of a copy must agree more closely still, relative to the contrast or in grey levels.

Measured: none of scikit-learn's 1,797 digits are joined, and 0.4% of 35,000 Fashion-MNIST images (1.8% without the
low-frequency test, 166 of them in one component). Copies of digits and clothes as JPEG of quality 75, or with noise of
5 grey levels, are found in 99% to 100% of cases; copies of dark sprites with little contrast in 93%. 50,000 images take
3 s on one core.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from synthaug.data.colour import CHROMA, LUMINANCE
from synthaug.data.decode import on_white
from synthaug.data.near_hashes import near_pairs

LOOK = 32  # side of the luminance thumbnail
SIDE = 16  # of the luminance that near-duplicates are compared by
CHROMA_SIDE = 4
THUMBNAIL_BYTES = LOOK * LOOK + 2 * CHROMA_SIDE * CHROMA_SIDE
HASH_DISTANCE = 10  # of 64 bits; 98% to 100% of the copies that pass the correlation are within it
CORRELATION = 0.993
COARSE = 5  # lowest DCT frequencies a side
COARSE_CORRELATION = 0.999
COARSE_LEVELS = 2.5  # or at most this root mean square difference in grey levels, for images of low contrast
CHROMA_DISTANCE = 24  # levels in any of 4x4 cells: a recoloured drawing is another image
FLATNESS = 2.0  # standard deviation in levels; flatter thumbnails are not compared
_TO_YCBCR = np.ascontiguousarray(np.array([LUMINANCE, *CHROMA], np.float32).T)
_AT_ONCE = 4096
_PAIRS = 1 << 18  # candidate pairs confirmed at once

_FREQUENCIES = sorted(
    ((i, j) for i in range(9) for j in range(9) if i + j > 0), key=lambda ij: (ij[0] + ij[1], ij)
)[:64]  # fmt: skip


def reduced(image: Image.Image) -> bytes:
    """An image at 32x32: 1,024 bytes if its mode is "L", else 3,072 bytes of RGB (transparency on white)."""
    return on_white(image).resize((LOOK, LOOK), Image.Resampling.BICUBIC, reducing_gap=3.0).tobytes()


def make_thumbnails(small: Iterable[bytes]) -> NDArray[np.uint8]:
    """Thumbnails, uint8 [N, 1056], of the results of `reduced`: 32x32 of luminance, then 4x4 of Cb and of Cr.

    They are converted together, because Pillow's conversion of a small image takes longer than decoding it.
    """
    small = list(small)
    rgb = np.empty((len(small), LOOK * LOOK, 3), np.uint8)
    for channels in (1, 3):
        which = [i for i, pixels in enumerate(small) if len(pixels) == channels * LOOK * LOOK]
        rgb[which] = np.frombuffer(b"".join(small[i] for i in which), np.uint8).reshape(-1, LOOK * LOOK, channels)
    rows = np.empty((len(rgb), THUMBNAIL_BYTES), np.uint8)
    for start in range(0, len(rgb), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        luminance, *chroma = np.moveaxis(rgb[some].astype(np.float32) @ _TO_YCBCR, 2, 0)  # [n, 1024] each
        cells = np.stack(chroma, axis=1).reshape(len(luminance), 2, CHROMA_SIDE, 8, CHROMA_SIDE, 8).mean((3, 5)) + 128
        rows[some] = np.rint(np.concatenate([luminance, cells.reshape(len(luminance), -1)], axis=1)).clip(0, 255)
    return rows


def perceptual_hashes(spectrum: NDArray[np.float32]) -> NDArray[np.uint64]:
    """64 bits per image, uint64 [N]: which of the 64 lowest DCT frequencies, without the mean, are above their median.

    Args:
        spectrum: DCT of the luminance, float [N, 16, 16], at any scale.
    """
    if len(spectrum) == 0:
        return np.zeros(0, np.uint64)
    rows, columns = np.array(_FREQUENCIES).T
    low = spectrum[:, rows, columns]
    bits = np.ascontiguousarray(np.packbits(low > np.median(low, axis=1, keepdims=True), axis=1))
    return bits.view(np.uint64)[:, 0]


def near_duplicate_components(thumbnails: NDArray[np.uint8], rows: NDArray[np.intp] | None = None) -> NDArray[np.intp]:
    """The connected component [N] of each image in the graph of near-duplicate pairs of thumbnails [N, 1056].

    An image with a flat thumbnail has a component of its own. With `rows` [M], only these images are looked at, and
    there are M components.
    """
    rows = np.arange(len(thumbnails)) if rows is None else rows
    component = np.arange(len(rows))
    comparison = _Comparison(thumbnails, rows)
    usable = comparison.usable
    for first, second in near_pairs(comparison.hashes, HASH_DISTANCE):
        for offset in range(0, len(first), _PAIRS):
            a, b = first[offset : offset + _PAIRS], second[offset : offset + _PAIRS]
            apart = np.flatnonzero(component[usable[a]] != component[usable[b]])
            a, b = comparison.confirmed(a[apart], b[apart])
            if len(a):
                component = join(component, usable[a], usable[b])
    return component


class _Comparison:
    """Confirms pairs of the images `rows[usable]` of thumbnails [N, 1056], whose `hashes` are near.

    Of each it keeps the low DCT frequencies only; the few pairs in which these agree are looked at again.
    """

    def __init__(self, thumbnails: NDArray[np.uint8], rows: NDArray[np.intp]) -> None:
        self.thumbnails, self.rows = thumbnails, rows
        usable, hashes, coarse = [np.zeros(0, np.intp)], [np.zeros(0, np.uint64)], [np.zeros((0, COARSE**2 - 1))]
        for start in range(0, len(rows), _AT_ONCE):
            luminance, norm = _luminance(thumbnails[rows[start : start + _AT_ONCE]])
            some = np.flatnonzero(norm > FLATNESS * SIDE)
            spectrum = dctn((luminance[some] / norm[some, None]).reshape(-1, SIDE, SIDE), axes=(1, 2), norm="ortho")
            usable.append(some + start)
            hashes.append(perceptual_hashes(spectrum))
            coarse.append(spectrum[:, :COARSE, :COARSE].reshape(len(some), COARSE**2)[:, 1:] * norm[some, None])
        self.usable, self.hashes = np.concatenate(usable), np.concatenate(hashes)
        self.coarse = np.concatenate(coarse, dtype=np.float32)
        self.coarse_norm = np.linalg.norm(self.coarse, axis=1)

    def confirmed(self, a: NDArray[np.intp], b: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The pairs (a[i], b[i]) that are near-duplicates."""
        product = np.einsum("ij,ij->i", self.coarse[a], self.coarse[b])
        norm_a, norm_b = self.coarse_norm[a], self.coarse_norm[b]
        square = norm_a**2 + norm_b**2 - 2 * product
        alike = (product >= COARSE_CORRELATION * norm_a * norm_b) | (square <= (COARSE_LEVELS * SIDE) ** 2)
        a, b = a[alike], b[alike]
        found = [self._agree(a[k : k + _AT_ONCE], b[k : k + _AT_ONCE]) for k in range(0, len(a), _AT_ONCE)]
        alike = np.concatenate([np.zeros(0, np.bool_), *found])
        return a[alike], b[alike]

    def _agree(self, a: NDArray[np.intp], b: NDArray[np.intp]) -> NDArray[np.bool_]:
        one, other = (self.thumbnails[self.rows[self.usable[some]]] for some in (a, b))
        (light, norm), (other_light, other_norm) = _luminance(one), _luminance(other)
        correlation = np.einsum("ij,ij->i", light / norm[:, None], other_light / other_norm[:, None])
        chroma, other_chroma = (some[:, LOOK * LOOK :].astype(np.int16) for some in (one, other))
        shift = np.abs(chroma - other_chroma).max(axis=1, initial=0)
        grey = np.all(np.abs(chroma - 128) <= 2, axis=1) | np.all(np.abs(other_chroma - 128) <= 2, axis=1)
        alike: NDArray[np.bool_] = (correlation >= CORRELATION) & ((shift <= CHROMA_DISTANCE) | grey)
        return alike  # a grey copy is a copy


def _luminance(thumbnails: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Luminance without its mean, at 16 x 16 [N, 256], and its norm [N]."""
    step = LOOK // SIDE
    light = thumbnails[:, : LOOK * LOOK].reshape(-1, SIDE, step, SIDE, step).mean((2, 4), dtype=np.float32)
    light = light.reshape(-1, SIDE * SIDE)
    light -= light.mean(axis=1, keepdims=True)
    norm: NDArray[np.float32] = np.linalg.norm(light, axis=1)
    return light, norm


def join(component: NDArray[np.intp], first: NDArray[np.intp], second: NDArray[np.intp]) -> NDArray[np.intp]:
    """Merge the components that the pairs `first[i]`, `second[i]` connect.

    >>> join(np.arange(4), np.array([0, 1]), np.array([1, 3])).tolist()
    [0, 0, 1, 0]
    """
    size = int(component.max(initial=-1)) + 1
    links = coo_array((np.ones(len(first), np.bool_), (component[first], component[second])), shape=(size, size))
    merged: NDArray[np.intp] = connected_components(links, directed=False)[1].astype(np.intp)
    return merged[component]
