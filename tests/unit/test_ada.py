"""ADA: the heuristic by hand, the probability per image, and its place in a checkpoint."""

from __future__ import annotations

import pytest
import torch

from synthaug.augment.ada import AdaptiveAugment


def test_the_probability_follows_the_sign_at_the_papers_speed() -> None:
    ada = AdaptiveAugment(["color"], target=0.6, interval=4, kimg=500)
    sure, unsure = torch.full((64, 1), 2.0), torch.tensor([[1.0], [-1.0]] * 32)
    shown = [float(ada.observe(sure)) for _ in range(8)]
    step = 64 * 4 / 500_000
    assert shown == pytest.approx([0, 0, 0, step, step, step, step, 2 * step])
    for _ in range(4):
        lowered = ada.observe(unsure)
    assert float(lowered) == pytest.approx(step)
    for _ in range(100):
        ada.observe(unsure)
    assert float(ada.p) == 0.0  # and no lower


def test_each_image_is_changed_with_that_probability() -> None:
    ada = AdaptiveAugment(["color"])
    x = torch.rand(4000, 1, 2, 2, generator=torch.Generator().manual_seed(1))
    for p in (0.0, 0.3, 1.0):
        ada.p.fill_(p)
        changed = (ada(x, torch.Generator().manual_seed(0)) != x).flatten(1).any(dim=1)
        assert changed.float().mean().item() == pytest.approx(p, abs=0.03)


def test_gradients_pass_and_the_draws_do_not_depend_on_p() -> None:
    ada = AdaptiveAugment(["color", "affine"])
    left = []
    for p in (0.0, 0.7):
        ada.p.fill_(p)
        rng = torch.Generator().manual_seed(0)
        x = torch.zeros(6, 1, 8, 8, requires_grad=True)
        ada(x, rng).sum().backward()
        assert x.grad.abs().sum() > 0
        left.append(torch.rand(1, generator=rng))
    assert torch.equal(*left)


def test_all_that_it_remembers_is_saved() -> None:
    ada, other = AdaptiveAugment(["color"]), AdaptiveAugment(["color"])
    for _ in range(6):
        ada.observe(torch.ones(8, 1))
    other.load_state_dict(ada.state_dict())
    for _ in range(3):
        assert torch.equal(ada.observe(torch.ones(8, 1)), other.observe(torch.ones(8, 1)))
    assert other.p > 0
