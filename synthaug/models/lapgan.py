"""LAPGAN: a pyramid of conditional GANs, each of which adds the detail of one octave.

Denton et al., "Deep Generative Image Models using a Laplacian Pyramid of Adversarial Networks" (1506.05751). The
coarsest generator makes 8 × 8 pixels; at each finer level l = up(I_coarser) and I = l + G_k(z_k, l, y) (eq. 3–4). In
training, each level gets the low-pass image of a real one, and its discriminator judges (detail, low-pass image) pairs.
So all levels learn independently of each other, here in one step. Sampling runs through all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synthaug.config import ModelConfig
from synthaug.models.blocks import (
    ConditionalBatchNorm2d,
    MinibatchStd,
    ProjectionHead,
    channels_at,
    given_by_norms,
    side_by_side,
    sides,
    spectral_norm,
)
from synthaug.models.class_embedding import ClassEmbedding
from synthaug.models.family import Discriminator, Family, Generator, ImageShape
from synthaug.models.inputs import Inputs

PLANES = 4  # feature maps that bring noise and class to a refining generator; the paper has one of each


def up(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def gaussian_pyramid(x: Tensor) -> list[Tensor]:
    """The image at 8 px (12 px if it has 96), twice that, … and as it is."""
    levels = [x]
    for _ in sides(x.shape[2])[2:]:
        levels.insert(0, F.avg_pool2d(levels[0], 2))
    return levels


def low_passes(levels: Sequence[Tensor]) -> list[Tensor]:
    """Each level but the finest, enlarged: `levels[k + 1] - low_passes[k]` is the detail of level k + 1."""
    return [up(level) for level in levels[:-1]]


class CoarseGenerator(nn.Module):
    """[z, class embedding] → 8 × 8 pixels (12 × 12 of 96)."""

    def __init__(self, condition_dim: int, width: int, channels: int, side: int) -> None:
        super().__init__()
        self.side = side
        self.start = nn.Linear(condition_dim, 2 * width * side**2)
        self.norm1 = ConditionalBatchNorm2d(2 * width, condition_dim)
        self.up = nn.ConvTranspose2d(2 * width, width, 4, 2, 1, bias=False)
        self.norm2 = ConditionalBatchNorm2d(width, condition_dim)
        self.to_image = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, condition: Tensor) -> Tensor:
        x = self.start(condition).view(len(condition), -1, self.side, self.side)
        x = self.up(F.relu(self.norm1(x, condition)))
        return torch.tanh(self.to_image(F.relu(self.norm2(x, condition))).float())


class Refiner(nn.Module):
    """(low-pass image, [z_k, class embedding]) → the detail to add, of the same size."""

    def __init__(self, condition_dim: int, width: int, channels: int, coarsest: int) -> None:
        super().__init__()
        self.planes = nn.Linear(condition_dim, PLANES * coarsest**2)
        self.coarsest = coarsest
        self.conv1 = nn.Conv2d(channels + PLANES, width, 3, padding=1, bias=False)
        self.norm1 = ConditionalBatchNorm2d(width, condition_dim)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = ConditionalBatchNorm2d(width, condition_dim)
        self.to_detail = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, low: Tensor, condition: Tensor) -> Tensor:
        planes = self.planes(condition).view(len(low), PLANES, self.coarsest, self.coarsest)
        x = torch.cat([low.to(planes.dtype), F.interpolate(planes, size=low.shape[2:])], dim=1)
        x = F.relu(self.norm1(self.conv1(x), condition))
        x = F.relu(self.norm2(self.conv2(x), condition))
        detail: Tensor = self.to_detail(x).float()
        return detail


class LAPGANGenerator(Generator):
    """One generator a level, each with noise of its own: `z_dim` counts the levels' noise together."""

    def __init__(self, shape: ImageShape, z_dim: int, width: int, embed_dim: int) -> None:
        super().__init__()
        first, coarsest, *finer = sides(shape.resolution)
        self.z_dim = z_dim * (1 + len(finer))
        self.embed = ClassEmbedding(shape.classes, embed_dim)
        self.coarse = CoarseGenerator(z_dim + embed_dim, 2 * width, shape.channels, first)
        self.refiners = nn.ModuleList(Refiner(z_dim + embed_dim, width, shape.channels, coarsest) for _ in finer)

    def conditional_parameters(self) -> list[Tensor]:
        """The scale and the shift that each class's embedding gives to each normalisation."""
        return given_by_norms(self, self.embed)

    def conditions(self, inputs: Inputs) -> list[Tensor]:
        """[z_k, class embedding] of each level, the coarsest first."""
        embedded = self.embed(inputs.condition) * self.condition_strength
        return [torch.cat([z, embedded], dim=1) for z in inputs.noise.chunk(1 + len(self.refiners), dim=1)]

    def forward(self, inputs: Inputs) -> Tensor:
        first, *rest = self.conditions(inputs)
        x: Tensor = self.coarse(first)
        for refiner, condition in zip(self.refiners, rest, strict=True):
            low = up(x)
            x = (low + refiner(low, condition)).clamp(-1, 1)
        return x

    def levels(self, inputs: Inputs, low: Sequence[Tensor]) -> list[Tensor]:
        """Images of every side, the coarsest first. Each finer one refines the image given in `low`."""
        first, *rest = self.conditions(inputs)
        finer = (x + refine(x, c) for refine, x, c in zip(self.refiners, low, rest, strict=True))
        return [self.coarse(first), *finer]


