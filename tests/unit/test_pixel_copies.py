"""Copies are found over flips, moves, brightness and recompression; new images are none, and the bound is a bound."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from export_material import pixels
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from synthaug.metrics.pixel_copies import LEAST, CopyFinder, Geometry, recompressed

Pixels = NDArray[np.uint8]


@cache
def digits(digit: int, side: int = 8) -> Pixels:
    data = load_digits()
    found = (data.images[data.target == digit] * 15).astype(np.uint8)[:, None]
    return found.repeat(side // 8, 2).repeat(side // 8, 3)


def moved(images: Pixels, down: int, right: int) -> Pixels:
    side = images.shape[-1]
    padded = np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2)), "edge")
    return padded[..., 2 - down : 2 - down + side, 2 - right : 2 - right + side].copy()


def noisy(images: Pixels, amount: float) -> Pixels:
    noise = np.random.default_rng(0).normal(0, amount, images.shape)
    return np.clip(images + noise, 0, 255).round().astype(np.uint8)


PLANTS = {
    "equal": lambda x: x,
    "flipped": lambda x: x[..., ::-1].copy(),
    "moved": lambda x: moved(x, 1, -1),
    "flipped and moved": lambda x: moved(x[..., ::-1], 0, 1),
    "brighter": lambda x: np.clip(x * 1.1, 0, 255).astype(np.uint8),
    "noise": lambda x: noisy(x, 4),
}


@pytest.mark.parametrize("train", [5, 25, 100])
@pytest.mark.parametrize("fault", [*PLANTS, "recompressed"])
def test_copies_of_digits_are_found_and_named(train: int, fault: str) -> None:
    plant = {**PLANTS, "recompressed": recompressed}[fault]
    for digit in (0, 1, 8):
        real = digits(digit)[:train]
        found = CopyFinder(real).copied(plant(real))
        least = 0.7 if fault == "recompressed" else 0.95  # the whole image is one block of JPEG
        assert (found == np.arange(train)).mean() >= least


@pytest.mark.parametrize("train", [5, 25, 100])
def test_new_digits_are_no_copies(train: int) -> None:
    taken = [CopyFinder(digits(k)[:train]).copied(digits(k)[train:]) >= 0 for k in range(10)]
    assert np.concatenate(taken).mean() <= 0.01
    assert max(found.mean() for found in taken) <= 0.02


@pytest.mark.parametrize("side", [16, 24, 32, 48, 64])
def test_colours_and_sizes(side: int) -> None:
    images = pixels(60, 1, seed=1, resolution=side)
    finder = CopyFinder(images[:30])
    for plant in (moved(images[:30], 2, -1), recompressed(moved(images[:30], 0, 1)), noisy(images[:30], 4)):
        assert (finder.copied(plant) == np.arange(30)).mean() >= 0.9
    assert (finder.copied(images[30:]) >= 0).sum() <= 1


def test_a_move_too_far_is_none() -> None:
    images = digits(8, 16)[:40]
    assert (CopyFinder(images).copied(moved(moved(images, 2, 2), 2, 2)) >= 0).mean() < 0.3


def test_versions_are_windows_of_the_image_and_of_its_mirror_image() -> None:
    geometry = Geometry.of(8)
    image = np.arange(64).reshape(8, 8)
    versions = image.ravel()[geometry.squares(1)]
    inside, others = versions[0].reshape(6, 6), versions[1:].reshape(-1, 6, 6)
    assert np.array_equal(inside, image[1:7, 1:7])
    assert np.array_equal(others[5], image[1:7, 2:8])
    assert np.array_equal(others[9 + 5], image[:, ::-1][1:7, 2:8])


def test_the_bound_is_below_the_distance() -> None:
    images = pixels(40, 0, seed=3, resolution=32)
    finder = CopyFinder(images[:20])
    inside = finder._inside(images[20:])
    rows, columns = np.divmod(np.arange(20 * 20), 20)
    exact = finder._distances(inside, rows, columns).reshape(20, 20)
    assert (np.sqrt(np.maximum(finder._bounds(inside), 0)) <= exact + 0.05).all()


def test_a_distance_is_a_root_mean_square_in_grey_levels() -> None:
    flat = np.full((1, 3, 32, 32), 100, np.uint8)
    finder = CopyFinder(flat)
    grey = finder._distances(finder._inside(np.full((1, 3, 32, 32), 130, np.uint8)), np.zeros(1, int), np.zeros(1, int))
    assert grey[0] == pytest.approx(130 - 100 * 1.2, abs=0.01)  # a fifth brighter is allowed
    assert finder.limits.tolist() == [LEAST]
    assert finder.copied(flat).tolist() == [0]


def test_few_images_borrow_what_is_typical() -> None:
    images = digits(3)
    lone = CopyFinder(images[:2], typical=CopyFinder(images).typical)
    assert (lone.copied(recompressed(moved(images[:2], 1, 0))) == [0, 1]).all()
    assert (lone.copied(images[2:]) >= 0).mean() <= 0.02
