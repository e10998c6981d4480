"""Fully connected GAN, conditioned by concatenation: the networks of 2014.

Goodfellow et al., "Generative Adversarial Networks" (1406.2661), with the class beside the noise and beside the image
as in Mirza & Osindero, "Conditional GANs" (1411.1784, eq. 2: min_G max_D E[log D(x|y)] + E[log(1 − D(G(z|y)))]).
Maxout is replaced by leaky ReLU, and dropout is left out: it would draw from the global random state. For points,
digits and teaching; it does not use which pixels are neighbours.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from synthaug.config import ModelConfig
from synthaug.models.class_embedding import ClassEmbedding
from synthaug.models.family import Discriminator, Family, Generator, ImageShape
from synthaug.models.inputs import Inputs


def _layers(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden),
        nn.LeakyReLU(0.2),
        nn.Linear(hidden, hidden),
        nn.LeakyReLU(0.2),
        nn.Linear(hidden, outputs),
    )


class MLPGenerator(Generator):
    """[z, class embedding] → two hidden layers of 8 × `width` → tanh of every pixel.

    A resolution of 1 with two channels makes points of the plane.
    """

    def __init__(self, shape: ImageShape, z_dim: int, width: int, embed_dim: int) -> None:
        super().__init__()
        self.z_dim = z_dim
        self.size = (shape.channels, shape.resolution, shape.resolution)
        self.embed = ClassEmbedding(shape.classes, embed_dim)
        self.body = _layers(z_dim + embed_dim, 8 * width, shape.channels * shape.resolution**2)

    def conditional_parameters(self) -> list[Tensor]:
        """What each class's embedding gives to the first layer."""
        return [self.embed.weight @ cast(nn.Linear, self.body[0]).weight[:, self.z_dim :].T]

    def forward(self, inputs: Inputs) -> Tensor:
        embedded = self.embed(inputs.condition) * self.condition_strength
        x = self.body(torch.cat([inputs.noise, embedded], dim=1))
        return torch.tanh(x.float()).view(-1, *self.size)


class MLPDiscriminator(Discriminator):
    """[pixels, class embedding] → two hidden layers of 8 × `width` → one logit."""

    def __init__(self, shape: ImageShape, width: int, embed_dim: int) -> None:
        super().__init__()
        self.embed = ClassEmbedding(shape.classes, embed_dim)
        self.body = _layers(shape.channels * shape.resolution**2 + embed_dim, 8 * width, 1)

    def forward(self, x: Tensor, y: Tensor) -> list[Tensor]:
        return [self.body(torch.cat([x.flatten(1), self.embed(y) * self.condition_strength], dim=1)).float()]


def build(shape: ImageShape, config: ModelConfig) -> Family:
    return Family.pair(
        generator=MLPGenerator(shape, config.z_dim, config.width, config.embed_dim),
        discriminator=MLPDiscriminator(shape, config.discriminator_width, config.embed_dim),
    )
