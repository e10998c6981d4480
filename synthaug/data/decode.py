"""Decodes image files to upright 8-bit images, and resizes images to arrays.

Real and synthetic images are decoded and resized here only, so they cannot be told apart by their resampling. Aliased
or different resizing alone changes FID by several points (Parmar et al., arXiv:2104.11222).
"""

from __future__ import annotations

import ctypes
import ctypes.util
import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from synthaug.config import Fit
from synthaug.data import shards
from synthaug.errors import SynthaugError
from synthaug.files import digest

DECODE_VERSION = 1  # part of every cache key; raise it when a file decodes to other pixels
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "PPM")  # EPS, for example, would run a program
_RASTER = (".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif")
SUFFIXES = frozenset({*_RASTER, ".ppm", ".pgm", ".pbm", ".pnm"})
MAX_PIXELS = 89_478_485  # Pillow's own threshold for a decompression bomb (a quarter of a GiB as RGB)
MAX_FILE_BYTES = 1 << 29
OVERSAMPLE = 4  # a JPEG decoded at reduced size is at least this many times larger than the result


class UnreadableImage(SynthaugError):
    """A file that cannot be decoded; `reason` is shown in the list of unreadable files."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"cannot read the image {str(path)!r}: {reason}", "replace or remove the file")
        self.reason = " ".join(reason.split())


@contextmanager
def quiet_decoding() -> Iterator[None]:
    """Silence Pillow's warnings and log (broken EXIF, palette transparency, size); errors are still raised.

    Warning filters belong to the process: enter this before threads start, never inside a thread.
    """
    _silence_libtiff()
    log = logging.getLogger("PIL")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


@cache
def _silence_libtiff() -> None:
    """Silence libtiff, which writes to file descriptor 2; Pillow raises its errors anyway."""
    package = Path(PIL.__file__).parent
    bundled = [*package.parent.glob("pillow.libs/libtiff*"), *package.glob(".dylibs/libtiff*")]  # Linux, macOS wheels
    for library in bundled or filter(None, [ctypes.util.find_library("tiff")]):
        with suppress(OSError, AttributeError):
            handle = ctypes.CDLL(str(library))
            handle.TIFFSetErrorHandler(None)
            handle.TIFFSetWarningHandler(None)


def open_image(path: Path, *, at_least: int | None = None) -> Image.Image:
    """Decode the first frame of a file as an upright image of mode "L", "RGB" or, if a pixel is transparent, "RGBA".

    Grey images of 16 bits keep their high byte, as Pillow does for 16-bit colour. Palettes and CMYK become RGB.
    Colour profiles are not applied.

    Args:
        at_least: a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size if both sides keep this many pixels.

    Raises:
        UnreadableImage: missing, truncated, not an image, too large, or a pixel type without a defined range.
    """
    with quiet_decoding():
        return decode(path, at_least=at_least)[0]


def decode(path: Path, *, at_least: int | None = None) -> tuple[Image.Image, str, str]:
    """As `open_image`, for use under `quiet_decoding`; also returns the file's colour mode and format."""
    return decode_bytes(file_bytes(path), path, at_least=at_least)


