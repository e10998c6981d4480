"""A cache of the features of real images, keyed by the net's hash and the images' pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from synthaug.data import store
from synthaug.features.base import FeatureNet, Features, Pixels
from synthaug.files import digest, replacing
from synthaug.progress import Progress

_VERSION = 1
_CHUNK = 512


def describe(net: FeatureNet, pixels: Pixels, *, name: str, progress: Progress, keep: Path | None = None) -> Features:
    """Features float32 [N, dim] of uint8 images [N, C, H, W], read from the cache if they are in it.

    Args:
        net: the feature net.
        pixels: the images.
        name: of the progress bar.
        progress: where to report.
        keep: the cache's root; None, or a folder that is not writable: nothing is stored.
    """
    if not len(pixels):
        return np.empty((0, net.dim), np.float32)
    key = digest([_VERSION, net.name, net.sha256, net.dim], pixels)
    file = keep / store.FEATURES / f"{key}.npy" if keep is not None else None
    if file is not None and (known := _read(file, (len(pixels), net.dim))) is not None:
        return known
    out = np.empty((len(pixels), net.dim), np.float32)
    with progress.task(name, len(pixels), "images") as task:
        for start in range(0, len(pixels), _CHUNK):
            part = np.ascontiguousarray(pixels[start : start + _CHUNK])
            out[start : start + len(part)] = net(part)
            task.advance(len(part))
    if file is not None and keep is not None:
        _write(file, out, keep, progress)
    return out


def _read(file: Path, shape: tuple[int, int]) -> Features | None:
    try:
        found = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if found.shape != shape or found.dtype != np.float32:
        return None
    store.touch(file)
    return np.asarray(found, np.float32)


def _write(file: Path, features: Features, root: Path, progress: Progress) -> None:
    try:
        if store.make_room(root, features.nbytes):
            with replacing(file) as temporary, temporary.open("wb") as out:
                np.save(out, features, allow_pickle=False)
    except OSError as error:
        progress.warn(
            f"features cannot be stored in {str(root)!r}: {error.strerror}; they are computed again next time"
        )
