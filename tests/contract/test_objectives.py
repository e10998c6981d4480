"""Each objective and regulariser against its paper's formula, on numbers worked by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from synthaug.config import validate
from synthaug.errors import SynthaugError
from synthaug.losses import OBJECTIVES, REGULARIZERS
from synthaug.losses.objective import smoothed
from synthaug.losses.regularizers import (
    R1,
    R2,
    ConditionalSpectral,
    Consistency,
    DiscriminatorBatch,
    GeneratorBatch,
    GeneratorRegularizer,
    GradientPenalty,
    LeCam,
    ModeSeeking,
    Regularizer,
)
from synthaug.models.family import Generator
from synthaug.models.inputs import Inputs

REAL = torch.tensor([[2.0], [0.5]])
FAKE = torch.tensor([[-0.5], [1.0]])
NONE = torch.zeros(0, 1)


def log_sigmoid(x: float) -> float:
    return -math.log(1 + math.exp(-x))


LOGISTIC = -(log_sigmoid(2.0) + log_sigmoid(0.5)) / 2 - (log_sigmoid(0.5) + log_sigmoid(-1.0)) / 2
BY_HAND = {
    # (0 + .5)/2 + (.5 + 2)/2, −(−.5 + 1)/2
    "hinge": (1.5, -0.25),
    "non-saturating": (LOGISTIC, -(log_sigmoid(-0.5) + log_sigmoid(1.0)) / 2),
    "minimax": (LOGISTIC, (log_sigmoid(0.5) + log_sigmoid(-1.0)) / 2),  # 1 − σ(x) is σ(−x)
    # ½ (1 + .25)/2 + ½ (.25 + 1)/2, ½ (2.25 + 0)/2
    "least-squares": (0.625, 0.5625),
    "wasserstein": (0.25 - 1.25, -0.25),
    # D(x) − D(G): 2.5 and −.5
    "relativistic": (
        -(log_sigmoid(2.5) + log_sigmoid(-0.5)) / 2,
        -(log_sigmoid(-2.5) + log_sigmoid(0.5)) / 2,
    ),
}


@pytest.mark.parametrize("name", OBJECTIVES.names())
def test_formula(name: str) -> None:
    objective = OBJECTIVES.get(name)()
    discriminator, generator = BY_HAND[name]
    assert objective.discriminator_loss(REAL, FAKE).item() == pytest.approx(discriminator, rel=1e-6)
    real = REAL if objective.paired else NONE
    assert objective.generator_loss(FAKE, real).item() == pytest.approx(generator, rel=1e-6)
    assert set(objective.regularizers) <= set(REGULARIZERS.names())


@pytest.mark.parametrize("name", OBJECTIVES.names())
def test_gradients_point_the_right_way(name: str) -> None:
    objective = OBJECTIVES.get(name)()
    real, fake = torch.full((2, 1), -0.3, requires_grad=True), torch.full((2, 1), 0.3, requires_grad=True)
    objective.discriminator_loss(real, fake).backward()
    assert (real.grad < 0).all()  # descending raises the score of real images …
    assert (fake.grad > 0).all()  # … and lowers that of generated ones
    again = torch.full((2, 1), 0.3, requires_grad=True)
    objective.generator_loss(again, real.detach() if objective.paired else NONE).backward()
    assert (again.grad < 0).all()


def test_only_the_saturating_gradient_dies_where_the_discriminator_is_sure() -> None:
    steepness = {}
    for name in OBJECTIVES.names():
        fake = torch.full((1, 1), -8.0, requires_grad=True)
        OBJECTIVES.get(name)().generator_loss(fake, torch.full((1, 1), 8.0)).backward()
        steepness[name] = fake.grad.abs().item()
    assert steepness.pop("minimax") < 1e-3
    assert min(steepness.values()) > 0.9


@pytest.mark.parametrize("name", OBJECTIVES.names())
def test_the_margin_is_positive_where_a_real_image_is_recognised(name: str) -> None:
    objective = OBJECTIVES.get(name)()
    assert (objective.margin(torch.full((3, 1), 0.9), torch.full((3, 1), -0.9)) > 0).all()
    assert (objective.margin(torch.full((3, 1), -0.9), torch.full((3, 1), 0.9)) < 0).all()


@pytest.mark.parametrize("name", OBJECTIVES.names())
def test_label_smoothing_lowers_the_target_of_real_images_or_is_refused(name: str) -> None:
    objective = OBJECTIVES.get(name)()
    if objective.real_target is None:
        with pytest.raises(SynthaugError, match="label_smoothing") as caught:
            smoothed(objective, name, 0.1)
        assert "minimax" in caught.value.hint
        return
    smoothed(objective, name, 0.1)
    best = min(torch.linspace(-5, 5, 2001).tolist(), key=lambda r: objective.discriminator_loss(
        torch.tensor([[r]]), FAKE).item())  # fmt: skip
    # the discriminator does best by saying .9: σ(r) = .9, or r = .9 for least squares
    assert best == pytest.approx(0.9 if name == "least-squares" else math.log(9), abs=0.01)


def seen(judge: Callable[[Tensor], list[Tensor]], real: Tensor, fake: Tensor) -> DiscriminatorBatch:
    return DiscriminatorBatch(judge, judge, real, fake, judge(real), judge(fake), torch.Generator().manual_seed(5))


def linear(weight: Tensor) -> Callable[[Tensor], list[Tensor]]:
    return lambda x: [(x * weight).sum(dim=(1, 2, 3))[:, None]]


def images(seed: int) -> Tensor:
    return torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("penalty", [R1(), R2()])
def test_r1_and_r2_of_a_linear_discriminator_are_half_its_squared_weight(penalty: Regularizer) -> None:
    weight = images(0)[0].clone().requires_grad_(True)
    value = penalty(seen(linear(weight), images(1), images(2)))
    assert value.item() == pytest.approx(0.5 * weight.square().sum().item(), rel=1e-5)
    (gradient,) = torch.autograd.grad(value, weight)  # it must reach the discriminator's weights: double backward
    assert torch.allclose(gradient, weight.detach(), atol=1e-5)


def test_r1_looks_at_real_images_and_r2_at_generated_ones() -> None:
    square = lambda x: [x.square().sum(dim=(1, 2, 3))[:, None]]  # noqa: E731  # gradient 2 x: ½ ‖2x‖² = 2 ‖x‖²
    given = seen(square, images(1), images(2))
    assert R1()(given).item() == pytest.approx(2 * images(1).square().sum(dim=(1, 2, 3)).mean().item(), rel=1e-5)
    assert R2()(given).item() == pytest.approx(2 * images(2).square().sum(dim=(1, 2, 3)).mean().item(), rel=1e-5)


@pytest.mark.parametrize(("penalty", "name"), [(R1(), "real"), (R2(), "fake")])
def test_r1_and_r2_use_the_logits_that_were_computed_from_images_with_gradients(
    penalty: Regularizer, name: str
) -> None:
    def never(x: Tensor) -> list[Tensor]:
        raise AssertionError("another pass through the discriminator")

    weight = images(0)[0].clone().requires_grad_(True)
    x = images(1).requires_grad_(True)
    given = DiscriminatorBatch(never, never, x, x, linear(weight)(x), linear(weight)(x), torch.Generator())
    assert penalty.differentiates == name
    assert penalty(given).item() == pytest.approx(0.5 * weight.square().sum().item(), rel=1e-5)


def test_a_step_with_r1_takes_no_more_passes_through_the_discriminator() -> None:
    from synthaug.training.steps.adversarial import adversarial_step

    passes = []
    for weight in (0.0, 1.0):
        game = small(regularizers={"r1": weight, "r2": weight}, augment=["color"])
        calls: list[int] = []
        game.family.discriminator.register_forward_pre_hook(lambda module, inputs, calls=calls: calls.append(1))
        scalars = adversarial_step(game, 0, 0)
        assert ("r1" in scalars) == ("r2" in scalars) == (weight > 0)
        passes.append(len(calls))
    assert passes[0] == passes[1] == 2


def test_the_gradient_penalty_wants_slope_one_between_real_and_generated_images() -> None:
    weight = images(0)[0].clone().requires_grad_(True)
    norm = weight.detach().norm()
    value = GradientPenalty()(seen(linear(weight), images(1), images(2)))
    assert value.item() == pytest.approx((norm.item() - 1) ** 2, rel=1e-5)
    (gradient,) = torch.autograd.grad(value, weight)
    assert torch.allclose(gradient, 2 * (norm - 1) * weight.detach() / norm, rtol=1e-4, atol=1e-5)
    points: list[Tensor] = []

    def judge(x: Tensor) -> list[Tensor]:
        points.append(x.detach())
        return linear(weight)(x)

    GradientPenalty()(
        DiscriminatorBatch(judge, judge, torch.zeros(5, 1, 1, 1), torch.ones(5, 1, 1, 1), [], [], torch.Generator())
    )
    assert len(points[0].unique()) == 5  # a point of its own for each pair
    assert 0 <= points[0].min() < points[0].max() <= 1


def test_consistency_is_zero_only_for_a_discriminator_that_does_not_see_shifts() -> None:
    x = images(1).repeat(1, 1, 4, 4)
    blind = lambda x: [x.square().sum(dim=(1, 2, 3))[:, None] * 0 + 3]  # noqa: E731
    assert Consistency()(seen(blind, x, x)).item() == 0
    weight = torch.randn(3, 16, 16, generator=torch.Generator().manual_seed(9), requires_grad=True)
    value = Consistency()(seen(linear(weight), x, x))
    from synthaug.augment.diffaugment import translation

    moved = translation(x, torch.Generator().manual_seed(5))
    expected = (linear(weight)(x)[0] - linear(weight)(moved)[0]).square().mean()
    assert value.item() == pytest.approx(expected.item(), rel=1e-4)
    assert torch.autograd.grad(value, weight)[0].abs().sum() > 0


def test_lecam_waits_and_then_pulls_logits_towards_the_other_average() -> None:
    lecam = LeCam()
    lecam.start = 1
    logits = DiscriminatorBatch(linear(REAL), linear(REAL), REAL, FAKE, [REAL], [FAKE], torch.Generator())
    assert lecam(logits).item() == 0.0
    lecam.average_real.fill_(1.25)
    lecam.average_fake.fill_(0.25)
    # both averages move by 1% towards this step's means, 1.25 and .25: they stay
    expected = ((2 - 0.25) ** 2 + 0.25**2) / 2 + ((1.25 + 0.5) ** 2 + 0.25**2) / 2
    assert lecam(logits).item() == pytest.approx(expected, rel=1e-5)


class TwoClasses(Generator):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(2, 4)
        # folded to 2 × 2: the identity (σ_max 1), and a matrix of rank one (σ_max 6)
        self.embed.weight.data = torch.tensor([[1.0, 0.0, 0.0, 1.0], [3.0, 3.0, 3.0, 3.0]])


def test_conditional_spectral_is_the_sum_of_the_classes_squared_spectral_norms() -> None:
    generator = TwoClasses()
    value = ConditionalSpectral()(GeneratorBatch(generator, Inputs(torch.zeros(0), None), torch.zeros(0)))
    assert value.item() == pytest.approx(1.0 + 36.0, rel=1e-5)
    value.backward()
    # ∂σ²/∂Γ = 2 σ u vᵀ, and u vᵀ has entries of ½ here
    assert torch.allclose(generator.embed.weight.grad[1], torch.full((4,), 6.0), atol=1e-4)


def test_mode_seeking_compares_neighbours_of_one_class_only() -> None:
    z = torch.tensor([[0.0], [1.0], [5.0], [8.0]])
    fake = torch.tensor([0.0, 0.5, 100.0, 100.0]).view(4, 1, 1, 1).requires_grad_(True)
    labels = torch.tensor([0, 0, 1, 2])  # one pair of a class: noise 1 apart, images ½ apart
    value = ModeSeeking()(GeneratorBatch(TwoClasses(), Inputs(labels, z), fake))
    assert value.item() == pytest.approx(2.0, rel=1e-3)
    value.backward()
    assert fake.grad[0] > 0 > fake.grad[1]  # descent drives them apart
    assert torch.equal(fake.grad[2:], torch.zeros(2, 1, 1, 1))
    assert ModeSeeking()(GeneratorBatch(TwoClasses(), Inputs(torch.arange(4), z), fake)).item() == 0


def small(family: str = "dcgan", **training):  # type: ignore[no-untyped-def]
    """A small game on noise, and the configuration of it."""
    from lightning_fabric import Fabric

    from synthaug.data.batches import BalancedBatches
    from synthaug.losses.heads import build_heads
    from synthaug.models import build_family
    from synthaug.models.codes import codes_of
    from synthaug.models.family import ImageShape
    from synthaug.training.game import build_game

    precision = training.pop("fabric_precision", "32-true")
    model = {"width": 8, "discriminator_width": 8, "z_dim": 16, "embed_dim": 8, **training.pop("model", {})}
    config = validate({"model": {"family": family, **model}, "training": {"batch_size": 8, **training}})
    shape = ImageShape(16, 3, classes=3)
    torch.manual_seed(0)
    built = build_family(family, shape, config.model)
    heads = build_heads(config.training.auxiliary, built, shape, codes_of(config.model))
    with torch.no_grad():  # conditional normalisation starts at zero, where penalties on it have no gradient
        for p in built.generator.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=torch.Generator().manual_seed(2)))
    pixels = torch.randint(256, (24, 3, 16, 16), generator=torch.Generator().manual_seed(3)).to(torch.uint8)
    batches = BalancedBatches(
        pixels, torch.arange(24) % 3, torch.full((3,), 1 / 3, dtype=torch.float64), 8, config.training.flip
    )
    return build_game(config, built, batches, Fabric(accelerator="cpu", devices=1, precision=precision), heads)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("name", REGULARIZERS.names())
def test_every_regulariser_changes_the_weights_in_either_precision(name: str, precision: str) -> None:
    from synthaug.training.steps.adversarial import adversarial_step

    after = []
    for weight in (0.0, 1.0):
        game = small(fabric_precision=precision, regularizers={name: weight}, augment=["color"])
        for _, regularizer in game.regularizers.values():
            if isinstance(regularizer, LeCam):
                regularizer.steps.fill_(2000)
        report = [adversarial_step(game, step, 0) for step in range(2)]
        assert all(value.isfinite() for row in report for value in row.values())
        assert (name in report[0]) == (weight > 0)
        side = isinstance(REGULARIZERS.get(name)(), GeneratorRegularizer)
        network = game.family.generator if side else game.family.discriminator
        after.append(torch.cat([p.detach().flatten() for p in network.parameters()]))
    assert not torch.equal(after[0], after[1])


def test_relativistic_penalties_come_every_step_and_fall_to_a_tenth() -> None:
    game = small(objective="relativistic")
    assert [due.name for due in game.due_penalties(1)] == ["r1", "r2"]
    weights = []
    for game.progress in (0.0, 0.5, 1.0):
        weights.append(game.due_penalties(1)[0].weight)
    weight = OBJECTIVES.get("relativistic").regularizers["r1"]
    assert weights == pytest.approx([weight, 0.55 * weight, 0.1 * weight])
    lazy = small(objective="non-saturating")
    assert [len(lazy.due_penalties(step)) for step in range(5)] == [1, 0, 0, 0, 1]
    weight = OBJECTIVES.get("non-saturating").regularizers["r1"]
    assert lazy.due_penalties(0)[0].weight == pytest.approx(4 * weight)  # times its interval
