"""Every family in the table keeps one contract; a new entry is tested without a change here."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from generator_material import small_options
from safetensors.torch import load, save

from synthaug.config import Config, validate
from synthaug.data.batches import BalancedBatches
from synthaug.device import has_bf16
from synthaug.losses import OBJECTIVES
from synthaug.models import DISCRIMINATORS, LARGEST, MODELS, build_family
from synthaug.models.blocks import without_spectral_norm
from synthaug.models.family import Family, ImageShape, to_uint8
from synthaug.models.inputs import Inputs, Sources
from synthaug.sampling.critic import Critic
from synthaug.sampling.trained import for_use
from synthaug.training.steps import STEPS

# every family with its own discriminator, every other discriminator with one family: "dcgan+projected"
NAMES = [*MODELS.names(), *(f"dcgan+{name}" for name in DISCRIMINATORS.names() if name != "own")]


def make(name: str, channels: int = 3, resolution: int = 32, seed: int = 0) -> Family:
    torch.manual_seed(seed)
    family, _, discriminator = name.partition("+")
    config = small_options(family, discriminator=discriminator or "own")
    return build_family(family, ImageShape(resolution, channels, classes=3), config)


def some_inputs(family: Family, batch: int = 4, channels: int = 3, resolution: int = 32) -> Inputs:
    rng = torch.Generator().manual_seed(1)
    inputs = Inputs(torch.arange(batch) % 3, torch.randn(batch, family.generator.z_dim, generator=rng))
    if not family.generator.starts_from_images:
        return inputs
    return inputs._replace(sources=torch.rand(batch, channels, resolution, resolution, generator=rng) * 2 - 1)


SHAPES = [(1, 16), (3, 16), (3, 32), (3, 64), (3, 96), (3, 128), (3, 256)]
LARGE = ["dcgan", "biggan", "fastgan", "stylegan2", "r3gan", "fastgan+projected"]
"""For 256 px on a GPU, as docs/scale.md says."""


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "channels", "resolution"),
    [(name, *shape) for name in NAMES for shape in SHAPES if shape[1] <= LARGEST.get(name, shape[1])],
)
def test_shapes_and_ranges(name: str, channels: int, resolution: int) -> None:
    family = make(name, channels, resolution)
    inputs = some_inputs(family, channels=channels, resolution=resolution)
    images = family.generator(inputs)
    assert images.shape == (4, channels, resolution, resolution)
    assert images.dtype == torch.float32
    assert images.abs().max() <= 1
    heads = family.discriminator(images, inputs.labels)
    assert len(heads) >= 1
    assert all(head.ndim == 2 and len(head) == 4 and head.dtype == torch.float32 for head in heads)


@pytest.mark.parametrize("name", NAMES)
def test_every_trainable_parameter_gets_a_finite_gradient(name: str) -> None:
    family = make(name)
    # normalisations start with zero conditional weights: move off that point, or some gradients are zero by design
    with torch.no_grad():
        for p in [*family.generator.parameters(), *family.discriminator.parameters()]:
            p.add_(0.05 * torch.randn(p.shape, generator=torch.Generator().manual_seed(2)))
    inputs = some_inputs(family)
    parameters = {
        f"{network}.{label}": parameter
        for network, module in (("generator", family.generator), ("discriminator", family.discriminator))
        for label, parameter in module.named_parameters()
        if parameter.requires_grad
    }
    if family.generator.starts_from_images:  # some of its networks only serve the losses of its own step
        config = validate({"model": small_options(name).model_dump(), "training": {"batch_size": 8}})
        game = game_for(family, config, "32-true")
        for step in range(2):
            STEPS.get(family.step)(game, step, 0)
    # A new family is in its final form; one that grows has layers of its own for earlier stages of the training.
    for progress in torch.linspace(1, 0, 25).tolist():
        family.set_progress(progress)
        heads = family.discriminator(family.generator(inputs), inputs.labels)
        torch.stack([h.square().sum() for h in heads]).sum().backward()
        if all(parameter.grad is not None for parameter in parameters.values()):
            break
    for label, parameter in parameters.items():
        assert parameter.grad is not None, label
        assert parameter.grad.isfinite().all(), label
        assert parameter.grad.abs().sum() > 0, label


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_images(name: str) -> None:
    first, second = make(name), make(name)
    inputs = some_inputs(first)
    assert torch.equal(first.generator(inputs), second.generator(inputs))


@pytest.mark.parametrize("name", NAMES)
def test_save_and_load_bit_for_bit(name: str) -> None:
    family = make(name)
    inputs = some_inputs(family)
    family.discriminator(family.generator(inputs), inputs.labels)  # moves running statistics and power iterations
    for network, arguments in (
        (family.generator, (inputs,)),
        (family.discriminator, (family.generator(inputs).detach(), inputs.labels)),
    ):
        blob = save({k: v.contiguous() for k, v in network.state_dict().items()})
        fresh = make(name, seed=99)
        other = fresh.generator if network is family.generator else fresh.discriminator
        other.load_state_dict(load(blob))
        a, b = network.eval()(*arguments), other.eval()(*arguments)
        pairs = [(a, b)] if isinstance(a, torch.Tensor) else list(zip(a, b, strict=True))
        assert all(torch.equal(x, y) for x, y in pairs)


@torch.inference_mode()
@pytest.mark.parametrize("name", NAMES)
def test_networks_can_be_sent_to_another_process_bit_for_bit(name: str) -> None:
    family, inputs = make(name), some_inputs(make(name))
    for network in (family.generator, family.discriminator):
        for_use(network, torch.device("cpu"))
    images = family.generator(inputs)
    pairs = family.discriminator.judges_pairs
    before = None if pairs else Critic(family.discriminator).scores(to_uint8(images), 0)
    for network in (family.generator, family.discriminator):
        without_spectral_norm(network)
    generator, discriminator = pickle.loads(pickle.dumps((family.generator, family.discriminator)))
    assert torch.equal(generator(inputs), images)
    if before is not None:
        assert np.array_equal(Critic(discriminator).scores(to_uint8(images), 0), before)


@pytest.mark.parametrize("name", NAMES)
def test_the_class_condition_can_be_faded_out(name: str) -> None:
    family = make(name)
    family.generator.eval()  # in training, spectral norm takes another power iteration at each call
    inputs = some_inputs(family)
    zeros, ones = torch.zeros(4, dtype=torch.int64), torch.ones(4, dtype=torch.int64)
    of_zeros, of_ones = inputs._replace(labels=zeros), inputs._replace(labels=ones)
    assert not torch.equal(family.generator(of_zeros), family.generator(of_ones))
    family.set_condition_strength(0.0)
    assert torch.equal(family.generator(of_zeros), family.generator(of_ones))
    x = family.generator(of_zeros).detach()
    family.discriminator.eval()
    for a, b in zip(family.discriminator(x, zeros), family.discriminator(x, ones), strict=True):
        assert torch.equal(a, b)


def game_for(  # type: ignore[no-untyped-def]
    family: Family, config: Config, precision: str, channels: int = 3, side: int = 32
):
    from lightning_fabric import Fabric

    from synthaug.training.game import build_game

    rng = torch.Generator().manual_seed(3)
    pixels = torch.randint(256, (24, channels, side, side), generator=rng).to(torch.uint8)
    shares, batch = torch.full((3,), 1 / 3, dtype=torch.float64), config.training.batch_size
    batches = BalancedBatches(pixels, torch.arange(24) % 3, shares, batch, False)
    game = build_game(config, family, batches, Fabric(accelerator="cpu", devices=1, precision=precision))
    # images of class k may start from those of the next class
    game.sources = Sources(pixels.numpy(), {k: [np.arange((k + 1) % 3, 24, 3)] for k in range(3)})
    return game


def steps_to_take() -> Iterator[tuple[str, str, str]]:
    """Every objective; in bfloat16 one with penalties, as logits are float32 for all.

    Games of images from images share the discriminator's turn with the usual game: two more objectives are enough.
    """
    for name in NAMES:
        # through the frozen net, two penalties at every step take twenty seconds; non-saturating has one
        penalised = "non-saturating" if name == "dcgan+projected" else "relativistic"
        if name == "dcgan" or has_bf16(torch.device("cpu")):  # emulated, some take a minute
            yield name, penalised, "bf16-mixed"
        few = make(name).generator.starts_from_images
        for objective in ("hinge", "least-squares") if few else OBJECTIVES.names():
            if objective != "relativistic" or penalised == "relativistic":
                yield name, objective, "32-true"


@pytest.mark.parametrize(("name", "objective", "precision"), list(steps_to_take()))
def test_one_step_moves_both_networks_and_is_deterministic(name: str, objective: str, precision: str) -> None:
    model = small_options(name.partition("+")[0]).model_dump()
    config = validate({"model": model, "training": {"batch_size": 8, "objective": objective}})
    results = []
    for _ in range(2):
        family = make(name)
        before = copy.deepcopy([family.generator.state_dict(), family.discriminator.state_dict()])
        game = game_for(family, config, precision)
        step = STEPS.get(family.step)
        scalars = [step(game, k, config.seed) for k in range(2)]
        assert all(value.isfinite() for row in scalars for value in row.values())
        for old, network in zip(before, (family.generator, family.discriminator), strict=True):
            # biases cancel in a loss of differences, and octaves that are not grown yet have no gradient
            used = {k: p for k, p in network.named_parameters() if p.grad is not None and p.grad.any()}
            moved = [k for k, p in used.items() if not torch.equal(old[k], p)]
            assert len(moved) > 0.8 * len(used) > 0.5 * len(list(network.parameters()))
        results.append([family.generator.state_dict(), family.discriminator.state_dict()])
    for a, b in zip(*results, strict=True):
        assert all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("name", LARGE)
def test_a_step_at_256_px(name: str) -> None:
    family, _, discriminator = name.partition("+")
    sizes = {"width": 4, "discriminator_width": 4, "discriminator": discriminator or "own"}
    config = validate({"model": small_options(family, **sizes).model_dump(), "training": {"batch_size": 4}})
    torch.manual_seed(0)
    built = build_family(family, ImageShape(256, 3, classes=3), config.model)
    game = game_for(built, config, "32-true", side=256)
    before = copy.deepcopy([network.state_dict() for network in (built.generator, built.discriminator)])
    scalars = STEPS.get(built.step)(game, 0, config.seed)
    assert all(value.isfinite() for value in scalars.values())
    for old, network in zip(before, (built.generator, built.discriminator), strict=True):
        assert any(not torch.equal(old[key], value) for key, value in network.named_parameters())