def decode_bytes(data: bytes, path: Path, *, at_least: int | None = None) -> tuple[Image.Image, str, str]:
    """As `decode`, from the contents of a file; `path` is for error messages."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise UnreadableImage(path, _too_large(f"{width}x{height} pixels"))
            if at_least is not None and min(image.size) >= 2 * at_least:
                image.draft(None, (at_least, at_least))
            mode, kind = image.mode, image.format or "unknown"
            image.load()
            rotates = "exif" in image.info or kind in ("TIFF", "MPO")
            return _to_8_bit(ImageOps.exif_transpose(image) if rotates else image, path), mode, kind
    except UnreadableImage:
        raise
    except UnidentifiedImageError as error:
        raise UnreadableImage(path, f"not an image ({_looks_like(data)})") from error
    except Image.DecompressionBombError as error:
        raise UnreadableImage(path, _too_large("too many pixels")) from error
    except Exception as error:  # decoders of foreign files raise almost anything: SyntaxError, struct.error, zlib.error
        raise UnreadableImage(path, f"broken image data ({str(error) or type(error).__name__})") from error


def header_size(path: Path) -> tuple[int, int]:
    """Width and height as the file's header gives them, before any rotation.

    Raises:
        UnreadableImage: missing, or not an image.
    """
    try:
        source = path if path.is_file() else io.BytesIO(file_bytes(path))
        with Image.open(source, formats=FORMATS) as image:
            return image.width, image.height
    except OSError as error:
        raise UnreadableImage(path, error.strerror or "not an image") from error


def file_bytes(path: Path) -> bytes:
    """The contents of an image file, also in a shard.

    Raises:
        UnreadableImage: missing, empty or too large.
    """
    try:
        if shards.status(path).st_size > MAX_FILE_BYTES:
            raise UnreadableImage(path, f"the file is larger than {MAX_FILE_BYTES >> 20} MiB")
        data = shards.read(path)
    except OSError as error:
        raise UnreadableImage(path, (error.strerror or "cannot be read").lower()) from error
    if not data:
        raise UnreadableImage(path, "the file is empty")
    return data


def _too_large(size: str) -> str:
    return f"decompression bomb: {size}, the limit is {MAX_PIXELS}"


def _looks_like(data: bytes) -> str:
    head = data[:512]
    if head.lstrip()[:1] == b"<":
        return "it looks like HTML, XML or SVG"
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return "unknown content" if error.start < len(head) - 4 else "it is a text file"
    return "it is a text file" if b"\0" not in head else "unknown content"


def _to_8_bit(image: Image.Image, path: Path) -> Image.Image:
    """Convert to "L", "RGB" or "RGBA"; an alpha channel that is opaque everywhere is dropped."""
    mode = image.mode
    if mode == "L" and "transparency" not in image.info:
        return image
    if mode == "1":
        return image.convert("L")
    if mode in ("I", "F") or mode.startswith("I;16"):
        return _rescale(image, path)
    if image.has_transparency_data:
        with_alpha = image.convert("RGBA")
        lowest = with_alpha.getchannel("A").getextrema()[0]
        return with_alpha if lowest != 255 else with_alpha.convert("RGB")
    return image if mode == "RGB" else image.convert("RGB")


def _rescale(image: Image.Image, path: Path) -> Image.Image:
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise UnreadableImage(path, "floating-point pixels that are not finite")
    if image.mode != "F":
        if low < 0 or high > 65535:
            raise UnreadableImage(path, f"integer pixels from {low:.0f} to {high:.0f}, beyond 16 bits")
        return Image.fromarray((values.astype(np.uint32) >> 8).astype(np.uint8))
    if low < 0 or high > 255:
        raise UnreadableImage(path, f"floating-point pixels from {low:.4g} to {high:.4g}, outside 0..1 and 0..255")
    return Image.fromarray(np.rint(values * (255.0 if high <= 1 else 1.0)).astype(np.uint8))


def pixel_sha256(image: Image.Image) -> str:
    """Hash of mode, size and pixels of an image from `open_image`; a grey image has the same hash as L and as RGB."""
    return hash_and_colour(image)[0]


def hash_and_colour(image: Image.Image) -> tuple[str, bool]:
    """`pixel_sha256`, and whether the image has colour (one with transparency counts as coloured)."""
    mode = image.mode
    if mode not in ("L", "RGB", "RGBA"):
        raise ValueError(f"expected an image of mode L, RGB or RGBA, got {mode}")
    pixels = image.tobytes()
    if mode == "RGB" and (red := pixels[::3]) == pixels[1::3] == pixels[2::3]:
        mode, pixels = "L", red
    return digest(f"{mode} {image.width}x{image.height}\n", pixels), mode != "L"


def on_white(image: Image.Image) -> Image.Image:
    """Lay a transparent image on white."""
    if image.mode != "RGBA":
        return image
    canvas = Image.new("RGBA", image.size, (255, 255, 255, 255))
    canvas.alpha_composite(image)
    return canvas.convert("RGB")


def resize(image: Image.Image, resolution: int, channels: int, fit: Fit) -> NDArray[np.uint8]:
    """Resize an image to a square array.

    `pad` keeps all of a non-square image and fills the rest with the median colour of its border, `crop` keeps its
    middle, `stretch` distorts it. Sampling is antialiased (Lanczos down, bicubic up); an image of the right size is not
    changed. Transparent images are laid on white.

    Args:
        image: mode "L", "RGB" or "RGBA".
        resolution: side of the square in pixels.
        channels: 1 (luminance, ITU-R 601) or 3.

    Returns:
        uint8 [channels, resolution, resolution].
    """
    image = on_white(image).convert("L" if channels == 1 else "RGB")
    width, height = image.size
    target = (resolution, resolution)
    if fit == "crop":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        image = _sample(image, target, (left, top, left + side, top + side))
    elif fit == "pad" and width != height:
        scale = resolution / max(width, height)
        inner = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = _sample(image, inner)
        canvas = Image.new(image.mode, target, _border_colour(small))
        canvas.paste(small, ((resolution - inner[0]) // 2, (resolution - inner[1]) // 2))
        image = canvas
    else:
        image = _sample(image, target)
    array = np.asarray(image)
    return np.ascontiguousarray(array[None] if channels == 1 else array.transpose(2, 0, 1))


def _sample(
    image: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float] | None = None
) -> Image.Image:
    whole = (0.0, 0.0, float(image.width), float(image.height))
    box = whole if box is None else box
    if image.size == size and box == whole:
        return image
    shrinks = box[2] - box[0] > size[0] or box[3] - box[1] > size[1]
    how = Image.Resampling.LANCZOS if shrinks else Image.Resampling.BICUBIC
    return image.resize(size, how, box=box, reducing_gap=3.0)


def _border_colour(image: Image.Image) -> int | tuple[int, ...]:
    pixels = np.asarray(image)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    middle = np.median(border.reshape(len(border), -1), axis=0).astype(int).tolist()
    return int(middle[0]) if image.mode == "L" else tuple(middle)
