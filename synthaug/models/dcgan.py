"""DCGAN with conditional batch norm against a spectrally normalised projection discriminator.

The convolutional pair of Radford et al. (1511.06434), conditioned on z and class in every normalisation as in
BigGAN (1809.11096), and judged by a projection discriminator (1802.05637) under spectral norm (1802.05957).
Small, fast on a CPU, and hard to break: the family to start with at 16 to 128 px.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synthaug.config import ModelConfig
from synthaug.models.blocks import ConditionalBatchNorm2d, MinibatchStd, ToImage, given_by_norms, sides, spectral_norm
from synthaug.models.class_embedding import ClassEmbedding
from synthaug.models.family import Discriminator, Family, Generator, ImageShape
from synthaug.models.inputs import Inputs


def _widths(resolution: int, width: int) -> list[int]:
    """Channels at each side up to half the resolution: doubling downwards from `width`, at most 8 × width.

    >>> _widths(32, 64)
    [256, 128, 64]
    """
    return [width * min(2**k, 8) for k in reversed(range(len(sides(resolution)) - 1))]


class DCGANGenerator(Generator):
    """A small map, then one transposed convolution an octave, each normalised by [z, class embedding]."""

    def __init__(self, shape: ImageShape, z_dim: int, width: int, embed_dim: int) -> None:
        super().__init__()
        self.z_dim = z_dim
        widths = _widths(shape.resolution, width)
        condition = z_dim + embed_dim
        self.embed = ClassEmbedding(shape.classes, embed_dim)
        self.side = sides(shape.resolution)[0]
        self.start = nn.Linear(condition, widths[0] * self.side**2)
        self.norms = nn.ModuleList(ConditionalBatchNorm2d(w, condition) for w in widths)
        self.ups = nn.ModuleList(nn.ConvTranspose2d(a, b, 4, 2, 1, bias=False) for a, b in pairwise(widths))
        self.to_image = ToImage(widths[-1], shape.channels)

    def forward(self, inputs: Inputs) -> Tensor:
        condition = torch.cat([inputs.noise, self.embed(inputs.condition) * self.condition_strength], dim=1)
        x = self.start(condition).view(len(condition), -1, self.side, self.side)
        x = F.relu(self.norms[0](x, condition))
        for up, norm in zip(self.ups, self.norms[1:], strict=True):
            x = F.relu(norm(up(x), condition))
        return torch.tanh(self.to_image(x).float())

    def conditional_parameters(self) -> list[Tensor]:
        """The scale and the shift that each class's embedding gives to each normalisation."""
        return given_by_norms(self, self.embed)


class ProjectionDiscriminator(Discriminator):
    """Strided convolutions, a minibatch statistic, sum pooling, and w·h + b + e(y)·h (1802.05637, eq. 5)."""

    def __init__(self, shape: ImageShape, width: int) -> None:
        super().__init__()
        widths = _widths(shape.resolution, width)[::-1]
        layers: list[nn.Module] = []
        for a, b in zip([shape.channels, *widths], widths, strict=False):
            layers += [nn.Conv2d(a, b, 4, 2, 1), nn.LeakyReLU(0.2)]
        layers += [MinibatchStd(), nn.Conv2d(widths[-1] + 1, widths[-1], 3, 1, 1), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1], 1)
        self.embed = ClassEmbedding(shape.classes, widths[-1])
        for layer in self.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear, nn.Embedding)):
                nn.init.orthogonal_(layer.weight)
        for layer in list(self.modules()):
            if isinstance(layer, (nn.Conv2d, nn.Linear, nn.Embedding)):
                spectral_norm(layer)

    def forward(self, x: Tensor, y: Tensor) -> list[Tensor]:
        return self.examine(x, y)[0]

    def examine(self, x: Tensor, y: Tensor) -> tuple[list[Tensor], Tensor]:
        h = self.body(x).float().sum(dim=(2, 3))
        projection = (self.embed(y).float() * h).sum(dim=1, keepdim=True)
        return [self.head(h).float() + self.condition_strength * projection], h


def build(shape: ImageShape, config: ModelConfig) -> Family:
    return Family.pair(
        generator=DCGANGenerator(shape, config.z_dim, config.width, config.embed_dim),
        discriminator=ProjectionDiscriminator(shape, config.discriminator_width),
    )
