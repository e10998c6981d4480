"""FastGAN: a light generator with skip-layer excitation and gated units, for a hundred images or more.

Liu et al., "Towards Faster and Stabilized GAN Training for High-fidelity Few-shot Image Synthesis" (2101.04775):
eq. 1, y = F(x_low) · x_high, lets a small map gate the channels of a large one. Class-conditional as in Projected
GANs (2111.01007): conditional batch norm in the generator, projection on a 64-d class map in the discriminator.
Left out are the paper's reconstruction by the discriminator (eq. 2) and its noise, which differs at each call.
"""

from __future__ import annotations

import math
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
    sides,
    spectral_norm,
)
from synthaug.models.class_embedding import ClassEmbedding
from synthaug.models.family import Discriminator, Family, Generator, ImageShape
from synthaug.models.inputs import Inputs

CLASS_MAP = 64


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int | None = None) -> nn.Conv2d:
    pad = kernel // 2 if padding is None else padding
    layer = nn.Conv2d(inputs, outputs, kernel, stride, pad, bias=False)
    nn.init.orthogonal_(layer.weight)
    return spectral_norm(layer)


class SkipLayerExcitation(nn.Module):
    """x_high · σ(conv(swish(conv(pool(x_low))))), a gate for each channel (2101.04775, eq. 1)."""

    def __init__(self, low: int, high: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(4), _conv(low, high, 4, padding=0), nn.SiLU(), _conv(high, high, 1), nn.Sigmoid()
        )

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        out: Tensor = high * self.gate(low)
        return out


def excited_by(side: int, resolution: int) -> int:
    """The side of the map that gates the map of `side`: 1/16 of it as in the paper, 1/4 on small images; 0: no gate.

    >>> [excited_by(side, 128) for side in (16, 32, 64, 128)]
    [0, 0, 4, 8]
    >>> [excited_by(side, 16) for side in (8, 16)]
    [0, 4]
    """
    low = side // min(16, resolution // 4)
    return low if low >= 4 else 0


class UpBlock(nn.Module):
    """Twice the side: upsample, convolution, conditional batch norm, gated linear unit."""

    def __init__(self, inputs: int, outputs: int, condition_dim: int) -> None:
        super().__init__()
        self.conv = _conv(inputs, 2 * outputs, 3)
        self.norm = ConditionalBatchNorm2d(2 * outputs, condition_dim)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return F.glu(self.norm(self.conv(F.interpolate(x, scale_factor=2)), condition), dim=1)


class FastGANGenerator(Generator):
    """A small map from [z on the sphere, class], one gated block an octave, large maps excited by small ones."""

    def __init__(self, shape: ImageShape, z_dim: int, width: int, embed_dim: int) -> None:
        super().__init__()
        self.z_dim = z_dim
        levels = sides(shape.resolution)
        self.side = levels[0]
        channels = {side: channels_at(side, shape.resolution, width) for side in levels}
        self.embed = ClassEmbedding(shape.classes, embed_dim)
        self.start = spectral_norm(nn.Linear(z_dim + embed_dim, 2 * channels[self.side] * self.side**2))
        self.start_norm = ConditionalBatchNorm2d(2 * channels[self.side], embed_dim)
        self.blocks = nn.ModuleList(UpBlock(channels[a], channels[b], embed_dim) for a, b in pairwise(levels))
        self.low = {side: low for side in levels if (low := excited_by(side, shape.resolution))}
        self.excitations = nn.ModuleDict(
            {str(side): SkipLayerExcitation(channels[low], channels[side]) for side, low in self.low.items()}
        )
        self.to_image = _conv(channels[levels[-1]], shape.channels, 3)

    def conditional_parameters(self) -> list[Tensor]:
        """The scale and the shift that each class's embedding gives to each normalisation."""
        return given_by_norms(self, self.embed)

    def forward(self, inputs: Inputs) -> Tensor:
        return self.synthesise(self.latents(inputs), inputs)

    def latents(self, inputs: Inputs) -> Tensor:
        """z on the sphere of radius √z_dim."""
        return F.normalize(inputs.noise, dim=1) * math.sqrt(self.z_dim)

    def synthesise(self, latents: Tensor, inputs: Inputs) -> Tensor:
        embedded = self.embed(inputs.condition) * self.condition_strength
        x = self.start(torch.cat([latents, embedded], dim=1)).view(len(latents), -1, self.side, self.side)
        x = F.glu(self.start_norm(x, embedded), dim=1)
        maps = {self.side: x}
        for block in self.blocks:
            x = block(x, embedded)
            side = x.shape[2]
            if side in self.low:
                x = self.excitations[str(side)](maps[self.low[side]], x)
            maps[side] = x
        return torch.tanh(self.to_image(x).float())


class DownBlock(nn.Module):
    """Half the side: the mean of two strided convolutions' branch and a pooled 1 × 1 branch."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            _conv(inputs, outputs, 4, 2, 1), nn.LeakyReLU(0.2), _conv(outputs, outputs, 3), nn.LeakyReLU(0.2)
        )
        self.direct = nn.Sequential(nn.AvgPool2d(2), _conv(inputs, outputs, 1), nn.LeakyReLU(0.2))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = (self.main(x) + self.direct(x)) / 2
        return out


class FastGANDiscriminator(Discriminator):
    """Two-branch blocks down to a small map, excited like the generator's; one logit a place, on a 64-d class map.

    The paper's batch norm is left out: real and generated images share a pass here, and would share its statistics. The
    minibatch statistic is added: classes collapsed without it.
    """

    def __init__(self, shape: ImageShape, width: int) -> None:
        super().__init__()
        levels = sides(shape.resolution)[::-1]
        channels = {side: channels_at(side, shape.resolution, width) for side in levels}
        self.stem = nn.Sequential(_conv(shape.channels, channels[levels[0]], 3), nn.LeakyReLU(0.2))
        self.blocks = nn.ModuleList(DownBlock(channels[a], channels[b]) for a, b in pairwise(levels))
        self.high = {low: side for side in levels if (low := excited_by(side, shape.resolution))}
        self.excitations = nn.ModuleDict(
            {str(low): SkipLayerExcitation(channels[side], channels[low]) for low, side in self.high.items()}
        )
        self.statistic = MinibatchStd()
        self.to_class_map = _conv(channels[levels[-1]] + 1, CLASS_MAP, 1)
        self.head = ProjectionHead(CLASS_MAP, shape.classes)
        spectral_norm(self.head.linear)
        spectral_norm(self.head.embed)

    def forward(self, x: Tensor, y: Tensor) -> list[Tensor]:
        x = self.stem(x)
        maps = {x.shape[2]: x}
        for block in self.blocks:
            x = block(x)
            side = x.shape[2]
            if side in self.high:
                x = self.excitations[str(side)](maps[self.high[side]], x)
            maps[side] = x
        places = self.to_class_map(self.statistic(x)).flatten(2).transpose(1, 2)
        return [self.head(places, y, self.condition_strength)]


def build(shape: ImageShape, config: ModelConfig) -> Family:
    return Family.pair(
        generator=FastGANGenerator(shape, config.z_dim, config.width, config.embed_dim),
        discriminator=FastGANDiscriminator(shape, config.discriminator_width),
    )
