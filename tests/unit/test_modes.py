"""A ring of 8 Gaussians with each objective, and a grid of 25: are all modes found, and are the samples good?

The usual toys (1611.02163 §3.1; VEEGAN, 1705.07761 §4.1) and their usual scores: a sample is good within three standard
deviations of a mode's centre, and a mode is covered that has a good sample. The spots are wider than the papers', for
trainings of seconds; what an even square scores by chance is what counts as nothing.

A point of the plane is an image of two channels and one pixel, so that the `mlp` family, the real batches, the real
step, objectives and penalties are what is tried. An objective with a wrong sign, or a penalty that swamps it, finds no
modes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor

from synthaug.config import validate
from synthaug.data.batches import BalancedBatches
from synthaug.losses import OBJECTIVES
from synthaug.models import build_family
from synthaug.models.family import Discriminator, Family, Generator, ImageShape
from synthaug.models.inputs import Inputs
from synthaug.training.game import build_game
from synthaug.training.steps.adversarial import adversarial_step

DEVIATION, NEAR = 0.04, 0.12
BATCH, POINTS, SAMPLES, Z_DIM = 128, 10_000, 2500, 4
OCTAVES = (1, 2, 4)


@dataclass(frozen=True)
class Toy:
    """`modes` float[K, 2], and the penalty that spots so near to each other allow."""

    modes: Tensor
    r1: float
    steps: int

    def penalties(self, objective: str) -> dict[str, float]:
        # the networks have no spectral norm, which hinge and least squares count on: all take R1, but for the critic
        if objective == "wasserstein":
            return {"gradient-penalty": 0.1}
        return {"r1": self.r1 / 4, "r2": self.r1 / 4} if objective == "relativistic" else {"r1": self.r1}

    @property
    def by_chance(self) -> float:
        """The share of good samples of a generator that fills the square evenly."""
        return len(self.modes) * math.pi * NEAR**2 / 4


RING = [(0.7 * math.cos(k * math.pi / 4), 0.7 * math.sin(k * math.pi / 4)) for k in range(8)]
GRID = [(0.4 * i, 0.4 * j) for i in range(-2, 3) for j in range(-2, 3)]
TOYS = {
    "ring": Toy(torch.tensor(RING), r1=0.02, steps=500),
    "grid": Toy(torch.tensor(GRID), r1=0.0005, steps=800),
}


class Lens(Discriminator):
    """The family's discriminator, which sees a point as sines and cosines of three octaves (2003.08934, eq. 4).

    Looking at bare coordinates, so small a network does not tell 25 spots from an even square in a thousand steps.
    """

    def __init__(self, inner: Discriminator) -> None:
        super().__init__()
        self.inner = inner
        self.register_buffer("condition_strength", torch.ones(()))

    def forward(self, x: Tensor, y: Tensor) -> list[Tensor]:
        angles = torch.cat([math.pi * k * x for k in OCTAVES], dim=1)
        logits: list[Tensor] = self.inner(torch.cat([angles.sin(), angles.cos()], dim=1), y)
        return logits


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums do not depend on the machine's number of cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def trained(name: str, objective: str, seed: int = 0) -> tuple[int, float]:
    """Modes covered, and the share of good samples, of an averaged generator.

    The discriminator learns at four times the generator's rate, for every objective.
    """
    toy = TOYS[name]
    config = validate(
        {
            "model": {"family": "mlp", "z_dim": Z_DIM, "width": 16, "discriminator_width": 16, "embed_dim": 2},
            "training": {
                "batch_size": BATCH,
                "objective": objective,
                "regularizers": toy.penalties(objective),
                "augment": [],
                "generator_lr": 2e-3,
                "discriminator_lr": 8e-3,
                "ema_kimg": 3.0,
            },
        }
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        family = Family.pair(
            build_family("mlp", ImageShape(1, 2, 1), config.model).generator,
            Lens(build_family("mlp", ImageShape(1, 4 * len(OCTAVES), 1), config.model).discriminator),
        )
    game = build_game(config, family, cloud(toy, seed), Fabric(accelerator="cpu", devices=1))
    for step in range(toy.steps):
        game.progress = step / toy.steps
        adversarial_step(game, step, seed)
        game.state.average.update(family.generator, (step + 1) * BATCH, BATCH)
    return score(toy, game.state.average.network)


def cloud(toy: Toy, seed: int) -> BalancedBatches:
    """Points of the mixture as a training set of images uint8[N, 2, 1, 1] of one class."""
    rng = torch.Generator().manual_seed(seed)
    centres = toy.modes[torch.randint(len(toy.modes), (POINTS,), generator=rng)]
    points = centres + DEVIATION * torch.randn(POINTS, 2, generator=rng)
    pixels = points.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8)[:, :, None, None]
    return BalancedBatches(pixels, torch.zeros(POINTS, dtype=torch.int64), torch.ones(1), BATCH, flip=False)


@torch.no_grad()
def score(toy: Toy, generator: Generator) -> tuple[int, float]:
    """Modes covered, and the share of good samples."""
    z = torch.randn(SAMPLES, Z_DIM, generator=torch.Generator().manual_seed(1))
    samples = generator(Inputs(torch.zeros(SAMPLES, dtype=torch.int64), z)).flatten(1)
    distance, nearest = torch.cdist(samples, toy.modes).min(dim=1)
    good = distance < NEAR
    return len(nearest[good].unique()), float(good.float().mean())


@pytest.mark.parametrize("objective", OBJECTIVES.names())
def test_every_objective_finds_the_ring(objective: str) -> None:
    modes, good = trained("ring", objective)
    assert modes == 8
    assert good > 4 * TOYS["ring"].by_chance


def test_the_saturating_loss_learns_little_from_a_discriminator_that_is_ahead() -> None:
    """1406.2661 §3: it is left with little more than an even square, where other objectives have found the spots."""
    others = [trained("grid", objective) for objective in ("hinge", "non-saturating")]
    for modes, good in others:
        assert modes >= 23
        assert good > 1.35 * TOYS["grid"].by_chance
    assert trained("grid", "minimax")[1] < 0.8 * max(good for _, good in others)
