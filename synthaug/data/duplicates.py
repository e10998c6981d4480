"""Near-duplicates: a perceptual hash proposes pairs of images, the correlation of their thumbnails confirms them.

A hash alone chains unrelated images: on small flat ones (digits, clothes) hundreds of strangers share almost all
bits. Measured with a correlation of at least 0.993 on 16x16 luminance thumbnails: of 1,797 scikit-learn digits 0.1%
get a partner, of 4,000 Fashion-MNIST images 0.3%, while all copies recompressed as JPEG at quality 75, rescaled by
3/4 or given noise of 5 grey levels are found.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import dctn
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from synthaug.data.decode import on_white

SIDE = 16  # of the luminance thumbnail
CHROMA_SIDE = 4
THUMBNAIL_BYTES = SIDE * SIDE + 2 * CHROMA_SIDE * CHROMA_SIDE
HASH_DISTANCE = 10  # bits of 64; copies that pass the correlation are within it in 98% to 100% of cases
CORRELATION = 0.993
CHROMA_DISTANCE = 24  # levels in any of 4x4 cells: a recoloured drawing is another image
FLATNESS = 2.0  # standard deviation in levels under which a thumbnail shows nothing that could be compared
_NO_CHROMA = b"\x80" * (2 * CHROMA_SIDE**2)
_ROWS = 512  # hash rows compared with all others at once
_PAIRS = 1 << 18  # candidate pairs confirmed at once

_FREQUENCIES = sorted(
    ((i, j) for i in range(9) for j in range(9) if i + j > 0), key=lambda ij: (ij[0] + ij[1], ij)
)[:64]  # fmt: skip


def thumbnail(image: Image.Image) -> NDArray[np.uint8]:
    """What two images are compared by: 16x16 luminance, then 4x4 of Cb and of Cr.

    Args:
        image: mode "L", "RGB" or "RGBA".

    Returns:
        uint8 [288].
    """
    image = on_white(image)
    bicubic = Image.Resampling.BICUBIC
    if image.mode == "L":
        return np.frombuffer(image.resize((SIDE, SIDE), bicubic, reducing_gap=3.0).tobytes() + _NO_CHROMA, np.uint8)
    small = image.resize((SIDE, SIDE), bicubic, reducing_gap=3.0).convert("YCbCr")
    chroma = np.asarray(small.resize((CHROMA_SIDE, CHROMA_SIDE), Image.Resampling.BOX))[..., 1:]
    return np.concatenate([np.asarray(small)[..., 0].ravel(), chroma.transpose(2, 0, 1).ravel()])


def perceptual_hashes(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """64 bits an image: which of its 64 lowest DCT frequencies, without the mean, lie above their median.

    Args:
        thumbnails: uint8 [N, 288].

    Returns:
        uint64 [N].
    """
    if len(thumbnails) == 0:
        return np.zeros(0, np.uint64)
    luminance = thumbnails[:, : SIDE * SIDE].reshape(-1, SIDE, SIDE).astype(np.float32)
    spectrum = dctn(luminance, axes=(1, 2), norm="ortho")
    rows, columns = np.array(_FREQUENCIES).T
    low = spectrum[:, rows, columns]
    bits = np.ascontiguousarray(np.packbits(low > np.median(low, axis=1, keepdims=True), axis=1))
    return bits.view(np.uint64)[:, 0]


def near_duplicate_components(thumbnails: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Number the connected components of the confirmed near-duplicate pairs.

    Images whose thumbnail is flat are alone: nothing could confirm them.

    Args:
        thumbnails: uint8 [N, 288].

    Returns:
        int [N]: equal numbers mean that a chain of confirmed pairs leads from one image to the other.
    """
    count = len(thumbnails)
    component = np.arange(count)
    luminance = thumbnails[:, : SIDE * SIDE].astype(np.float32)
    luminance -= luminance.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(luminance, axis=1, keepdims=True)
    usable = np.flatnonzero(norm[:, 0] > FLATNESS * SIDE)
    vectors = luminance[usable] / norm[usable]
    chroma = thumbnails[usable, SIDE * SIDE :].astype(np.int16)
    grey: NDArray[np.bool_] = np.all(np.abs(chroma - 128) <= 2, axis=1)
    hashes = perceptual_hashes(thumbnails[usable])
    for start in range(0, len(usable), _ROWS):
        bits: NDArray[np.uint8] = np.bitwise_count(hashes[start : start + _ROWS, None] ^ hashes[None, start:])
        first, second = np.nonzero(bits <= HASH_DISTANCE)
        later = np.flatnonzero(second > first)
        first, second = first[later] + start, second[later] + start
        for offset in range(0, len(first), _PAIRS):
            a, b = first[offset : offset + _PAIRS], second[offset : offset + _PAIRS]
            apart = np.flatnonzero(component[usable[a]] != component[usable[b]])
            a, b = a[apart], b[apart]
            alike = np.flatnonzero(np.einsum("ij,ij->i", vectors[a], vectors[b]) >= CORRELATION)
            a, b = a[alike], b[alike]
            shift: NDArray[np.int16] = np.abs(chroma[a] - chroma[b]).max(axis=1, initial=0)
            keep = np.flatnonzero((shift <= CHROMA_DISTANCE) | grey[a] | grey[b])  # a grey copy is a copy
            if len(keep):
                component = join(component, usable[a[keep]], usable[b[keep]])
    return component


def join(component: NDArray[np.intp], first: NDArray[np.intp], second: NDArray[np.intp]) -> NDArray[np.intp]:
    """Merge the components that the pairs `first[i]`, `second[i]` connect.

    >>> join(np.arange(4), np.array([0, 1]), np.array([1, 3])).tolist()
    [0, 0, 1, 0]
    """
    size = int(component.max(initial=-1)) + 1
    links = coo_array((np.ones(len(first), np.bool_), (component[first], component[second])), shape=(size, size))
    merged: NDArray[np.intp] = connected_components(links, directed=False)[1].astype(np.intp)
    return merged[component]
