"""Changes to the default generator that the study of gain tries. They need networks that are not in the product.

`python tests/studies/changes.py fit …` is the command line of synthaug, which then knows these networks too.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synthaug.config import ModelConfig
from synthaug.models import DISCRIMINATORS, MODELS, dcgan, projected
from synthaug.models.blocks import spectral_norm
from synthaug.models.family import Discriminator, Family, ImageShape
from synthaug.models.inputs import Inputs

ADAPT = "STUDY_ADAPT"  # in the environment: the default family learns its class embeddings, scales and shifts only


@dataclass(frozen=True)
class Change:
    """How a training differs from that of the default. `common_first`: it starts from the common classes alone."""

    sets: tuple[str, ...] = ()
    kimg: int = 30
    seed: int = 0
    common_first: bool = False


DEFAULT, TWO_SEEDS = "default", "two-seeds"
CHANGES = {
    "embedding-noise": Change(("training.embedding_noise=0.75",)),
    "seed-1": Change(seed=1),
    "shared-4": Change(("model.family=shared-4",)),
    "shared-8": Change(("model.family=shared-8",)),
    "adapted": Change(common_first=True),
    "frozen-net": Change(("model.discriminator=own-and-projected",), kimg=15),
}


class SharedGenerator(dcgan.DCGANGenerator):
    """The default, whose first `shared` normalisations, and the linear layer before them, ignore the class.

    Low resolutions are shared between classes, as in UTLO (2402.17065).
    """

    shared = 1

    def forward(self, inputs: Inputs) -> Tensor:
        embedded = self.embed(inputs.labels) * self.condition_strength
        blind, told = (torch.cat([inputs.noise, e], dim=1) for e in (torch.zeros_like(embedded), embedded))
        given = [blind if k < self.shared else told for k in range(len(self.norms))]
        x = self.start(blind).view(len(blind), -1, self.side, self.side)
        x = F.relu(self.norms[0](x, given[0]))
        for up, norm, condition in zip(self.ups, self.norms[1:], given[1:], strict=True):
            x = F.relu(norm(up(x), condition))
        return torch.tanh(self.to_image(x).float())


class Beside(Discriminator):
    """Two discriminators side by side. The loss is the mean over all their heads."""

    def __init__(self, one: Discriminator, other: Discriminator) -> None:
        super().__init__()
        self.both = nn.ModuleList([one, other])

    def forward(self, x: Tensor, y: Tensor) -> list[Tensor]:
        return [logits for one in self.both for logits in one(x, y)]


class LowResolution(Discriminator):
    """Judges the image at `side` px without its class."""

    def __init__(self, channels: int, width: int, side: int) -> None:
        super().__init__()
        self.side = side
        layers = [nn.Conv2d(channels, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)]
        body: list[nn.Module] = [part for conv in layers for part in (spectral_norm(conv), nn.LeakyReLU(0.2))]
        self.body = nn.Sequential(*body, nn.Flatten(), spectral_norm(nn.Linear(width * side**2, 1)))

    def forward(self, x: Tensor, y: Tensor) -> list[Tensor]:
        return [self.body(F.adaptive_avg_pool2d(x, self.side)).float()]


def _shared(shape: ImageShape, config: ModelConfig, layers: int) -> Family:
    generator = SharedGenerator(shape, config.z_dim, config.width, config.embed_dim)
    generator.shared = layers
    width = config.discriminator_width
    low = LowResolution(shape.channels, width, generator.side * 2 ** (layers - 1))
    return Family.pair(generator, Beside(dcgan.ProjectionDiscriminator(shape, width), low))


def shared_4(shape: ImageShape, config: ModelConfig) -> Family:
    return _shared(shape, config, 1)


def shared_8(shape: ImageShape, config: ModelConfig) -> Family:
    return _shared(shape, config, 2)


def own_and_projected(family: Family, shape: ImageShape, config: ModelConfig) -> Family:
    frozen = projected.ProjectedDiscriminator(shape, config.discriminator_width)
    return Family.pair(family.generator, Beside(family.discriminator, frozen))


def adapted(shape: ImageShape, config: ModelConfig) -> Family:
    family = dcgan.build(shape, config)
    for name, parameter in family.generator.named_parameters():
        parameter.requires_grad_(name.startswith(("embed", "norms")))
    return family


def register() -> None:
    """Put these networks into the product's tables, in this process."""
    MODELS._entries.update({"shared-4": "changes:shared_4", "shared-8": "changes:shared_8"})
    DISCRIMINATORS._entries["own-and-projected"] = "changes:own_and_projected"
    if os.environ.get(ADAPT):
        MODELS._entries["dcgan"] = "changes:adapted"


if __name__ == "__main__":
    from synthaug_cli.app import main

    register()
    main()
