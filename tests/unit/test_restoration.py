"""PSNR and SSIM of pairs against torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from synthaug.errors import SynthaugError
from synthaug.metrics.restoration import psnr, ssim


@pytest.mark.parametrize(("channels", "height", "width"), [(3, 32, 32), (1, 48, 32), (3, 17, 64)])
def test_psnr_and_ssim_are_those_of_torchmetrics(channels: int, height: int, width: int) -> None:
    rng = np.random.default_rng(channels)
    real = rng.integers(0, 120, (5, channels, height, width)).astype(np.uint8)  # far from the format's peak
    real = np.sort(real, axis=3)  # structure
    made = np.clip(real + rng.normal(0, 12, real.shape), 0, 255).astype(np.uint8)
    for one, other, decibels, similarity in zip(made, real, psnr(made, real), ssim(made, real), strict=True):
        a, b = torch.from_numpy(one)[None].double(), torch.from_numpy(other)[None].double()
        assert decibels == pytest.approx(float(peak_signal_noise_ratio(a, b, data_range=255.0)), abs=1e-6)
        wanted = structural_similarity_index_measure(a, b, data_range=255.0, sigma=1.5, kernel_size=11)
        assert similarity == pytest.approx(float(wanted), abs=2e-3)


def test_equal_images_have_an_infinite_psnr_and_a_similarity_of_one() -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, 3, 16, 16)).astype(np.uint8)
    assert np.isposinf(psnr(image, image)).all()
    assert ssim(image, image) == pytest.approx(1, abs=1e-6)


def test_pairs_of_other_shapes_are_refused() -> None:
    small = np.zeros((1, 1, 8, 8), np.uint8)
    with pytest.raises(SynthaugError, match="8, 8"):
        ssim(small, small)
