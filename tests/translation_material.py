"""Small games of families that start from images, and generators whose answers can be worked out by hand."""

from __future__ import annotations

import numpy as np
import torch
from generator_material import small_options
from lightning_fabric import Fabric
from torch import Tensor, nn

from synthaug.config import validate
from synthaug.data.batches import BalancedBatches
from synthaug.models import build_family
from synthaug.models.family import Generator, ImageShape
from synthaug.models.inputs import Inputs, Sources
from synthaug.training.game import Game, build_game

PER_CLASS = 16


def images(of_class: Tensor, side: int = 16) -> Tensor:
    """Grey images of even brightness, uint8[PER_CLASS · K, 1, side, side], with these levels of each class."""
    return of_class.to(torch.uint8).repeat_interleave(PER_CLASS)[:, None, None, None].repeat(1, 1, side, side)


def game_of(family: str, pixels: Tensor, settings: dict[str, object], **training: object) -> Game:
    """A game on images of equally many a class, the first class after the other; each is made from the next class."""
    classes = len(pixels) // PER_CLASS
    labels = torch.arange(classes).repeat_interleave(PER_CLASS)
    options = small_options(family, **settings)
    config = validate(
        {"model": options.model_dump(), "training": {"batch_size": 8, "objective": "least-squares", **training}}
    )
    torch.manual_seed(0)
    built = build_family(family, ImageShape(pixels.shape[2], pixels.shape[1], classes), options)
    shares = torch.full((classes,), 1 / classes, dtype=torch.float64)
    batches = BalancedBatches(pixels, labels, shares, config.training.batch_size, config.training.flip)
    game = build_game(config, built, batches, Fabric(accelerator="cpu", devices=1, precision="32-true"))
    rows = {k: [np.flatnonzero(labels.numpy() == (k + 1) % classes)] for k in range(classes)}
    game.sources = Sources(pixels.numpy(), rows)
    return game


class Affine(Generator):
    """G(x) = scale · x + shift, for every class."""

    starts_from_images = True
    z_dim = 2

    def __init__(self, scale: float, shift: float) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(scale).log())
        self.shift = nn.Parameter(torch.tensor(shift))

    def forward(self, inputs: Inputs) -> Tensor:
        return inputs.images * self.log_scale.exp() + self.shift
