"""Every kind of file becomes an upright 8-bit image or a reason, and one path makes arrays of images."""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from synthaug.data.decode import MAX_PIXELS, UnreadableImage, open_image, pixel_sha256, resize

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 9), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)


def save(folder: Path, name: str, image: Image.Image, **options: object) -> Path:
    path = folder / name
    image.save(path, **options)  # type: ignore[arg-type]
    return path


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds almost nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("suffix", ["png", "webp", "bmp", "tiff", "gif", "pgm"])
def test_lossless_grey_is_read_exactly(tmp_path: Path, suffix: str) -> None:
    options = {"lossless": True} if suffix == "webp" else {}
    image = open_image(save(tmp_path, f"x.{suffix}", Image.fromarray(GREY), **options))
    assert np.array_equal(np.asarray(image.convert("L")), GREY)
    assert pixel_sha256(image) == pixel_sha256(Image.fromarray(GREY))


@pytest.mark.parametrize("suffix", ["png", "webp", "bmp", "tiff", "ppm"])
def test_lossless_colour_is_read_exactly(tmp_path: Path, suffix: str) -> None:
    options = {"lossless": True} if suffix == "webp" else {}
    image = open_image(save(tmp_path, f"x.{suffix}", Image.fromarray(COLOUR), **options))
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), COLOUR)


def test_jpeg_is_read_upright(tmp_path: Path) -> None:
    stored = Image.fromarray(np.kron(GREY, np.ones((8, 8), np.uint8)))
    exif = Image.Exif()
    for orientation in range(1, 9):
        exif[0x0112] = orientation
        path = save(tmp_path, f"{orientation}.jpg", stored, quality=95, exif=exif)
        shown = open_image(path)
        assert shown.size == (stored.size if orientation <= 4 else stored.size[::-1])
    rotated = np.asarray(open_image(tmp_path / "6.jpg"), np.int16)  # 6: the camera lay on its side
    assert np.abs(rotated - np.rot90(np.asarray(stored, np.int16), -1)).mean() < 4


@pytest.mark.parametrize("suffix", ["png", "webp", "tiff"])
def test_orientation_counts_in_other_formats(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = open_image(save(tmp_path, f"x.{suffix}", Image.fromarray(COLOUR), exif=exif))
    assert image.size == (6, 9)


def test_palette_and_bilevel(tmp_path: Path) -> None:
    palette = Image.fromarray(COLOUR).quantize(16)
    assert np.array_equal(np.asarray(open_image(save(tmp_path, "p.png", palette))), np.asarray(palette.convert("RGB")))
    bilevel = open_image(save(tmp_path, "b.png", Image.fromarray(GREY > 99)))
    assert bilevel.mode == "L"
    assert set(np.unique(np.asarray(bilevel))) == {0, 255}


def test_transparency_is_kept_only_where_there_is_some(tmp_path: Path) -> None:
    opaque = Image.fromarray(np.dstack([COLOUR, np.full((6, 9), 255, np.uint8)]))
    assert open_image(save(tmp_path, "o.png", opaque)).mode == "RGB"
    alpha = np.full((6, 9), 255, np.uint8)
    alpha[0, 0] = 0
    clear = Image.fromarray(np.dstack([COLOUR, alpha]))
    assert open_image(save(tmp_path, "c.png", clear)).mode == "RGBA"
    assert (
        open_image(save(tmp_path, "la.png", Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(alpha)]))).mode
        == "RGBA"
    )
    palette = Image.fromarray(COLOUR).quantize(8)
    index = int(np.asarray(palette)[2, 2])
    assert open_image(save(tmp_path, "p.png", palette, transparency=index)).mode == "RGBA"
    assert (
        open_image(save(tmp_path, "t.png", Image.fromarray(COLOUR), transparency=tuple(COLOUR[0, 0].tolist()))).mode
        == "RGBA"
    )


def test_transparent_pixels_are_laid_on_white() -> None:
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert (resize(image, 16, 3, "pad") == 255).all()
    assert (resize(image, 16, 1, "pad") == 255).all()


def test_16_bit_images_keep_their_high_byte(tmp_path: Path) -> None:
    deep = (GREY.astype(np.uint16) << 8) | 0x7F
    for name in ("x.png", "x.tiff"):
        image = open_image(save(tmp_path, name, Image.fromarray(deep)))
        assert image.mode == "L"
        assert np.array_equal(np.asarray(image), GREY)


def test_float_and_integer_pixels(tmp_path: Path) -> None:
    unit = Image.fromarray((GREY / 255).astype(np.float32))
    assert np.array_equal(np.asarray(open_image(save(tmp_path, "f.tiff", unit))), GREY)
    with pytest.raises(UnreadableImage, match="outside"):
        open_image(save(tmp_path, "g.tiff", Image.fromarray(GREY.astype(np.float32) * 9)))
    with pytest.raises(UnreadableImage, match="not finite"):
        open_image(save(tmp_path, "n.tiff", Image.fromarray(np.full((4, 4), np.nan, np.float32))))
    with pytest.raises(UnreadableImage, match="beyond 16 bits"):
        open_image(save(tmp_path, "i.tiff", Image.fromarray(np.full((4, 4), 70000, np.int32))))


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    red = Image.new("RGB", (16, 16), (220, 30, 20))
    for name in ("x.jpg", "x.tiff"):
        image = open_image(save(tmp_path, name, red.convert("CMYK")))
        assert image.mode == "RGB"
        assert np.abs(np.asarray(image, np.int16) - (220, 30, 20)).max() < 12


def test_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for name in ("x.gif", "x.png", "x.webp"):
        path = save(tmp_path, name, frames[0], save_all=True, append_images=frames[1:], duration=99, lossless=True)
        assert np.asarray(open_image(path).convert("RGB"))[4, 4].tolist() == [255, 0, 0]


