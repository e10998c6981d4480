"""Every upscaler in the table keeps one contract; a new entry is tested without a change here."""

from __future__ import annotations

import copy

import pytest
import torch
from lightning_fabric import Fabric
from safetensors.torch import load, save

from synthaug.config import Config, validate
from synthaug.data.batches import BalancedBatches
from synthaug.models import UPSCALERS, build_family
from synthaug.models.family import Family, ImageShape
from synthaug.models.inputs import Inputs
from synthaug.training.game import Game, build_game
from synthaug.training.steps import STEPS
from synthaug.upscalers.resampling import back_projected, doubled, halved

NAMES = UPSCALERS.names()


def config_of(name: str, scale: int, **settings: object) -> Config:
    model = {"family": name, "scale": scale, "width": 8, "blocks": 1, "discriminator_width": 4, **settings}
    return validate({"model": model, "data": {"resolution": 16}, "training": {"batch_size": 8}})


def make(name: str, scale: int, channels: int = 3, resolution: int = 16, seed: int = 0) -> Family:
    torch.manual_seed(seed)
    return build_family(name, ImageShape(resolution, channels, 3), config_of(name, scale).model)


def moved(family: Family) -> Family:
    """Off the zeros that its last layers start with."""
    rng = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in family.generator.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=rng))
    return family


def some_images(channels: int, height: int, width: int) -> Inputs:
    images = torch.rand(2, channels, height, width, generator=torch.Generator().manual_seed(1)) - 0.5
    return Inputs(torch.zeros(2, dtype=torch.int64), None, images)


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize(("channels", "height", "width"), [(1, 16, 16), (3, 32, 32), (3, 21, 10)])
@pytest.mark.parametrize("name", NAMES)
def test_images_of_any_size_are_enlarged_and_reduced_again_are_the_given_ones(
    name: str, channels: int, height: int, width: int, scale: int
) -> None:
    upscaler, inputs = moved(make(name, scale, channels)).generator, some_images(channels, height, width)
    image = upscaler(inputs)
    assert image.shape == (2, channels, scale * height, scale * width)
    assert image.dtype == torch.float32
    assert image.abs().max() <= 1
    steps = upscaler.enlarge(inputs.images)  # type: ignore[operator]
    assert [step.shape[2] // height for step in steps] == [2, 4][: len(steps)]
    for large, small in zip(steps, [inputs.images, *steps], strict=False):
        torch.testing.assert_close(halved(large), small, atol=1e-3, rtol=0)
        assert (large - doubled(small)).abs().max() > 0.01


@pytest.mark.parametrize("name", NAMES)
def test_an_untrained_one_is_the_projected_interpolation(name: str) -> None:
    inputs = some_images(3, 16, 16)
    wanted = back_projected(doubled(inputs.images), inputs.images).clamp(-1, 1)
    torch.testing.assert_close(make(name, 2).generator(inputs), wanted)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_images_and_save_and_load_keep_them(name: str) -> None:
    first, second, inputs = moved(make(name, 2)), moved(make(name, 2)), some_images(3, 16, 16)
    assert torch.equal(first.generator(inputs), second.generator(inputs))
    fresh = make(name, 2, seed=99).generator
    fresh.load_state_dict(load(save({k: v.contiguous() for k, v in first.generator.state_dict().items()})))
    assert torch.equal(fresh.eval()(inputs), first.generator.eval()(inputs))


def game_of(name: str, scale: int, precision: str, **settings: object) -> Game:
    rng = torch.Generator().manual_seed(3)
    pixels = torch.randint(256, (24, 3, 16 * scale, 16 * scale), generator=rng).to(torch.uint8)
    batches = BalancedBatches(pixels, torch.arange(24) % 3, torch.full((3,), 1 / 3, dtype=torch.float64), 8, False)
    family, fabric = make(name, scale), Fabric(accelerator="cpu", devices=1, precision=precision)  # type: ignore[arg-type]
    return build_game(config_of(name, scale, **settings), family, batches, fabric)


@pytest.mark.parametrize(("scale", "precision"), [(2, "32-true"), (4, "bf16-mixed")])
@pytest.mark.parametrize("name", NAMES)
def test_steps_move_both_networks_and_are_deterministic(name: str, scale: int, precision: str) -> None:
    results = []
    for _ in range(2):
        game = game_of(name, scale, precision, perceptual_start=0.0)
        networks = [game.family.generator, game.family.discriminator]
        before = copy.deepcopy([network.state_dict() for network in networks])
        for number in range(2):
            scalars = STEPS.get(game.family.step)(game, number, 0)
            assert all(value.isfinite() for value in scalars.values())
        assert {"loss_g", "loss_d", "pixel", "content", "adversarial"} <= set(scalars)
        for old, network in zip(before, networks, strict=True):
            assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
            assert all(not torch.equal(old[key], p) for key, p in network.named_parameters() if p.grad.any())
        results.append([network.state_dict() for network in networks])
    for a, b in zip(*results, strict=True):
        assert all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("name", NAMES)
def test_at_first_pixels_alone_are_learnt_and_the_learning_rate_falls(name: str) -> None:
    game = game_of(name, 2, "32-true")
    rates = [group["lr"] for player in game.state.players.values() for group in player.optimizer.param_groups]
    before = copy.deepcopy(game.family.discriminator.state_dict())
    scalars = STEPS.get(game.family.step)(game, 0, 0)
    assert set(scalars) == {"pixel", "loss_g"}
    assert all(torch.equal(before[key], value) for key, value in game.family.discriminator.state_dict().items())
    weights = copy.deepcopy(game.family.generator.state_dict())
    game.set_progress(1.0)
    STEPS.get(game.family.step)(game, 1, 0)
    assert all(torch.equal(weights[key], value) for key, value in game.family.generator.state_dict().items())
    after = [group["lr"] for player in game.state.players.values() for group in player.optimizer.param_groups]
    assert after == rates
