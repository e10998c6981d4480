"""Gives synthetic images the size, colour mode, file format and quality of real ones, so files do not reveal them.

The look of each real training image is read from its file, and each synthetic image of a class draws one of the looks
of its class. So formats, and except for `crop` also sizes, have the same distribution among synthetic images as among
real ones. The fit (`pad`, `crop`, `stretch`) is undone: preparing the result for training gives the generator's image
again, up to resampling.
"""

from __future__ import annotations

import io
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin
from pydantic import BaseModel, ConfigDict, Field, model_validator

from synthaug.config import Fit
from synthaug.data.decode import FORMATS, MAX_PIXELS
from synthaug.data.enlargement import NOTICED, enlargement
from synthaug.errors import SynthaugError
from synthaug.exporters.provenance import save_marked
from synthaug.files import digest
from synthaug.sampling.upscaling import TrainedUpscaler

Tables = dict[str, list[list[int]]]  # key → JPEG quantisation tables
Sides = Literal["cut", "mirrored"]
"""What is beside a cropped image: nothing, or its reflection, as in exports before this rule was recorded."""

_EDGE = 0.5  # a bar ends where this share of a row differs from the bar's colour
_TOLERANCE = 24  # grey levels by which a generated bar may differ from one colour
_WRITTEN_AS = {"MPO": "JPEG", "DIB": "BMP"}
_OPTIONS_OF_TIFF = ("raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits")


class Look(BaseModel):
    """Size, mode and format of a real image's file; width and height are those of the upright image."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: int = Field(gt=0, le=65535)
    height: int = Field(gt=0, le=65535)
    mode: str
    format: str
    suffix: str = Field(pattern=r"^\.[A-Za-z0-9]{1,8}$")
    colours: int | None = Field(None, ge=2, le=256)  # of a palette
    tables: str | None = None  # key of the JPEG quantisation tables
    subsampling: int | None = None
    progressive: bool = False
    quality: int | None = None  # of a lossy WebP
    compression: str | None = None  # of a TIFF

    @model_validator(mode="after")
    def _can_be_read_again(self) -> Look:
        if self.format not in FORMATS:
            raise ValueError(f"the format {self.format!r} is not read")
        if self.width * self.height > MAX_PIXELS:
            raise ValueError(f"{self.width}x{self.height} pixels are more than {MAX_PIXELS}")
        return self


class LookCount(Look):
    """A look, and how many real images of the class have it."""

    count: int = Field(1, gt=0)


def counted(looks: Iterable[Look]) -> list[LookCount]:
    """Each distinct look with its count, in the order of first appearance."""
    counts = Counter(looks)
    return [LookCount(**look.model_dump(), count=number) for look, number in counts.items()]


def read_look(data: bytes, suffix: str, tables: Tables) -> Look:
    """The look of an image file's contents; new JPEG tables are added to `tables`."""
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
        if image.getexif().get(0x0112, 1) in (5, 6, 7, 8):  # Orientation: rotated by 90°
            width, height = height, width
        kind = _WRITTEN_AS.get(image.format or "", image.format or "PNG")
        details: dict[str, Any] = {}
        if kind == "JPEG":
            quantisation = [list(table) for _, table in sorted(getattr(image, "quantization", {}).items())]
            if quantisation:
                details["tables"] = digest(repr(quantisation))[:12]
                tables[details["tables"]] = quantisation
            subsampling = JpegImagePlugin.get_sampling(image)
            details["subsampling"] = subsampling if subsampling >= 0 else None
            details["progressive"] = bool(image.info.get("progressive"))
        elif kind == "WEBP" and b"VP8L" not in data[:64]:
            details["quality"] = _webp_quality(image, len(data))
        elif kind == "TIFF":
            compression = str(image.info.get("compression", "raw"))
            details["compression"] = compression if compression in _OPTIONS_OF_TIFF else "tiff_adobe_deflate"
        if image.mode in ("P", "PA"):
            details["colours"] = max(2, min(256, len(image.getcolors(256) or range(256))))
        return Look(width=width, height=height, mode=image.mode, format=kind, suffix=suffix, **details)


