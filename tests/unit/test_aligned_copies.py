"""Copies are found after every change that a person makes to a picture; other images of the same kind are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from sklearn.datasets import load_digits, load_sample_images

from synthaug.config import DataConfig
from synthaug.data.aligned_copies import CopySearch, planes_of, planes_of_thumbnails, residuals
from synthaug.data.duplicates import make_thumbnails, reduced
from synthaug.data.folder import scan
from synthaug.data.split import split
from synthaug.metrics.pixel_copies import recompressed

Pixels = NDArray[np.uint8]


def photographs(count: int, side: int = 72, seed: int = 0) -> list[Image.Image]:
    """Different squares out of scikit-learn's two photographs, none of them mostly sky."""
    rng = np.random.default_rng(seed)
    squares = []
    for image in load_sample_images().images:
        for top in range(0, 427 - side, side):
            for left in range(0, 640 - side, side):
                square = image[top : top + side, left : left + side]
                if square.mean(axis=2).std() > 30:
                    squares.append(Image.fromarray(square))
    return [squares[k] for k in rng.permutation(len(squares))[:count]]


def padded(image: Image.Image, right: int, down: int) -> Image.Image:
    pixels = np.pad(np.asarray(image), ((2, 2), (2, 2), (0, 0))[: np.asarray(image).ndim], "edge")
    h, w = image.size[::-1]
    return Image.fromarray(pixels[2 - down : 2 - down + h, 2 - right : 2 - right + w])


def cropped(image: Image.Image, right: float, down: float) -> Image.Image:
    w, h = image.size
    box = (0.1 * w * right, 0.1 * h * down, w * (0.9 + 0.1 * right), h * (0.9 + 0.1 * down))
    return image.resize(image.size, Image.Resampling.BICUBIC, box=box)


def jpeg(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image)
    planes = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    made = recompressed(planes[None].copy())[0]
    return Image.fromarray(made[0] if len(made) == 1 else made.transpose(1, 2, 0))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "mirrored": lambda x: x.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "moved by a pixel": lambda x: padded(x, 1, 0),
    "moved by two pixels": lambda x: padded(x, -2, 1),
    "turned": lambda x: x.rotate(5, Image.Resampling.BICUBIC),
    "turned back": lambda x: x.rotate(-5, Image.Resampling.BICUBIC),
    "cropped": lambda x: cropped(x, 0, 1),
    "cropped elsewhere, as JPEG": lambda x: jpeg(cropped(x, 0.7, 0.4)),
    "brighter": lambda x: ImageEnhance.Brightness(x).enhance(1.2),
    "as JPEG": jpeg,
    "mirrored and turned": lambda x: x.transpose(Image.Transpose.FLIP_LEFT_RIGHT).rotate(5, Image.Resampling.BICUBIC),
}


def planes(images: list[Image.Image]) -> NDArray[np.float32]:
    return planes_of_thumbnails(make_thumbnails(reduced(image) for image in images))


@pytest.mark.parametrize("change", CHANGES)
def test_changed_photographs_are_found_and_named(change: str) -> None:
    real = photographs(40)
    found = CopySearch(planes(real)).copies(planes([CHANGES[change](image) for image in real]))
    named = dict(zip(found.queries[::-1].tolist(), found.images[::-1].tolist(), strict=True))
    assert np.mean([named.get(k) == k for k in range(40)]) >= 0.95
    assert (found.nearness < 1).all()
    assert (np.diff(found.nearness) >= 0).all()


def digits(digit: int) -> list[Image.Image]:
    data = load_digits()
    pixels = np.clip(data.images[data.target == digit] * 255 / 16, 0, 255).astype(np.uint8)
    return [Image.fromarray(image) for image in pixels]


@pytest.mark.parametrize("change", [name for name in CHANGES if "two pixels" not in name and "JPEG" not in name])
def test_changed_digits_of_8_pixels_are_found(change: str) -> None:
    real = [image for digit in range(10) for image in digits(digit)[:30]]
    found = CopySearch(planes(real)).copies(planes([CHANGES[change](image) for image in real]))
    named = dict(zip(found.queries[::-1].tolist(), found.images[::-1].tolist(), strict=True))
    least = 0.5 if "cropped" in change else 0.85
    assert np.mean([named.get(k) == k for k in range(300)]) >= least


def test_other_images_of_the_same_kind_are_no_copies() -> None:
    real = [image for digit in range(10) for image in digits(digit)]
    half = np.random.default_rng(0).permutation(len(real))
    train, test = planes([real[k] for k in half[:900]]), planes([real[k] for k in half[900:]])
    assert len(np.unique(CopySearch(train).copies(test).queries)) <= 0.015 * len(test)


