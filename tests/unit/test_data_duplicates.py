"""Near-duplicates: copies are found, strangers are not chained, and it stays fast for tens of thousands."""

from __future__ import annotations

import io
import time
from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits, load_sample_images

from synthaug.data import duplicates, near_hashes
from synthaug.data.duplicates import (
    THUMBNAIL_BYTES,
    join,
    make_thumbnails,
    near_duplicate_components,
    perceptual_hashes,
    reduced,
)


def digits() -> list[Image.Image]:
    return [Image.fromarray(x) for x in np.clip(load_digits().images * 255 / 16, 0, 255).round().astype(np.uint8)]


def photo_crops(count: int) -> list[Image.Image]:
    """Non-overlapping 64x64 tiles of scikit-learn's two photographs."""
    tiles = [
        Image.fromarray(photo[y : y + 64, x : x + 64])
        for photo in load_sample_images().images
        for y in range(0, photo.shape[0] - 63, 64)
        for x in range(0, photo.shape[1] - 63, 64)
    ]
    return [tile for tile in tiles if np.asarray(tile.convert("L")).std() > 20][:count]


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(io.BytesIO(buffer.getvalue()))


def noised(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    pixels = np.asarray(image, np.float64) + rng.normal(0, 5, np.asarray(image).shape)
    return Image.fromarray(np.clip(pixels.round(), 0, 255).astype(np.uint8))


def together(images: list[Image.Image]) -> NDArray[np.intp]:
    return near_duplicate_components(make_thumbnails(reduced(image) for image in images))


def test_few_strangers_are_joined_among_tiny_digits() -> None:
    sizes = Counter(together(digits()).tolist()).values()
    joined = sum(size for size in sizes if size > 1)
    assert joined <= 4, f"{joined} of 1797 digits share a group"


def test_the_hash_alone_would_chain_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "CORRELATION", -1.0)
    monkeypatch.setattr(duplicates, "COARSE_CORRELATION", -1.0)
    assert max(Counter(together(digits()).tolist()).values()) > 500


@pytest.mark.parametrize("source", ["digits", "photos"])
@pytest.mark.parametrize("change", ["jpeg", "noise", "three quarters", "double", "brighter"])
def test_copies_are_found(source: str, change: str) -> None:
    originals = digits()[:300] if source == "digits" else photo_crops(100)
    assert len(originals) >= 50
    rng = np.random.default_rng(0)
    copies = {
        "jpeg": lambda i: jpeg(i, 75),
        "noise": lambda i: noised(i, rng),
        "three quarters": lambda i: i.resize((i.width * 3 // 4, i.height * 3 // 4), Image.Resampling.LANCZOS),
        "double": lambda i: i.resize((i.width * 2, i.height * 2), Image.Resampling.BICUBIC),
        "brighter": lambda i: Image.eval(i, lambda v: int(v * 0.8 + 20)),
    }[change]
    if source == "digits" and change == "three quarters":
        pytest.skip("6x6 pixels do not hold a digit")
    component = together([*originals, *map(copies, originals)])
    found = (component[: len(originals)] == component[len(originals) :]).mean()
    assert found >= 0.98, f"{found:.1%} of the copies"


def test_recoloured_drawings_are_not_copies_but_grey_copies_are() -> None:
    rng = np.random.default_rng(0)
    shape = np.kron(rng.random((8, 8, 1)) < 0.5, np.ones((4, 4, 1)))
    red, blue = (Image.fromarray(np.uint8(shape * colour)) for colour in ((200, 30, 30), (30, 65, 250)))
    assert len(set(together([red, blue]).tolist())) == 2
    assert len(set(together([red, red.convert("L")]).tolist())) == 1


def test_flat_images_are_alone() -> None:
    rng = np.random.default_rng(0)
    flat = [Image.fromarray(rng.integers(120, 123, (32, 32), dtype=np.uint8)) for _ in range(9)]
    assert len(set(together(flat).tolist())) == 9


def test_none_and_one() -> None:
    assert near_duplicate_components(np.zeros((0, THUMBNAIL_BYTES), np.uint8)).tolist() == []
    assert perceptual_hashes(np.zeros((0, 16, 16), np.float32)).tolist() == []
    assert together(digits()[:1]).tolist() == [0]


def test_join_numbers_components() -> None:
    component = join(np.arange(5), np.array([0, 3]), np.array([4, 0]))
    assert component[0] == component[3] == component[4]
    assert len(set(component.tolist())) == 3


def test_blocks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    images = [*photo_crops(60), *(jpeg(i, 70) for i in photo_crops(60))]
    whole = together(images)
    monkeypatch.setattr(near_hashes, "_AT_ONCE", 7)
    monkeypatch.setattr(duplicates, "_AT_ONCE", 11)
    monkeypatch.setattr(duplicates, "_PAIRS", 3)
    assert together(images).tolist() == whole.tolist()
    monkeypatch.setattr(near_hashes, "_FEW", 0)
    monkeypatch.setattr(near_hashes, "_DEARER", 0)  # looked up, however many there are
    assert together(images).tolist() == whole.tolist()


@pytest.mark.parametrize("at_once", [1, 50, 1 << 20])
def test_hashes_that_are_looked_up_are_those_of_all_pairs(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near_hashes, "_AT_ONCE", at_once)
    monkeypatch.setattr(near_hashes, "_FEW", 0)
    monkeypatch.setattr(near_hashes, "_DEARER", 0)
    rng = np.random.default_rng(0)
    hashes = np.repeat(rng.integers(0, 1 << 63, 12, dtype=np.uint64), 10)
    for _ in range(14):  # copies with 0 to 14 bits changed, anywhere
        hashes[rng.random(len(hashes)) < 0.5] ^= np.uint64(1 << int(rng.integers(64)))
    found = {(i, j) for a, b in near_hashes.near_pairs(hashes, 10) for i, j in zip(a.tolist(), b.tolist(), strict=True)}
    near = np.bitwise_count(hashes[:, None] ^ hashes[None]) <= 10
    assert found == {(i, j) for i, j in np.argwhere(near).tolist() if i < j}
    assert 100 < len(found) < 540


def test_many_images_and_many_copies_take_seconds() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (10_000, THUMBNAIL_BYTES), dtype=np.uint8)
    noise[:, 256:] = 128
    copies = np.repeat(noise[:1], 3_000, axis=0)
    copies[:, 0] ^= rng.integers(0, 2, 3_000, dtype=np.uint8)
    start = time.process_time()
    component = near_duplicate_components(np.concatenate([noise, copies]))
    assert time.process_time() - start < 10
    assert len(set(component[10_000:].tolist()) | {int(component[0])}) == 1
    assert len(set(component.tolist())) == 10_000
