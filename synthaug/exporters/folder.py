"""Image folders: one folder a class, read by torchvision's ImageFolder and Hugging Face's imagefolder as they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from synthaug.config import Fit
from synthaug.data.decode import decode, decode_bytes, pixel_sha256
from synthaug.exporters.format import Format
from synthaug.exporters.looks import Look, Sides, Tables, apply_look, encode
from synthaug.files import digest
from synthaug.sampling.upscaling import TrainedUpscaler

_EXACT = ("PNG", "BMP")
"""Lossless formats, whose files need not be decoded to know their pixels."""


def pack(tree: Path) -> None:
    """The working tree is this format already."""


FORMAT = Format(pack)


@dataclass(frozen=True)
class Written:
    """A synthetic file: its size in pixels, and the hashes of its bytes and of its decoded pixels."""

    width: int
    height: int
    sha256: str
    pixel_sha256: str


def write_synthetic(
    path: Path, pixels: NDArray[np.uint8], look: Look, fit: Fit, tables: Tables, sides: Sides = "cut",
    upscaler: TrainedUpscaler | None = None,
) -> Written:  # fmt: skip
    """Give a generator's image [C, H, W] a look and write it; equal arguments give equal bytes."""
    image = apply_look(pixels, look, fit, sides, upscaler)
    data = encode(image, look, tables)
    path.write_bytes(data)
    upright = image if _is_exact(image, look) else decode(path)[0]
    return Written(*upright.size, digest(data), pixel_sha256(upright))


def as_read(
    pixels: NDArray[np.uint8], look: Look, fit: Fit, tables: Tables, *, name: str, at_least: int,
    upscaler: TrainedUpscaler | None = None,
) -> Image.Image:  # fmt: skip
    """The image that a reader of the file sees that `write_synthetic` writes; `at_least`: see `decode.open_image`."""
    image = apply_look(pixels, look, fit, upscaler=upscaler)
    if _is_exact(image, look):
        return image
    return decode_bytes(encode(image, look, tables), Path(name), at_least=at_least)[0]


def _is_exact(image: Image.Image, look: Look) -> bool:
    return look.format in _EXACT and image.mode in ("L", "RGB")
