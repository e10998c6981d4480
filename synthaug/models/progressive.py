"""Progressive growing: from 4 × 4 pixels to the full side, one octave after the other, each faded in.

Karras et al., "Progressive Growing of GANs" (1710.10196): equalised learning rate (§4.1), pixel norm (§4.2), minibatch
standard deviation (§3) and the growth of fig. 2. The networks grow in the first half of the training: one unit at 4 px,
then for each octave one unit of fading in and one of training. The second half trains the full size. Early steps are
many times cheaper than late ones. The class comes by concatenation into the generator and by projection into the
discriminator. While an octave fades in, the paper blurs the real images too; here they stay sharp.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synthaug.config import ModelConfig
from synthaug.models.blocks import (
    EqualConv2d,
    EqualLinear,
    MinibatchStd,
    ProjectionHead,
    channels_at,
    convolutions,
    leaky_relu,
    pixel_norm,
    sides,
)
from synthaug.models.class_embedding import ClassEmbedding
from synthaug.models.family import Discriminator, Family, Generator, ImageShape
from synthaug.models.inputs import Inputs

GROWN = 0.5  # share of the training after which the networks have their full size


def stage_at(progress: float, stages: int) -> float:
    """How far a network of `stages` sides has grown: the last whole stage, plus how much of the next counts.

    >>> [round(stage_at(p / 12, 4), 3) for p in range(8)]
    [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0]
    >>> stage_at(1.5 / 12, 4)
    0.5
    """
    units = progress / GROWN * (2 * stages - 2)
    octave, within = divmod(units, 2)
    return min(octave + max(within - 1, 0.0), stages - 1)


class GeneratorBlock(nn.Module):
    """Twice the side: nearest enlargement, and two convolutions with pixel norm."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = EqualConv2d(inputs, outputs, 3)
        self.conv2 = EqualConv2d(outputs, outputs, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = pixel_norm(leaky_relu(self.conv1(F.interpolate(x, scale_factor=2))))
        return pixel_norm(leaky_relu(self.conv2(x)))


class ProgressiveGenerator(Generator):
    """Generates at the side that it has grown to, and enlarges to full size by repeating pixels."""

    stage: Tensor

    def __init__(self, shape: ImageShape, z_dim: int, width: int, embed_dim: int) -> None:
        super().__init__()
        self.z_dim = z_dim
        self.sides = sides(shape.resolution)
        widths = [channels_at(side, shape.resolution, width) for side in self.sides]
        self.embed = ClassEmbedding(shape.classes, embed_dim)
        self.start = EqualLinear(z_dim + embed_dim, widths[0] * self.sides[0] ** 2)
        self.conv = EqualConv2d(widths[0], widths[0], 3)
        self.blocks = nn.ModuleList(GeneratorBlock(a, b) for a, b in pairwise(widths))
        self.to_image = nn.ModuleList(EqualConv2d(c, shape.channels, 1) for c in widths)
        self.register_buffer("stage", torch.tensor(float(len(self.sides) - 1)))

    def set_progress(self, progress: float) -> None:
        self.stage.fill_(stage_at(progress, len(self.sides)))

    def forward(self, inputs: Inputs) -> Tensor:
        return self.synthesise(self.latents(inputs), inputs)

    def conditional_parameters(self) -> list[Tensor]:
        """The input of the first layer: normalisation removes the embeddings' length."""
        return [pixel_norm(self.embed.weight) @ (self.start.weight * self.start.scale)[:, self.z_dim :].T]

    def latents(self, inputs: Inputs) -> Tensor:
        """z on the sphere of radius √z_dim."""
        return pixel_norm(inputs.noise)

    def synthesise(self, latents: Tensor, inputs: Inputs) -> Tensor:
        fading, whole = math.modf(float(self.stage))
        embedded = pixel_norm(self.embed(inputs.condition)) * self.condition_strength
        condition = torch.cat([latents, embedded], dim=1)
        x = pixel_norm(leaky_relu(self.start(condition))).view(len(condition), -1, self.sides[0], self.sides[0])
        x = pixel_norm(leaky_relu(self.conv(x)))
        for block in self.blocks[: int(whole)]:
            x = block(x)
        image = self.to_image[int(whole)](x).float()
        if fading > 0:
            larger = self.to_image[int(whole) + 1](self.blocks[int(whole)](x)).float()
            image = torch.lerp(F.interpolate(image, scale_factor=2), larger, fading)
        return F.interpolate(torch.tanh(image), size=self.sides[-1])


class DiscriminatorBlock(nn.Module):
    """Half the side: two convolutions and a mean over 2 × 2."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = EqualConv2d(inputs, inputs, 3)
        self.conv2 = EqualConv2d(inputs, outputs, 3)

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(leaky_relu(self.conv2(leaky_relu(self.conv1(x)))), 2)


class ProgressiveDiscriminator(Discriminator):
    """The generator's mirror: sees images averaged down to the side that it has grown to."""

    stage: Tensor

    def __init__(self, shape: ImageShape, width: int) -> None:
        super().__init__()
        self.sides = sides(shape.resolution)
        widths = [channels_at(side, shape.resolution, width) for side in self.sides]
        self.from_image = nn.ModuleList(EqualConv2d(shape.channels, c, 1) for c in widths)
        self.blocks = nn.ModuleList(DiscriminatorBlock(b, a) for a, b in pairwise(widths))  # from side k + 1 to side k
        self.statistic = MinibatchStd()
        self.conv = EqualConv2d(widths[0] + 1, widths[0], 3)
        self.dense = EqualLinear(widths[0] * self.sides[0] ** 2, widths[0])
        self.head = ProjectionHead(widths[0], shape.classes, scale=math.sqrt(widths[0]))
        self.register_buffer("stage", torch.tensor(float(len(self.sides) - 1)))

    def set_progress(self, progress: float) -> None:
        self.stage.fill_(stage_at(progress, len(self.sides)))

    def layers(self) -> list[nn.Module]:
        """The layers of the full size, without the inputs of earlier stages."""
        return convolutions(self.from_image[-1], *reversed(self.blocks), self.conv)

    def forward(self, x: Tensor, y: Tensor) -> list[Tensor]:
        fading, whole = math.modf(float(self.stage))
        x = F.adaptive_avg_pool2d(x, self.sides[math.ceil(whole + fading)])
        if fading > 0:
            larger = self.blocks[int(whole)](leaky_relu(self.from_image[int(whole) + 1](x)))
            smaller = leaky_relu(self.from_image[int(whole)](F.avg_pool2d(x, 2)))
            h = torch.lerp(smaller, larger, fading)
        else:
            h = leaky_relu(self.from_image[int(whole)](x))
        for k in reversed(range(int(whole))):
            h = self.blocks[k](h)
        h = leaky_relu(self.conv(self.statistic(h)))
        h = leaky_relu(self.dense(h.flatten(1)))
        return [self.head(h, y, self.condition_strength)[:, None]]


def build(shape: ImageShape, config: ModelConfig) -> Family:
    return Family.pair(
        generator=ProgressiveGenerator(shape, config.z_dim, config.width, config.embed_dim),
        discriminator=ProgressiveDiscriminator(shape, config.discriminator_width),
    )