def _webp_quality(image: Image.Image, size: int) -> int:
    """The lowest quality at which the image compresses to at least `size` bytes, because WebP does not store it.

    Decoded pixels compress further than the original did, so the result is up to ten points too high.
    """
    plain = image.convert("RGB")

    def compressed(quality: int) -> int:
        buffer = io.BytesIO()
        plain.save(buffer, "WEBP", quality=quality)
        return len(buffer.getvalue())

    return bisect_left(range(1, 100), size, key=compressed) + 1


class Looks:
    """The looks of a class, to draw from.

    If the fit padded images of several aspect ratios, the generator also paints the bars. Clear bars determine the
    aspect ratio; on a plain background, any aspect ratio whose bars fit is drawn.
    """

    def __init__(self, looks: Sequence[LookCount], fit: Fit, resolution: int) -> None:
        self.looks = looks
        self.fit = fit
        self._counts = np.asarray([look.count for look in looks])
        self._ends = np.cumsum(self._counts).tolist()
        self._bars: NDArray[np.int64] | None = None
        if fit == "pad":
            bars = np.asarray([_bars(look, resolution) for look in looks], np.int64)
            self._bars = bars if (bars != bars[0]).any() else None

    def choose(self, pixels: NDArray[np.uint8], draw: int) -> int:
        """The index of a look for a synthetic image [C, H, W]; `draw` is the image's own random number."""
        if self._bars is not None:
            found, certain = _find_bars(pixels)
            if certain:
                distance = np.abs(self._bars - found).sum(axis=1)
                fitting = np.flatnonzero(distance == distance.min())
            else:
                fitting = np.flatnonzero((self._bars <= found).all(axis=1))
            if len(fitting):
                ends = np.cumsum(self._counts[fitting])
                return int(fitting[np.searchsorted(ends, draw % int(ends[-1]), side="right")])
        return bisect_right(self._ends, draw % self._ends[-1])


def _inner(look: Look, resolution: int) -> tuple[int, int]:
    scale = resolution / max(look.width, look.height)
    return max(1, round(look.width * scale)), max(1, round(look.height * scale))


def _bars(look: Look, resolution: int) -> tuple[int, int]:
    """Width of the bars left and right, and height of those above and below."""
    width, height = _inner(look, resolution)
    return (resolution - width) // 2, (resolution - height) // 2


def _find_bars(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.int64], bool]:
    """Widths of an image's plain bars (left and right, above and below), and whether a clear edge ends them."""
    found, certain = [0, 0], False
    for position, image in enumerate((pixels.transpose(0, 2, 1), pixels)):
        lines = image.transpose(1, 2, 0).astype(np.int16)  # [side, other side, C]
        colour = np.median(np.concatenate([lines[0], lines[-1]]), axis=0)
        strays = (np.abs(lines - colour).max(axis=-1) > _TOLERANCE).mean(axis=1)
        plain = np.minimum(strays, 1) <= 0.05
        both = plain & plain[::-1]
        half = len(lines) // 2
        width = int(np.argmin(both[:half])) if not both[:half].all() else half
        found[position] = width
        if 0 < width < half and max(strays[width], strays[-1 - width]) > _EDGE:
            certain = True
    return np.asarray(found), certain


def apply_look(
    pixels: NDArray[np.uint8], look: Look, fit: Fit, sides: Sides = "cut", upscaler: TrainedUpscaler | None = None
) -> Image.Image:
    """Turn a generator's image [C, H, W] into an image of a look's size and mode, undoing the fit.

    This is the only place where images are enlarged: by the upscaler, if there is one, up to the power of two next to
    the look's size, and the rest of the way by resampling. No pixel is made up beside what the generator drew:

    - `pad`: the bars at the sides, which the generator has drawn too, are cut off.
    - `stretch`: the image is stretched back.
    - `crop`: the generator saw the middle square of real images, so the image is a square of the look's shorter side.
      With `sides` "mirrored", as in old exports, its sides are filled by reflection to the look's size.
    """
    side = pixels.shape[2]
    if upscaler is not None:
        pixels = upscaler.towards(pixels, enlargement(look.width, look.height, fit, side))
    grown = pixels.shape[2] // side
    image = as_image(pixels)
    size = (look.width, look.height)
    if fit == "crop":
        image = _sample(image, (min(size), min(size)), (0, 0, *image.size))
        if sides == "mirrored" and look.width != look.height:
            image = _reflect(image, size)
    elif fit == "pad":
        width, height = _inner(look, side)
        left, top = (side - width) // 2, (side - height) // 2
        image = _sample(image, size, (grown * left, grown * top, grown * (left + width), grown * (top + height)))
    else:
        image = _sample(image, size, (0, 0, *image.size))
    return to_mode(image, look)


