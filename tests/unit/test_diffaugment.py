"""DiffAugment: ranges of the paper's code, gradients, determinism."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from synthaug.augment.diffaugment import POLICIES, DiffAugment
from synthaug.augment.grid_sample import grid_sample
from synthaug.errors import SynthaugError


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("policy", POLICIES)
def test_shape_gradient_and_determinism(policy: str, channels: int) -> None:
    x = torch.rand(6, channels, 32, 32, generator=rng(1), requires_grad=True)
    augment = DiffAugment([policy])
    first, second, other = augment(x, rng()), augment(x, rng()), augment(x, rng(5))
    assert first.shape == x.shape
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    first.square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert x.grad.abs().sum() > 0


def test_color_stays_in_the_papers_ranges() -> None:
    flat = torch.zeros(2000, 3, 2, 2)
    brightness = DiffAugment(["color"])(flat, rng())[:, 0, 0, 0]
    assert brightness.min() >= -0.5
    assert brightness.max() <= 0.5
    assert brightness.min() < -0.45
    assert brightness.max() > 0.45


def test_translation_moves_whole_pixels_by_at_most_an_eighth_and_fills_with_zero() -> None:
    x = torch.zeros(500, 1, 32, 32)
    x[:, 0, 16, 16] = 1
    moved = DiffAugment(["translation"])(x, rng())
    assert torch.equal(moved.sum(dim=(1, 2, 3)), torch.ones(500))
    where = moved.flatten(1).argmax(1)
    rows, columns = where // 32 - 16, where % 32 - 16
    assert set(rows.tolist()) == set(range(-4, 5))
    assert set(columns.tolist()) == set(range(-4, 5))


def test_cutout_blanks_at_most_a_quarter() -> None:
    left = DiffAugment(["cutout"])(torch.ones(300, 1, 32, 32), rng()).mean(dim=(1, 2, 3))
    assert left.min() >= 0.75
    assert left.max() < 1


def test_affine_at_zero_strength_is_the_identity() -> None:
    from synthaug.augment.diffaugment import affine

    x = torch.rand(4, 3, 16, 16, generator=rng(2))
    assert torch.allclose(affine(x, rng(), degrees=0, scale=0, shift=0), x, atol=1e-6)


def test_an_unknown_policy_is_named_with_a_suggestion() -> None:
    with pytest.raises(SynthaugError, match="colr") as caught:
        DiffAugment(["colr"])
    assert "color" in caught.value.hint


def test_grid_samples_have_second_derivatives() -> None:
    """R1 and the gradient penalty differentiate a gradient; torch before 2.12 cannot do so for its `grid_sample`."""
    rng = torch.Generator().manual_seed(0)
    x = torch.rand(2, 3, 5, 4, generator=rng, dtype=torch.float64, requires_grad=True)
    grid = 2.4 * torch.rand(2, 6, 3, 2, generator=rng, dtype=torch.float64) - 1.2  # some places lie outside
    expected = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
    assert torch.equal(grid_sample(x, grid), expected)
    weights = torch.rand(expected.shape, generator=rng, dtype=torch.float64)
    ours, theirs = (torch.autograd.grad((y * weights).sum(), x)[0] for y in (grid_sample(x, grid), expected))
    assert torch.equal(ours, theirs)
    assert torch.autograd.gradcheck(lambda x: grid_sample(x, grid), (x,))
    assert torch.autograd.gradgradcheck(lambda x: grid_sample(x, grid) ** 2, (x,))
