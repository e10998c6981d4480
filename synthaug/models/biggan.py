"""BigGAN for small images: residual blocks, z and class in every normalisation, spectral norm in both networks.

Brock et al., "Large Scale GAN Training for High Fidelity Natural Image Synthesis" (1809.11096, appendix B), with the
projection discriminator of 1802.05637 and, as an option, the self-attention of SAGAN (1805.08318, eq. 1–3).
Stronger than DCGAN on a few thousand images or more; a step costs several times as much. 16 to 256 px.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synthaug.errors import SynthaugError
from synthaug.models.blocks import (
    BatchNorm2d,
    ConditionalBatchNorm2d,
    MinibatchStd,
    ProjectionHead,
    channels_at,
    convolutions,
    given_by_norms,
    sides,
    spectral_norm,
)
from synthaug.models.class_embedding import ClassEmbedding
from synthaug.models.family import Discriminator, Family, Generator, ImageShape
from synthaug.models.inputs import Inputs
from synthaug.models.options import BigGANOptions


def _conv(inputs: int, outputs: int, kernel: int, bias: bool = True) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bias)
    nn.init.orthogonal_(layer.weight)
    return spectral_norm(layer)


class SelfAttention(nn.Module):
    """x + γ · o(Σ_j softmax_j(f(x_i)·g(x_j)) h(x_j)) (1805.08318, eq. 1–3); γ starts at 0, so x passes at first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query, self.key = (_conv(channels, max(channels // 8, 1), 1) for _ in range(2))
        self.value = _conv(channels, max(channels // 2, 1), 1)
        self.out = _conv(max(channels // 2, 1), channels, 1)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        pooled = F.max_pool2d(x, 2)  # keys and values at half the side, a quarter of the cost (1809.11096, appendix B)
        query, key, value = self.query(x).flatten(2), self.key(pooled).flatten(2), self.value(pooled).flatten(2)
        weights = (query.transpose(1, 2) @ key).float().softmax(dim=2).to(value.dtype)
        attended = (value @ weights.transpose(1, 2)).unflatten(2, x.shape[2:])
        out: Tensor = x + self.gamma * self.out(attended)
        return out


class UpBlock(nn.Module):
    """Twice the side: norm, ReLU, upsample, convolution, norm, ReLU, convolution, and a 1 × 1 shortcut."""

    def __init__(self, inputs: int, outputs: int, condition_dim: int) -> None:
        super().__init__()
        self.norm1 = ConditionalBatchNorm2d(inputs, condition_dim)
        self.conv1 = _conv(inputs, outputs, 3, bias=False)  # the following norm would remove a bias
        self.norm2 = ConditionalBatchNorm2d(outputs, condition_dim)
        self.conv2 = _conv(outputs, outputs, 3, bias=False)
        self.shortcut = _conv(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        h = F.interpolate(F.relu(self.norm1(x, condition)), scale_factor=2)
        h = self.conv2(F.relu(self.norm2(self.conv1(h), condition)))
        # A 1 × 1 convolution and a nearest-neighbour enlargement commute: convolve where the map is small.
        out: Tensor = h + F.interpolate(self.shortcut(x), scale_factor=2)
        return out


class DownBlock(nn.Module):
    """Half the side (unless `down` is false): two convolutions behind ReLUs, and a 1 × 1 shortcut."""

    def __init__(self, inputs: int, outputs: int, first: bool = False, down: bool = True) -> None:
        super().__init__()
        self.first, self.down = first, down
        self.conv1 = _conv(inputs, outputs, 3)
        self.conv2 = _conv(outputs, outputs, 3)
        self.shortcut = _conv(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv2(F.relu(self.conv1(x if self.first else F.relu(x))))  # no ReLU on pixels
        if self.down:
            h, x = F.avg_pool2d(h, 2), F.avg_pool2d(x, 2)
        out: Tensor = h + self.shortcut(x)
        return out


class BigGANGenerator(Generator):
    """A small map, then one block an octave; block k is normalised by [k-th chunk of z, shared class embedding]."""

    def __init__(self, shape: ImageShape, z_dim: int, width: int, embed_dim: int, attention: int) -> None:
        super().__init__()
        levels = sides(shape.resolution)
        channels = [channels_at(side, shape.resolution, width) for side in levels]
        self.z_dim, self.side = z_dim, levels[0]
        self.chunks = [len(chunk) for chunk in torch.arange(z_dim).tensor_split(len(levels))]
        self.embed = ClassEmbedding(shape.classes, embed_dim)
        self.start = spectral_norm(nn.Linear(self.chunks[0] + embed_dim, channels[0] * self.side**2))
        self.blocks = nn.ModuleList(
            UpBlock(a, b, chunk + embed_dim) for (a, b), chunk in zip(pairwise(channels), self.chunks[1:], strict=True)
        )
        self.attention = nn.ModuleDict(
            {str(s): SelfAttention(c) for s, c in zip(levels, channels, strict=True) if s == attention}
        )
        self.norm = BatchNorm2d(channels[-1])
        self.to_image = _conv(channels[-1], shape.channels, 3)

    def conditional_parameters(self) -> list[Tensor]:
        """The scale and the shift that each class's embedding gives to each normalisation."""
        return given_by_norms(self, self.embed)

    def forward(self, inputs: Inputs) -> Tensor:
        embedded = self.embed(inputs.condition) * self.condition_strength
        chunks = torch.split(inputs.noise, self.chunks, dim=1)
        first, *rest = (torch.cat([chunk, embedded], dim=1) for chunk in chunks)
        x = self.start(first).view(len(first), -1, self.side, self.side)
        for block, condition in zip(self.blocks, rest, strict=True):
            x = block(x, condition)
            if (side := str(x.shape[2])) in self.attention:
                x = self.attention[side](x)
        return torch.tanh(self.to_image(F.relu(self.norm(x))).float())


class BigGANDiscriminator(Discriminator):
    """One block an octave down to a small map, a minibatch statistic, a last block there, sum pooling, projection.

    The paper has no minibatch statistic. Without it, classes with few images collapse.
    """

    def __init__(self, shape: ImageShape, width: int, attention: int) -> None:
        super().__init__()
        levels = sides(shape.resolution)[::-1]
        self.outputs = [str(side // 2) for side in levels]  # the side after each block, the key in `attention`
        channels = [channels_at(side, shape.resolution, width) for side in levels]
        self.blocks = nn.ModuleList(
            DownBlock(a if side > levels[-1] else a + 1, b, first=k == 0, down=side > levels[-1])
            for k, (side, a, b) in enumerate(zip(levels, [shape.channels, *channels], channels, strict=False))
        )
        self.attention = nn.ModuleDict(
            {
                str(side // 2): SelfAttention(c)
                for side, c in zip(levels, channels, strict=True)
                if side // 2 == attention
            }
        )
        self.statistic = MinibatchStd()
        self.head = ProjectionHead(channels[-1], shape.classes)
        spectral_norm(self.head.linear)
        spectral_norm(self.head.embed)

    def forward(self, x: Tensor, y: Tensor) -> list[Tensor]:
        for block in self.blocks:
            x = block(x if block.down else self.statistic(x))
            if (side := str(x.shape[2])) in self.attention:
                x = self.attention[side](x)
        h = F.relu(x).float().sum(dim=(2, 3))
        return [self.head(h, y, self.condition_strength)[:, None]]

    def layers(self) -> list[nn.Module]:
        """The convolutions of each block and of the attention after it."""
        modules: list[nn.Module] = []
        for block, side in zip(self.blocks, self.outputs, strict=True):
            modules.append(block)
            if side in self.attention:
                modules.append(self.attention[side])
        return convolutions(*modules)


def build(shape: ImageShape, config: BigGANOptions) -> Family:
    if config.attention and config.attention not in sides(shape.resolution // 2):
        raise SynthaugError(
            f"model.attention = {config.attention} does not fit images of {shape.resolution} px",
            f"give 0 or one of {', '.join(str(side) for side in sides(shape.resolution // 2)[1:])}",
        )
    return Family.pair(
        generator=BigGANGenerator(shape, config.z_dim, config.width, config.embed_dim, config.attention),
        discriminator=BigGANDiscriminator(shape, config.discriminator_width, config.attention),
    )
