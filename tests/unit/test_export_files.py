"""The files of an export: names that cannot escape, looks that give nothing away, the synthetic mark."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_material import pixels, source_type
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from synthaug.data.decode import open_image, pixel_sha256, resize
from synthaug.data.enlargement import enlargement
from synthaug.errors import SynthaugError
from synthaug.exporters.folder import write_synthetic
from synthaug.exporters.looks import (
    Look,
    LookCount,
    Looks,
    Tables,
    apply_look,
    counted,
    encode,
    enlargement_warning,
    plain_look,
    read_look,
    to_mode,
    typical_enlargement,
)
from synthaug.exporters.names import file_names, synthetic_prefix
from synthaug.exporters.provenance import SOURCE_TYPE

SAMPLE = pixels(1, 0, seed=5, resolution=32)[0]
GREY = pixels(1, 0, seed=5, resolution=32, channels=1)[0]


@given(st.lists(st.text("abAB.1_:?", min_size=1, max_size=6).map(lambda t: f"x/{t}.png"), max_size=30))
def test_file_names_are_unique_on_any_file_system(paths: list[str]) -> None:
    names = file_names(paths)
    assert not any({":", "?"} & {*name} for name in names)
    assert len({name.casefold() for name in names}) == len(paths)
    assert all(name.endswith(".png") for name in names)
    prefix = synthetic_prefix(names)
    assert not any(name.casefold().startswith(prefix) for name in names)


def _save(image: Image.Image, suffix: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    kind = {"jpg": "JPEG", "tif": "TIFF", "ppm": "PPM"}.get(suffix, suffix.upper())
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _colour(size: tuple[int, int] = (40, 30)) -> Image.Image:
    return Image.fromarray(SAMPLE.transpose(1, 2, 0)).resize(size)


def _transparent() -> Image.Image:
    image = _colour().convert("RGBA")
    image.putpixel((0, 0), (0, 0, 0, 0))
    return image


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


REAL: dict[str, tuple[bytes, str]] = {
    "png rgb": (_save(_colour(), "png"), "png"),
    "png grey": (_save(_colour().convert("L"), "png"), "png"),
    "png rgba": (_save(_transparent(), "png"), "png"),
    "png grey alpha": (_save(_transparent().convert("LA"), "png"), "png"),
    "png palette": (_save(_colour().quantize(16), "png"), "png"),
    "png bilevel": (_save(_colour().convert("1"), "png"), "png"),
    "png 16 bit": (_save(Image.fromarray(np.asarray(_colour().convert("L")).astype(np.uint16) * 257), "png"), "png"),
    "jpeg 90": (_save(_colour(), "jpg", quality=90, subsampling=0), "jpg"),
    "jpeg 40": (_save(_colour(), "jpg", quality=40, progressive=True), "jpg"),
    "jpeg grey": (_save(_colour().convert("L"), "jpg", quality=60), "jpg"),
    "jpeg cmyk": (_save(_colour().convert("CMYK"), "jpg", quality=80), "jpg"),
    "jpeg on its side": (_save(_colour((30, 40)), "jpg", exif=_exif(6)), "jpg"),
    "webp lossy": (_save(_colour(), "webp", quality=50), "webp"),
    "webp lossless": (_save(_colour(), "webp", lossless=True), "webp"),
    "webp rgba": (_save(_transparent(), "webp", quality=70), "webp"),
    "tiff lzw": (_save(_colour(), "tif", compression="tiff_lzw"), "tif"),
    "tiff raw": (_save(_colour(), "tif"), "tif"),
    "bmp": (_save(_colour(), "bmp"), "bmp"),
    "gif": (_save(_colour().quantize(32), "gif"), "gif"),
    "ppm": (_save(_colour(), "ppm"), "ppm"),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", REAL)
def test_a_synthetic_file_is_like_its_real_one(name: str, channels: int, tmp_path: Path) -> None:
    data, suffix = REAL[name]
    tables: Tables = {}
    look = read_look(data, f".{suffix}", tables)
    assert (look.width, look.height) == (40, 30)
    path = tmp_path / f"synthetic.{suffix}"
    written = write_synthetic(path, GREY if channels == 1 else SAMPLE, look, "pad", tables)
    made, real = Image.open(path), Image.open(io.BytesIO(data))
    assert (made.format, made.mode) == (real.format, real.mode)
    assert open_image(path).size == (40, 30) == (written.width, written.height)
    assert written.pixel_sha256 == pixel_sha256(open_image(path))
    assert written.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    if real.format == "JPEG":
        assert made.quantization == real.quantization  # type: ignore[attr-defined]
        assert made.info.get("progressive") == real.info.get("progressive")
    if real.format == "TIFF":
        assert made.info.get("compression") == real.info.get("compression")
    if real.mode == "P":
        assert len(made.getcolors() or ()) <= len(real.getcolors() or ())
    assert source_type(path) == SOURCE_TYPE
    # and it still shows what the generator made
    sample = Image.fromarray(GREY[0] if channels == 1 else SAMPLE.transpose(1, 2, 0))
    shown = resize(open_image(path), 32, 1, "pad")[0, 4:28].astype(int)
    assert np.abs(shown - np.asarray(sample.convert("L"))[4:28]).mean() < (70 if real.mode == "1" else 12)


@pytest.mark.parametrize("name", REAL)
def test_equal_arguments_give_equal_bytes(name: str) -> None:
    data, suffix = REAL[name]
    tables: Tables = {}
    look = read_look(data, f".{suffix}", tables)
    first, again = (encode(apply_look(SAMPLE, look, "pad"), look, tables) for _ in range(2))
    assert first == again


def test_the_quality_of_a_lossy_webp_is_estimated() -> None:
    noisy = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).resize((256, 256))
    for quality in (20, 50, 80):
        estimated = read_look(_save(noisy, "webp", quality=quality), ".webp", {}).quality
        assert estimated is not None
        assert abs(estimated - quality) <= 15


def test_a_sample_of_the_generators_size_is_not_resampled() -> None:
    image = apply_look(SAMPLE, plain_look(32, 3), "pad")
    assert np.array_equal(np.asarray(image).transpose(2, 0, 1), SAMPLE)


@pytest.mark.parametrize("fit", ["pad", "crop", "stretch"])
@pytest.mark.parametrize("size", [(32, 32), (64, 64), (96, 64), (50, 75), (300, 200)])
def test_fitting_a_dressed_image_gives_the_generators_image_back(fit: Any, size: tuple[int, int]) -> None:
    look = Look(width=size[0], height=size[1], mode="RGB", format="PNG", suffix=".png")
    sample = SAMPLE
    if fit == "pad":  # as the generator would have learnt it: with bars of one colour
        sample = resize(_colour(size), 32, 3, "pad")
    image = apply_look(sample, look, fit)
    assert image.size == ((min(size), min(size)) if fit == "crop" else size)
    back = resize(image, 32, 3, fit).astype(int)
    assert np.abs(back - sample).mean() < 2.5


def test_only_old_exports_have_mirrored_sides() -> None:
    """The rule of exports without `sides` in their manifest, written down a second time."""
    look = Look(width=100, height=60, mode="RGB", format="PNG", suffix=".png")
    square = np.asarray(apply_look(SAMPLE, look, "crop"))
    assert square.shape == (60, 60, 3)
    mirrored = np.asarray(apply_look(SAMPLE, look, "crop", "mirrored"))
    assert np.array_equal(mirrored, np.concatenate([square[:, :20][:, ::-1], square, square[:, -20:][:, ::-1]], axis=1))


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (32, 32), (20, 16)])
@pytest.mark.parametrize("fit", ["pad", "crop", "stretch"])
def test_the_enlargement_is_that_of_a_pixel(fit: Any, size: tuple[int, int]) -> None:
    """Measured on the width of a bar that the generator drew from top to bottom, or from left to right."""
    sample = np.zeros((3, 32, 32), np.uint8)
    along = fit == "stretch" and size[0] < size[1]
    (sample.transpose(0, 2, 1) if along else sample)[:, :, 12:20] = 255
    look = Look(width=size[0], height=size[1], mode="RGB", format="PNG", suffix=".png")
    made = np.asarray(apply_look(sample, look, fit)).mean(axis=2) / 255
    line = made[:, made.shape[1] // 2] if along else made[made.shape[0] // 2]
    assert line.sum() / 8 == pytest.approx(enlargement(*size, fit, 32), rel=0.06)


def test_an_enlargement_is_warned_of_with_its_range() -> None:
    looks = {"a": [_look(48, 40, 9), _look(400, 400)], "b": [_look(96, 64)]}
    factors = {label: typical_enlargement(own, "pad", 32) for label, own in looks.items()}
    assert factors == {"a": 1.5, "b": 3.0}
    said = enlargement_warning(factors, 32)
    assert said is not None
    assert "have 32 px and are enlarged 1.5 to 3.0 (by class) times" in said
    assert "enlarged 3.0 times" in (enlargement_warning({"b": 3.0}, 32) or "")
    assert enlargement_warning({"a": 1.5}, 32) is None
    assert enlargement_warning({}, 32) is None


def _look(width: int, height: int, count: int = 1) -> LookCount:
    return LookCount(width=width, height=height, mode="RGB", format="PNG", suffix=".png", count=count)


def test_looks_are_drawn_as_often_as_real_images_have_them() -> None:
    looks = [_look(10, 10, 1), _look(20, 20, 3), _look(40, 40, 6)]
    drawn = [Looks(looks, "pad", 32).choose(SAMPLE, draw) for draw in range(1000)]
    assert np.bincount(drawn).tolist() == [100, 300, 600]


def test_equal_looks_are_counted_once() -> None:
    tall, flat = Look(width=10, height=20, mode="L", format="PNG", suffix=".png"), plain_look(8, 1)
    assert [(look.width, look.count) for look in counted([tall, flat, tall])] == [(10, 2), (8, 1)]


@pytest.mark.parametrize(("size", "expected"), [((60, 30), 0), ((30, 60), 1), ((40, 40), 2)])
def test_bars_that_the_generator_painted_decide_the_aspect(size: tuple[int, int], expected: int) -> None:
    looks = [_look(60, 30), _look(30, 60), _look(40, 40)]
    busy = Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)).resize(size)
    sample = resize(busy, 32, 3, "pad")
    noisy = np.clip(sample + np.random.default_rng(2).normal(0, 3, sample.shape), 0, 255).astype(np.uint8)
    available = Looks(looks, "pad", 32)
    assert {available.choose(noisy, draw) for draw in range(30)} == {expected}


def test_a_plain_background_leaves_the_aspect_to_chance() -> None:
    sample = np.full((3, 32, 32), 255, np.uint8)
    sample[:, 12:20, 12:20] = 0
    available = Looks([_look(60, 30), _look(30, 60), _look(40, 40)], "pad", 32)
    assert {available.choose(sample, draw) for draw in range(30)} == {0, 1, 2}


def test_a_look_from_a_manifest_cannot_be_a_bomb_or_a_path() -> None:
    with pytest.raises(ValueError, match="more than"):
        Look(width=60000, height=60000, mode="RGB", format="PNG", suffix=".png")
    with pytest.raises(ValueError, match="suffix"):
        Look(width=8, height=8, mode="RGB", format="PNG", suffix="/../x.png")


def test_a_real_file_carries_no_mark(tmp_path: Path) -> None:
    (tmp_path / "real.png").write_bytes(REAL["png rgb"][0])
    assert source_type(tmp_path / "real.png") is None


@pytest.mark.parametrize(
    ("changed", "tables"),
    [
        ({"mode": "CMYK"}, {}),
        ({"format": "JPEG", "mode": "RGB", "tables": "gone"}, {}),
        ({"format": "JPEG", "mode": "RGB", "tables": "odd"}, {"odd": [[-1] * 64]}),
        ({"format": "WEBP", "mode": "RGB", "quality": 10**9}, {}),
    ],
)
def test_a_look_that_no_file_has_is_an_error(changed: dict[str, Any], tables: Any) -> None:
    look = Look(**{"width": 8, "height": 8, "mode": "L", "format": "PNG", "suffix": ".png", **changed})
    with pytest.raises(SynthaugError, match=f"{look.mode} in {look.format}"):
        encode(to_mode(Image.new("L", (8, 8)), look), look, tables)


@pytest.mark.parametrize("changed", [{"format": "PDF"}, {"suffix": "/../x"}, {"width": 60_000, "height": 60_000}])
def test_a_look_that_cannot_be_read_again_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"is not read|should match pattern|more than"):
        Look(**{"width": 8, "height": 8, "mode": "L", "format": "PNG", "suffix": ".png", **changed})
