"""Halving and doubling as matrices: what the tool itself does, and a projection that keeps the reduced image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from synthaug.data.decode import resize
from synthaug.models.family import to_uint8
from synthaug.upscalers.resampling import back_projected, doubled, halved

SIDES = [(16, 16), (24, 10), (7, 33)]


def some_images(height: int, width: int, channels: int = 3) -> torch.Tensor:
    """Noise of grey levels far from black and white: Pillow clips after each direction."""
    rng = torch.Generator().manual_seed(height)
    return torch.randint(70, 186, (2, channels, height, width), generator=rng).float() / 127.5 - 1


def as_pil(image: torch.Tensor) -> Image.Image:
    return Image.fromarray(to_uint8(image[None])[0].transpose(1, 2, 0))


def test_halving_is_what_decoding_does() -> None:
    images = some_images(64, 64)
    for image, half in zip(images, to_uint8(halved(images)), strict=True):
        wanted = resize(as_pil(image), 32, 3, "stretch")
        assert np.abs(half.astype(int) - wanted).max() <= 1  # it rounds there, too


@pytest.mark.parametrize(("height", "width"), SIDES)
def test_doubling_is_pillows_bicubic_interpolation(height: int, width: int) -> None:
    images = some_images(height, width)
    for image, double in zip(images, to_uint8(doubled(images)), strict=True):
        wanted = as_pil(image).resize((2 * width, 2 * height), Image.Resampling.BICUBIC)
        assert np.abs(double.transpose(1, 2, 0).astype(int) - np.asarray(wanted)).max() <= 1


@pytest.mark.parametrize(("height", "width"), SIDES)
def test_back_projection_gives_the_reduced_image_again_and_changes_what_has_it_already_little(
    height: int, width: int
) -> None:
    low, guess = some_images(height, width), some_images(2 * height, 2 * width)
    assert (halved(guess) - low).abs().max() > 0.1
    projected = back_projected(guess, low)
    torch.testing.assert_close(halved(projected), low, atol=1e-4, rtol=0)
    torch.testing.assert_close(back_projected(projected, low), projected, atol=1e-4, rtol=0)


def test_a_shift_of_colour_is_taken_out() -> None:
    high = torch.nn.functional.avg_pool2d(some_images(66, 66), 3, 1)
    shifted = high + torch.tensor([0.2, -0.1, 0.0])[:, None, None]
    assert (back_projected(shifted, halved(high)) - high).abs().mean() < 0.01
    assert (shifted - high).abs().mean() > 0.09