class LevelDiscriminator(nn.Module):
    """Strided convolutions under spectral norm down to a small map, minibatch statistic, sum pooling, projection."""

    def __init__(self, inputs: int, side: int, width: int, classes: int) -> None:
        super().__init__()
        widths = [channels_at(s, side, width) for s in sides(side)[::-1]]
        layers: list[nn.Module] = [nn.Conv2d(inputs, widths[0], 3, padding=1), nn.LeakyReLU(0.2)]
        for a, b in pairwise(widths):
            layers += [nn.Conv2d(a, b, 4, 2, 1), nn.LeakyReLU(0.2)]
        layers += [MinibatchStd(), nn.Conv2d(widths[-1] + 1, widths[-1], 3, padding=1), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*layers)
        self.head = ProjectionHead(widths[-1], classes)
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.orthogonal_(layer.weight)
                spectral_norm(layer)
        spectral_norm(self.head.linear)
        spectral_norm(self.head.embed)

    def forward(self, x: Tensor, y: Tensor, strength: Tensor) -> Tensor:
        h = self.body(x).float().sum(dim=(2, 3))
        out: Tensor = self.head(h, y, strength)[:, None]
        return out


class LAPGANDiscriminator(Discriminator):
    """One head a level, the coarsest first; a whole image is split into its pyramid."""

    def __init__(self, shape: ImageShape, width: int) -> None:
        super().__init__()
        coarsest, *finer = sides(shape.resolution)[1:]
        self.coarse = LevelDiscriminator(shape.channels, coarsest, 2 * width, shape.classes)
        self.finer = nn.ModuleList(LevelDiscriminator(2 * shape.channels, side, width, shape.classes) for side in finer)

    def forward(self, x: Tensor, y: Tensor) -> list[Tensor]:
        levels = gaussian_pyramid(x)
        return self.judge(levels, low_passes(levels), y)

    def judge(self, levels: Sequence[Tensor], low: Sequence[Tensor], y: Tensor) -> list[Tensor]:
        """Logits of the coarsest images and of every (detail, low-pass image) pair."""
        pairs = (torch.cat([fine - coarse, coarse], dim=1) for fine, coarse in zip(levels[1:], low, strict=True))
        strength = self.condition_strength
        heads = (head(pair, y, strength) for head, pair in zip(self.finer, pairs, strict=True))
        return [self.coarse(levels[0], y, strength), *heads]

    def layers(self) -> list[nn.Module]:
        """First the layers next to the image of all levels, then the second ones, and so on."""
        return side_by_side([self.coarse, *self.finer])


def build(shape: ImageShape, config: ModelConfig) -> Family:
    return Family.pair(
        generator=LAPGANGenerator(shape, config.z_dim, config.width, config.embed_dim),
        discriminator=LAPGANDiscriminator(shape, config.discriminator_width),
        step="pyramid",
    )
