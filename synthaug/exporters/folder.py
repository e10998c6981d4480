"""Image folders: one folder a class, read by torchvision's ImageFolder and Hugging Face's imagefolder as they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synthaug.config import Fit
from synthaug.data.decode import decode, pixel_sha256
from synthaug.exporters.looks import Look, Tables, apply_look, encode
from synthaug.files import digest

_EXACT = ("PNG", "BMP")
"""Lossless formats, whose files need not be decoded to know their pixels."""


def pack(tree: Path) -> None:
    """The working tree is this format already."""


@dataclass(frozen=True)
class Written:
    """A synthetic file: its size in pixels, and the hashes of its bytes and of its decoded pixels."""

    width: int
    height: int
    sha256: str
    pixel_sha256: str


def write_synthetic(path: Path, pixels: NDArray[np.uint8], look: Look, fit: Fit, tables: Tables) -> Written:
    """Give a generator's image [C, H, W] a look and write it; equal arguments give equal bytes."""
    image = apply_look(pixels, look, fit)
    data = encode(image, look, tables)
    path.write_bytes(data)
    exact = look.format in _EXACT and image.mode in ("L", "RGB")
    upright = image if exact else decode(path)[0]
    return Written(*upright.size, digest(data), pixel_sha256(upright))
