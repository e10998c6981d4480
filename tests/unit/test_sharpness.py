"""Sharpness: the measure is scipy's, the area scikit-learn's; blur is found, contrast and chance are not."""

from __future__ import annotations

import numpy as np
import pytest
from export_material import pixels
from PIL import Image, ImageFilter
from scipy.ndimage import laplace
from sklearn.metrics import roc_auc_score

from synthaug.metrics.sharpness_auc import MIN_IMAGES, compare_sharpness, sharpness, sharpness_auc

RNG = np.random.default_rng(0)


def images(count: int, seed: int) -> np.ndarray:
    """Painted discs of 32 px with the grain of a photograph."""
    grain = np.random.default_rng(seed).normal(0, 6, (count, 3, 32, 32))
    return np.clip(pixels(count, 0, seed, 32) + grain, 0, 255).astype(np.uint8)


def blurred(given: np.ndarray, radius: float = 1.0) -> np.ndarray:
    filtered = [Image.fromarray(x.transpose(1, 2, 0)).filter(ImageFilter.GaussianBlur(radius)) for x in given]
    return np.stack([np.asarray(image).transpose(2, 0, 1) for image in filtered])


@pytest.mark.parametrize("channels", [1, 3])
def test_the_laplacian_is_that_of_scipy(channels: int) -> None:
    given = images(4, 1)[:, :channels]
    weights = [0.299, 0.587, 0.114] if channels == 3 else [1.0]
    grey = np.tensordot(given.astype(float), weights, axes=([1], [0]))
    expected = [np.log(laplace(x)[1:-1, 1:-1].var() + 1e-3) - np.log(x.var() + 1e-3) for x in grey]
    assert sharpness(given) == pytest.approx(expected)


def test_the_area_is_that_of_scikit_learn_with_ties() -> None:
    real, synthetic = np.round(RNG.normal(0.4, 1, 40), 1), np.round(RNG.normal(0, 1, 60), 1)
    found = sharpness_auc(real, synthetic, np.random.default_rng(0))
    assert found is not None
    expected = roc_auc_score(np.repeat([1, 0], [40, 60]), np.concatenate([real, synthetic]))
    assert found.mean == pytest.approx(expected)
    assert found.low < expected < found.high


def test_the_interval_holds_the_true_area_in_95_of_100_cases() -> None:
    """Two normal distributions one standard deviation apart: the area is Φ(1/√2)."""
    held = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        found = sharpness_auc(rng.normal(1, 1, 30), rng.normal(0, 1, 100), rng)
        assert found is not None
        held += found.low <= 0.7602 <= found.high
    assert 180 <= held <= 198


@pytest.mark.parametrize("radius", [0.7, 1.5])
def test_blur_is_found(radius: float) -> None:
    found = compare_sharpness(images(40, 1), blurred(images(60, 2), radius), images(20, 3), RNG)
    assert found is not None
    assert found.told_apart
    assert found.auc.low > 0.9
    assert found.floor is not None
    assert found.floor.low < 0.5 < found.floor.high


def test_images_that_are_too_sharp_are_found_too() -> None:
    found = compare_sharpness(blurred(images(40, 1)), images(60, 2), blurred(images(20, 3)), RNG)
    assert found is not None
    assert found.told_apart
    assert found.auc.high < 0.1


def test_real_images_and_flat_ones_are_not_told_apart() -> None:
    flat = (images(60, 2) * 0.4 + 70).astype(np.uint8)  # less contrast, no less detail
    for synthetic in (images(60, 2), flat):
        found = compare_sharpness(images(40, 1), synthetic, images(20, 3), RNG)
        assert found is not None
        assert not found.told_apart


def test_a_class_whose_real_images_differ_as_much_is_not_called_blurred() -> None:
    """Training images that are blurred as well: the held-out ones are of another camera."""
    found = compare_sharpness(images(40, 1), blurred(images(60, 2)), blurred(images(20, 3)), RNG)
    assert found is not None
    assert found.auc.low > 0.9
    assert not found.told_apart


def test_few_images_are_not_compared() -> None:
    assert compare_sharpness(images(MIN_IMAGES - 1, 1), images(60, 2), images(20, 3), RNG) is None
    found = compare_sharpness(images(20, 1), blurred(images(20, 2)), images(3, 3), RNG)
    assert found is not None
    assert found.floor is None
    assert found.told_apart
