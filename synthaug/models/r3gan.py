"""R3GAN: a modern residual network without normalisation, for the relativistic loss with R1 and R2.

Huang et al., "The GAN is dead; long live the GAN! A Modern Baseline GAN" (2501.05441, §4), written from the paper.
Inverted bottlenecks with grouped convolutions of 16 channels a group; no batch norm, no spectral norm, no minibatch
statistic. Fixup's initialisation (1901.09321) keeps it stable: the last convolution of every residual branch starts at
zero and the others are scaled by L^(−1/4) for L branches, so each network starts as plain resampling. It needs its
gradient penalties: it diverges without them.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synthaug.config import ModelConfig
from synthaug.models.blocks import channels_at, convolutions, sides
from synthaug.models.class_embedding import ClassEmbedding
from synthaug.models.family import Discriminator, Family, Generator, ImageShape
from synthaug.models.inputs import Inputs

GROUP = 16
BLOCKS = 2  # residual blocks a side
GAIN = math.sqrt(2 / (1 + 0.2**2))  # of leaky ReLU with slope 0.2


def _layer(layer: nn.Conv2d | nn.Linear, gain: float = 1.0) -> nn.Conv2d | nn.Linear:
    """Draw the weight from N(0, gain²/fan_in), and the bias from zero."""
    nn.init.normal_(layer.weight, std=gain / math.sqrt(layer.weight[0].numel()))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def groups_of(channels: int) -> int:
    """How many groups of at least 16 channels divide them.

    >>> groups_of(96), groups_of(56), groups_of(8)
    (6, 2, 1)
    """
    return next(g for g in range(max(channels // GROUP, 1), 0, -1) if channels % g == 0)


class ResidualBlock(nn.Module):
    """x + W₃ σ(W₂ σ(W₁ x)): widen twice by 1 × 1, grouped 3 × 3, and back by a 1 × 1 that starts at zero."""

    def __init__(self, channels: int, branches: int) -> None:
        super().__init__()
        inside, fixup = 2 * channels, branches**-0.25
        self.widen = _layer(nn.Conv2d(channels, inside, 1), GAIN * fixup)
        self.mix = _layer(nn.Conv2d(inside, inside, 3, padding=1, groups=groups_of(inside)), GAIN * fixup)
        self.narrow = _layer(nn.Conv2d(inside, channels, 1, bias=False), 0.0)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.narrow(F.leaky_relu(self.mix(F.leaky_relu(self.widen(x), 0.2)), 0.2))
        return out


def _stage(channels: int, branches: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(channels, branches) for _ in range(BLOCKS)))


def _transition(inputs: int, outputs: int) -> nn.Module:
    return _layer(nn.Conv2d(inputs, outputs, 1, bias=False)) if inputs != outputs else nn.Identity()


class R3GANGenerator(Generator):
    """A learnt small basis weighed by [z, class]; then residual blocks at each side, enlarged bilinearly between."""

    def __init__(self, shape: ImageShape, z_dim: int, width: int, embed_dim: int) -> None:
        super().__init__()
        self.z_dim = z_dim
        levels = sides(shape.resolution)
        widths = [channels_at(side, shape.resolution, width) for side in levels]
        self.embed = ClassEmbedding(shape.classes, embed_dim)
        self.start = _layer(nn.Linear(z_dim + embed_dim, widths[0], bias=False))
        self.basis = nn.Parameter(torch.randn(widths[0], levels[0], levels[0]))
        self.stages = nn.ModuleList(_stage(c, BLOCKS * len(widths)) for c in widths)
        self.transitions = nn.ModuleList(_transition(a, b) for a, b in pairwise(widths))
        self.to_image = _layer(nn.Conv2d(widths[-1], shape.channels, 1))

    def conditional_parameters(self) -> list[Tensor]:
        """What each class's embedding gives to the first layer."""
        return [self.embed.weight @ self.start.weight[:, self.z_dim :].T]

    def forward(self, inputs: Inputs) -> Tensor:
        embedded = self.embed(inputs.condition) * self.condition_strength
        weights = self.start(torch.cat([inputs.noise, embedded], dim=1))
        x = self.stages[0](weights[:, :, None, None] * self.basis)
        for transition, stage in zip(self.transitions, self.stages[1:], strict=True):
            x = stage(F.interpolate(transition(x), scale_factor=2, mode="bilinear", align_corners=False))
        return torch.tanh(self.to_image(x).float())


class R3GANDiscriminator(Discriminator):
    """The generator's mirror: residual blocks, halving by means, a basis for each channel, projection."""

    def __init__(self, shape: ImageShape, width: int) -> None:
        super().__init__()
        levels = sides(shape.resolution)[::-1]
        widths = [channels_at(side, shape.resolution, width) for side in levels]
        self.from_image = _layer(nn.Conv2d(shape.channels, widths[0], 1))
        self.stages = nn.ModuleList(_stage(c, BLOCKS * len(widths)) for c in widths)
        self.transitions = nn.ModuleList(_transition(a, b) for a, b in pairwise(widths))
        self.basis = nn.Parameter(torch.randn(widths[-1], levels[-1], levels[-1]) / levels[-1])
        self.linear = _layer(nn.Linear(widths[-1], 1))
        self.embed = ClassEmbedding(shape.classes, widths[-1])

    def forward(self, x: Tensor, y: Tensor) -> list[Tensor]:
        x = self.stages[0](self.from_image(x))
        for transition, stage in zip(self.transitions, self.stages[1:], strict=True):
            x = stage(transition(F.avg_pool2d(x, 2)))
        h = (x.float() * self.basis).sum(dim=(2, 3))
        projection = (self.embed(y) * h).sum(dim=1, keepdim=True) / math.sqrt(h.shape[1])
        return [self.linear(h).float() + self.condition_strength * projection]

    def layers(self) -> list[nn.Module]:
        between = (module for pair in zip(self.transitions, self.stages[1:], strict=True) for module in pair)
        return convolutions(self.from_image, self.stages[0], *between)


def build(shape: ImageShape, config: ModelConfig) -> Family:
    return Family.pair(
        generator=R3GANGenerator(shape, config.z_dim, config.width, config.embed_dim),
        discriminator=R3GANDiscriminator(shape, config.discriminator_width),
    )
