"""Each objective and regulariser against its paper's formula, on numbers worked by hand."""

from __future__ import annotations

import math

import pytest
import torch

from synthaug.losses import OBJECTIVES, REGULARIZERS
from synthaug.losses.regularizers import R1, LeCam

REAL = torch.tensor([[2.0], [0.5]])
FAKE = torch.tensor([[-0.5], [1.0]])


def log_sigmoid(x: float) -> float:
    return -math.log(1 + math.exp(-x))


BY_HAND = {
    # (0 + .5)/2 + (.5 + 2)/2, −(−.5 + 1)/2
    "hinge": (1.5, -0.25),
    "non-saturating": (
        -(log_sigmoid(2.0) + log_sigmoid(0.5)) / 2 - (log_sigmoid(0.5) + log_sigmoid(-1.0)) / 2,
        -(log_sigmoid(-0.5) + log_sigmoid(1.0)) / 2,
    ),
}


def test_every_objective_is_worked_by_hand() -> None:
    assert set(BY_HAND) == set(OBJECTIVES.names())


@pytest.mark.parametrize("name", OBJECTIVES.names())
def test_formula(name: str) -> None:
    objective = OBJECTIVES.get(name)()
    discriminator, generator = BY_HAND[name]
    assert objective.discriminator_loss(REAL, FAKE).item() == pytest.approx(discriminator, rel=1e-6)
    assert objective.generator_loss(FAKE).item() == pytest.approx(generator, rel=1e-6)
    assert set(objective.regularizers) <= set(REGULARIZERS.names())


@pytest.mark.parametrize("name", OBJECTIVES.names())
def test_gradients_point_the_right_way(name: str) -> None:
    objective = OBJECTIVES.get(name)()
    real, fake = torch.full((2, 1), -0.3, requires_grad=True), torch.full((2, 1), 0.3, requires_grad=True)
    objective.discriminator_loss(real, fake).backward()
    assert (real.grad < 0).all()  # descending raises the score of real images …
    assert (fake.grad > 0).all()  # … and lowers that of generated ones
    again = torch.full((2, 1), 0.3, requires_grad=True)
    objective.generator_loss(again).backward()
    assert (again.grad < 0).all()


def test_r1_of_a_linear_discriminator_is_half_its_squared_weight() -> None:
    weight = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    x = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    penalty = R1()(lambda x: [(x * weight).sum(dim=(1, 2, 3))[:, None]], x, [], [])
    assert penalty.item() == pytest.approx(0.5 * weight.square().sum().item(), rel=1e-5)
    (gradient,) = torch.autograd.grad(penalty, weight)  # it must reach the discriminator's weights: double backward
    assert torch.allclose(gradient, weight.detach(), atol=1e-5)


def test_lecam_waits_and_then_pulls_logits_towards_the_other_average() -> None:
    lecam = LeCam()
    lecam.start = 1
    assert lecam(None, None, [REAL], [FAKE]).item() == 0.0  # type: ignore[arg-type]
    lecam.average_real.fill_(1.25)
    lecam.average_fake.fill_(0.25)
    # both averages move by 1% towards this step's means, 1.25 and .25: they stay
    expected = ((2 - 0.25) ** 2 + 0.25**2) / 2 + ((1.25 + 0.5) ** 2 + 0.25**2) / 2
    assert lecam(None, None, [REAL], [FAKE]).item() == pytest.approx(expected, rel=1e-5)  # type: ignore[arg-type]