def test_multi_picture_jpegs_of_phones(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    image = open_image(save(tmp_path, "x.jpg", frames[0], format="MPO", save_all=True, append_images=frames[1:]))
    assert np.asarray(image)[8, 8, 0] > 240


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"just some text\n", "text file"),
        (b"<!DOCTYPE html><html></html>", "HTML"),
        (b"<svg xmlns='x'></svg>", "SVG"),
        (bytes(range(256)) * 4, "unknown content"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not an image"),
        (png_header(100_000, 100_000), "decompression bomb"),
        (png_header(10_000, MAX_PIXELS // 10_000 + 1), "decompression bomb"),
        (png_header(30, 30), "broken image data"),
    ],
)
def test_what_is_no_image_gets_a_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(content)
    with pytest.raises(UnreadableImage, match=reason) as caught:
        open_image(path)
    assert str(path) in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "tiff"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_files_are_unreadable(tmp_path: Path, suffix: str, share: float) -> None:
    buffer = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(
        buffer, {"jpg": "JPEG"}.get(suffix, suffix.upper())
    )
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(buffer.getvalue()[: int(share * buffer.tell())])
    with pytest.raises(UnreadableImage):
        open_image(path)


@settings(max_examples=150, deadline=None)
@given(flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), min_size=1, max_size=20))
def test_damaged_files_never_raise_anything_else(
    tmp_path_factory: pytest.TempPathFactory, flips: list[tuple[int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    for kind in ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"):
        buffer = io.BytesIO()
        Image.fromarray(COLOUR).save(buffer, kind)
        data = bytearray(buffer.getvalue())
        for position, change in flips:
            data[position % len(data)] ^= change
        path = folder / f"x.{kind.lower()}"
        path.write_bytes(data)
        with contextlib.suppress(UnreadableImage):
            assert open_image(path).mode in ("L", "RGB", "RGBA")


def test_libtiff_keeps_its_complaints_to_itself(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = save(tmp_path, "x.tiff", Image.fromarray(COLOUR), compression="tiff_deflate")
    data = bytearray(path.read_bytes())
    start = data.index(b"\x78\x9c") if b"\x78\x9c" in data else 8
    data[start + 10 : start + 30] = b"\0" * 20
    path.write_bytes(data)
    with pytest.raises(UnreadableImage):
        open_image(path)
    assert capfd.readouterr().err == ""


def test_missing_files_and_pipes(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match="no such file"):
        open_image(tmp_path / "none.png")
    with pytest.raises(UnreadableImage, match="not a regular file"):
        open_image(tmp_path)


def test_large_jpegs_are_decoded_at_a_reduced_size(tmp_path: Path) -> None:
    y, x = np.mgrid[:1200, :1600]
    photo = Image.fromarray(np.uint8(127 + 60 * np.sin(x / 90) + 60 * np.cos(y / 70)))
    path = save(tmp_path, "x.jpg", photo, quality=95)
    reduced = open_image(path, at_least=256)
    assert 256 <= min(reduced.size) < 600
    full, fast = (resize(image, 64, 1, "crop").astype(int) for image in (open_image(path), reduced))
    assert np.abs(full - fast).max() <= 2


def test_one_hash_for_a_grey_image_in_any_mode(tmp_path: Path) -> None:
    grey = Image.fromarray(GREY)
    assert pixel_sha256(grey) == pixel_sha256(grey.convert("RGB"))
    assert pixel_sha256(grey) != pixel_sha256(grey.rotate(180))
    assert pixel_sha256(Image.new("L", (4, 6))) != pixel_sha256(Image.new("L", (6, 4)))
    with pytest.raises(ValueError, match="mode"):
        pixel_sha256(Image.new("P", (4, 4)))


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    resolution=st.sampled_from([16, 32, 64]),
    channels=st.sampled_from([1, 3]),
    fit=st.sampled_from(["pad", "crop", "stretch"]),
    level=st.integers(0, 255),
)
def test_resize_always_gives_the_square(
    width: int, height: int, resolution: int, channels: int, fit: str, level: int
) -> None:
    array = resize(Image.new("RGB", (width, height), (level,) * 3), resolution, channels, fit)  # type: ignore[arg-type]
    assert array.shape == (channels, resolution, resolution)
    assert array.dtype == np.uint8
    assert array.flags.c_contiguous
    assert (array == level).all(), "a plain image stays plain, its padding too"


def test_resize_leaves_an_image_of_the_right_size_alone() -> None:
    pixels = RNG.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    for fit in ("pad", "crop", "stretch"):
        assert np.array_equal(resize(Image.fromarray(pixels), 32, 3, fit), pixels.transpose(2, 0, 1))  # type: ignore[arg-type]


def test_resize_is_antialiased() -> None:
    stripes = Image.fromarray(np.tile(np.uint8([[0, 255]]), (256, 128)))
    assert np.ptp(resize(stripes, 32, 1, "stretch")) <= 2, "aliasing would give black, white or moiré"


def test_pad_keeps_all_and_crop_keeps_the_middle() -> None:
    wide = np.zeros((32, 96, 3), np.uint8)
    wide[:, :32] = (255, 0, 0)
    wide[:, 32:64] = (0, 255, 0)
    wide[:, 64:] = (0, 0, 255)
    image = Image.fromarray(wide)
    assert np.array_equal(resize(image, 32, 3, "crop"), wide[:, 32:64].transpose(2, 0, 1))
    padded = resize(image, 96, 3, "pad")
    assert np.array_equal(padded[:, 32:64], wide.transpose(2, 0, 1))