def test_many_copies_of_one_image_hide_nothing() -> None:
    """A folder that was augmented before it was split: seven versions of each image."""
    real = photographs(40)
    each = [CHANGES[name](image) for image in real for name in [*CHANGES][:7]]
    found = CopySearch(planes(each)).copies(planes(real))
    assert np.mean([k in set(found.queries.tolist()) for k in range(40)]) >= 0.9
    right = found.images // 7 == found.queries
    assert right.mean() >= 0.98


def test_images_of_one_group_are_not_compared() -> None:
    real = planes(photographs(40))
    both = np.concatenate([real, real[..., ::-1]])
    numbers = np.tile(np.arange(40), 2)
    search = CopySearch(both, numbers)
    assert len(search.copies(both, numbers).queries) == 0
    assert len(search.copies(both, np.arange(80) + 1000).queries) >= 80


def test_a_recoloured_drawing_is_another_one() -> None:
    ink = [np.asarray(image.resize((32, 32)))[..., None] / 255 for digit in (0, 3, 5) for image in digits(digit)[:15]]
    red, blue = (
        [Image.fromarray((128 + share * (np.array(colour) - 128)).astype(np.uint8)) for share in ink]
        for colour in ((230, 20, 20), (20, 90, 230))
    )
    search = CopySearch(planes(red))
    assert len(np.unique(search.copies(planes(red)).queries)) == len(red)
    assert len(search.copies(planes(blue)).queries) == 0


@pytest.mark.parametrize("count", [0, 1, 5])
def test_too_few_images_say_nothing(count: int) -> None:
    some = planes_of(np.random.default_rng(0).integers(0, 256, (count, 1, 16, 16), dtype=np.uint8))
    assert len(CopySearch(some).copies(some).queries) == 0


def test_flat_images_are_never_copies() -> None:
    flat = planes_of(np.full((12, 3, 32, 32), 90, np.uint8))
    real = planes(photographs(12))
    assert len(CopySearch(np.concatenate([flat, real])).copies(flat).queries) == 0


def test_alignment_undoes_an_affine_map() -> None:
    """Against Pillow's own transformation: what remains is the interpolation's error."""
    image = photographs(2)[0].convert("L").resize((64, 64), Image.Resampling.BICUBIC)
    size = (64, 64)
    turned = image.transform(
        size, Image.Transform.AFFINE, (0.98, 0.06, 1.0, -0.06, 0.98, 2.0), Image.Resampling.BICUBIC
    )
    pair = planes_of(np.stack([np.asarray(image), np.asarray(turned)])[:, None])
    start = np.eye(2, 3, dtype=np.float32)[None]
    apart = 1 - np.corrcoef(pair[0].ravel(), pair[1].ravel())[0, 1] ** 2
    assert residuals(pair[:1], pair[1:], start)[0] < 0.15 * apart


def test_a_split_keeps_changed_copies_together(tmp_path: Path) -> None:
    names = [*CHANGES]
    for k, image in enumerate(photographs(40)):
        for label in "ab":
            (tmp_path / label).mkdir(exist_ok=True)
        image.save(tmp_path / "ab"[k % 2] / f"{k:02}.png")
        CHANGES[names[k % len(names)]](image).save(tmp_path / "ab"[k % 2] / f"{k:02}-copy.png")
    found = scan(tmp_path, cache=tmp_path.parent / "cache")
    separated = []
    for seed in range(4):
        side = {row.path: row.split for row in split(found, DataConfig(test_fraction=0.4), seed).rows}
        separated.append(
            np.mean([side[path] != side[path.replace(".png", "-copy.png")] for path in side if "copy" not in path])
        )
    assert np.mean(separated) <= 0.05


def test_copies_across_given_folders_are_reported(tmp_path: Path) -> None:
    for k, image in enumerate(photographs(40)):
        folder = tmp_path / ("test" if k >= 30 else "train") / "ab"[k % 2]
        folder.mkdir(parents=True, exist_ok=True)
        image.save(folder / f"{k:02}.png")
        if k in (4, 7):
            (tmp_path / "test" / "ab"[k % 2]).mkdir(parents=True, exist_ok=True)
            CHANGES["mirrored and turned"](image).save(tmp_path / "test" / "ab"[k % 2] / f"{k:02}-leak.png")
    lines = split(scan(tmp_path, cache=tmp_path.parent / "cache"), DataConfig(), 0).warnings
    assert any(line.startswith("2 test images look like") for line in lines), lines