def as_image(pixels: NDArray[np.uint8]) -> Image.Image:
    """An image uint8 [C, H, W], C 1 or 3, as Pillow has it."""
    return Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))


def typical_enlargement(looks: Sequence[LookCount], fit: Fit, resolution: int) -> float:
    """The median `enlargement` of the images of a class."""
    each = [enlargement(look.width, look.height, fit, resolution) for look in looks]
    return float(np.median(np.repeat(each, [look.count for look in looks])))


def enlargement_warning(factors: Mapping[str, float], resolution: int) -> str | None:
    """A sentence, if the images of a class are enlarged more than `NOTICED` times; `factors`: class → typical factor.

    >>> enlargement_warning({"a": 1.2, "b": 1.5}, 32) is None
    True
    """
    if not factors or max(factors.values()) <= NOTICED:
        return None
    low, high = f"{min(factors.values()):.1f}", f"{max(factors.values()):.1f}"
    times = high if low == high else f"{low} to {high} (by class)"
    return (
        f"the synthetic images have {resolution} px and are enlarged {times} times to the size of the real ones: they "
        "are less sharp; `synthaug evaluate --size native` judges them at that size"
    )


def _sample(image: Image.Image, size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    if image.size == size and box == (0, 0, *size):
        return image
    shrinks = box[2] - box[0] > size[0] or box[3] - box[1] > size[1]
    return image.resize(size, Image.Resampling.LANCZOS if shrinks else Image.Resampling.BICUBIC, box=box)


def _reflect(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    array = np.asarray(image)
    extra = (size[1] - image.height, size[0] - image.width)
    pads = [(e // 2, e - e // 2) for e in extra] + [(0, 0)] * (array.ndim - 2)
    return Image.fromarray(np.pad(array, pads, mode="symmetric"))


def to_mode(image: Image.Image, look: Look) -> Image.Image:
    """The image in a look's colour mode."""
    mode = look.mode
    if mode == image.mode:
        return image
    if mode in ("RGB", "L", "RGBA", "LA", "CMYK", "YCbCr"):
        converted = image.convert(mode)  # synthetic images are opaque
        if mode == "RGBA" and look.format == "WEBP":
            alpha = converted.getchannel("A")
            alpha.putpixel((0, 0), 254)  # WebP drops a fully opaque channel
            converted.putalpha(alpha)
        return converted
    if mode in ("P", "PA"):
        return image.convert("RGB").quantize(look.colours or 256, dither=Image.Dither.NONE)
    if mode == "1":
        return image.convert("L").point(lambda level: 255 if level >= 128 else 0).convert("1", dither=Image.Dither.NONE)
    if mode.startswith("I"):
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    return image.convert("L" if mode == "F" else "RGB")


def encode(image: Image.Image, look: Look, tables: Tables) -> bytes:
    """The bytes of a file of an image, marked as synthetic; equal arguments give equal bytes.

    Raises:
        SynthaugError: there are no such files; the look comes from a manifest that was changed.
    """
    options: dict[str, Any] = {}
    if look.format == "JPEG":
        options = {"progressive": look.progressive, "optimize": look.progressive}
        if look.tables is not None:
            options["qtables"] = [list(table) for table in tables.get(look.tables, [])]
        if look.subsampling is not None and image.mode == "RGB":
            options["subsampling"] = look.subsampling
    elif look.format == "WEBP":
        options = {"lossless": True} if look.quality is None else {"quality": look.quality}
    elif look.format == "TIFF":
        options = {"compression": None if look.compression in (None, "raw") else look.compression}
    try:
        return save_marked(image, look.format, **options)
    except Exception as error:  # encoders, too, raise almost anything
        raise SynthaugError(
            f"no image can be written as {look.mode} in {look.format}: {error}", "export again"
        ) from error


def plain_look(resolution: int, channels: int) -> Look:
    """A PNG as the generator makes it."""
    return Look(width=resolution, height=resolution, mode="L" if channels == 1 else "RGB", format="PNG", suffix=".png")
