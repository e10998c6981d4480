"""The translator's norm beside torch's own, and what its discriminator is shown."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from translation_material import game_of, images

from synthaug.training.steps import translation
from synthaug.translators.blocks import AdaIN, InstanceNorm, _Normalised


def test_instance_norm_is_that_of_torch() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 6, 8, 8)
    norm = InstanceNorm(6)
    torch.nn.init.normal_(norm.scale)
    torch.nn.init.normal_(norm.shift)
    torch.testing.assert_close(norm(x), F.instance_norm(x, weight=norm.scale, bias=norm.shift))


@pytest.mark.parametrize("rows", [1, 3])
def test_the_gradient_of_the_norm_is_that_of_its_values(rows: int) -> None:
    """Against differences of float64 values; scale and shift for all images, and for each."""
    torch.manual_seed(0)
    x = torch.randn(3, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    scale, shift = (torch.randn(rows, 1, 2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(_Normalised.apply, (x, scale, shift))


def test_adaptive_norm_trains_its_code() -> None:
    torch.manual_seed(0)
    norm, code = AdaIN(6, 4), torch.randn(2, 4, requires_grad=True)
    norm(torch.randn(2, 6, 8, 8), code).square().sum().backward()
    assert code.grad is not None
    assert code.grad.abs().min() > 0


def test_the_discriminator_sees_unchanged_sources_under_the_new_class(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = torch.tensor([0, 255])
    game = game_of("translator", images(levels), {})
    seen: list[tuple[Tensor, Tensor]] = []
    turn = translation.discriminator_turn

    def watched(game: Any, penalties: Any, real: Tensor, fake: Tensor, inputs: Any, rng: Any) -> Any:
        seen.append((fake.detach(), inputs.labels))
        return turn(game, penalties, real, fake, inputs, rng)

    monkeypatch.setattr(translation, "discriminator_turn", watched)
    for step in range(40):
        translation.translation_step(game, step, seed=0)
    shown, labels = (torch.cat(column) for column in zip(*seen, strict=True))
    level = shown.flatten(1)
    sources = ((level - level[:, :1]).abs().max(1).values == 0) & (level[:, 0].abs() == 1)
    of_other_class = sources & ((level[:, 0] > 0).long() != labels)
    assert of_other_class.any()
    assert torch.equal(sources, of_other_class)  # none under its own class
    moved = 1 - translation.STAY
    assert of_other_class.float().mean() < moved * translation.UNCHANGED + 0.1
