"""StyleGAN2 in plain PyTorch: mapping network, modulated convolutions, skip generator, residual discriminator.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (1912.04958), with the class conditioning and
the small settings of StyleGAN2-ADA (2006.06676: mapping depth 2, no path length penalty, no style mixing). Written
from the papers' equations. Upsampling is bilinear, which is the paper's [1, 3, 3, 1] filter; downsampling is a mean of
2 × 2 before the convolution. Double backward works, as R1 needs.

Noise is a function of z: the same z and class give the same image in training and in sampling.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import cast

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
    leaky_relu,
    pixel_norm,
    sides,
)
from synthaug.models.class_embedding import ClassEmbedding
from synthaug.models.family import Discriminator, Family, Generator, ImageShape
from synthaug.models.inputs import Inputs


def _up(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class Mapping(nn.Module):
    """[z, class embedding], each of unit mean square, → w float[B, z_dim], by two layers at 1/100 of the rate."""

    def __init__(self, z_dim: int, embed_dim: int, classes: int) -> None:
        super().__init__()
        self.embed = ClassEmbedding(classes, embed_dim)
        self.layers = nn.ModuleList([EqualLinear(z_dim + embed_dim, z_dim, 0.01), EqualLinear(z_dim, z_dim, 0.01)])

    def forward(self, z: Tensor, y: Tensor, strength: Tensor) -> Tensor:
        w = torch.cat([pixel_norm(z), pixel_norm(self.embed(y)) * strength], dim=1)
        for layer in self.layers:
            w = leaky_relu(layer(w))
        return w


class ModulatedConv2d(nn.Module):
    """A convolution whose weight each image's style scales: w'_ijk = s_i w_ijk (1912.04958, eq. 1).

    Demodulation, w''_ijk = w'_ijk / √(Σ_ik w'²_ijk + ε), gives the weight of every output channel unit norm (eq. 3).
    Scaling the inputs by s and the outputs by the inverse norm gives the same with one ordinary convolution.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, w_dim: int, demodulate: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.style = EqualLinear(w_dim, inputs, bias=1.0)
        self.scale, self.demodulate = 1 / math.sqrt(inputs * kernel**2), demodulate

    def inverse_norm(self, style: Tensor) -> Tensor:
        """style float[B, inputs] → 1 / √(Σ_ik w'²_ijk + ε), float[B, outputs]."""
        squares = (self.weight * self.scale).square().sum(dim=(2, 3))
        return (style.square() @ squares.T + 1e-8).rsqrt()

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None = None) -> Tensor:
        style = self.style(w)
        x = F.conv2d(x * style[:, :, None, None], self.weight * self.scale, padding=self.weight.shape[2] // 2)
        if self.demodulate:
            x = x * self.inverse_norm(style)[:, :, None, None]
        if noise is not None:
            x = x + noise
        return x + self.bias[:, None, None].to(x.dtype)


class Noise(nn.Module):
    """strength · Σ_k z_k a_k b_kᵀ / √d with fixed random vectors a_k, b_k: a noise of unit variance made from z alone.

    The paper draws new noise at each call; then no image could be remade. `strength` is learnt and starts at 0 (§2).
    """

    row_vectors: Tensor
    column_vectors: Tensor

    def __init__(self, z_dim: int, side: int) -> None:
        super().__init__()
        self.register_buffer("row_vectors", torch.randn(side, z_dim))
        self.register_buffer("column_vectors", torch.randn(z_dim, side) / math.sqrt(z_dim))
        self.strength = nn.Parameter(torch.zeros(()))

    def forward(self, z: Tensor) -> Tensor:
        noise: Tensor = (self.row_vectors * z[:, None, :]) @ self.column_vectors
        return self.strength * noise[:, None]


class SynthesisBlock(nn.Module):
    """Twice the side: two modulated convolutions, and an addition to the image (skip generator, fig. 7b)."""

    def __init__(self, inputs: int, outputs: int, side: int, channels: int, z_dim: int) -> None:
        super().__init__()
        self.conv1 = ModulatedConv2d(inputs, outputs, 3, z_dim)
        self.conv2 = ModulatedConv2d(outputs, outputs, 3, z_dim)
        self.noise1, self.noise2 = Noise(z_dim, side), Noise(z_dim, side)
        self.to_image = ModulatedConv2d(outputs, channels, 1, z_dim, demodulate=False)

    def forward(self, x: Tensor, image: Tensor, z: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        x = leaky_relu(self.conv1(_up(x), w, self.noise1(z)))
        x = leaky_relu(self.conv2(x, w, self.noise2(z)))
        return x, _up(image) + self.to_image(x, w)


class StyleGAN2Generator(Generator):
    """A small learnt constant, one block an octave, an image summed over all sides; tanh keeps it in range."""

    def __init__(self, shape: ImageShape, z_dim: int, width: int, embed_dim: int) -> None:
        super().__init__()
        self.z_dim = z_dim
        levels = sides(shape.resolution)
        widths = [channels_at(side, shape.resolution, width) for side in levels]
        self.mapping = Mapping(z_dim, embed_dim, shape.classes)
        self.constant = nn.Parameter(torch.randn(1, widths[0], levels[0], levels[0]))
        self.conv = ModulatedConv2d(widths[0], widths[0], 3, z_dim)
        self.noise = Noise(z_dim, levels[0])
        self.to_image = ModulatedConv2d(widths[0], shape.channels, 1, z_dim, demodulate=False)
        self.blocks = nn.ModuleList(
            SynthesisBlock(a, b, side, shape.channels, z_dim)
            for (a, b), side in zip(pairwise(widths), levels[1:], strict=True)
        )

    def forward(self, inputs: Inputs) -> Tensor:
        return self.synthesise(self.latents(inputs), inputs)

    def latents(self, inputs: Inputs) -> Tensor:
        """The styles w, float[B, z_dim]."""
        w: Tensor = self.mapping(inputs.noise, inputs.condition, self.condition_strength)
        return w

    def conditional_parameters(self) -> list[Tensor]:
        """The input of the mapping's first layer: normalisation removes the embeddings' length."""
        first = cast(EqualLinear, self.mapping.layers[0])
        return [pixel_norm(self.mapping.embed.weight) @ (first.weight * first.scale)[:, self.z_dim :].T]

    def synthesise(self, latents: Tensor, inputs: Inputs) -> Tensor:
        """The styles come from w, the noise from z."""
        w, z = latents, inputs.noise
        x = leaky_relu(self.conv(self.constant.expand(len(w), -1, -1, -1), w, self.noise(z)))
        image = self.to_image(x, w)
        for block in self.blocks:
            x, image = block(x, image, z, w)
        return torch.tanh(image.float())


class ResidualBlock(nn.Module):
    """Half the side: (two convolutions + a 1 × 1 shortcut) / √2 (1912.04958, fig. 7c)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = EqualConv2d(inputs, inputs, 3)
        self.conv2 = EqualConv2d(inputs, outputs, 3)
        self.shortcut = EqualConv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = leaky_relu(self.conv2(F.avg_pool2d(leaky_relu(self.conv1(x)), 2)))
        out: Tensor = (h + self.shortcut(F.avg_pool2d(x, 2))) / math.sqrt(2)
        return out


class StyleGAN2Discriminator(Discriminator):
    """Residual blocks down to a small map, minibatch standard deviation, a dense layer, projection."""

    def __init__(self, shape: ImageShape, width: int) -> None:
        super().__init__()
        levels = sides(shape.resolution)[::-1]
        widths = [channels_at(side, shape.resolution, width) for side in levels]
        self.from_image = EqualConv2d(shape.channels, widths[0], 1)
        self.blocks = nn.Sequential(*(ResidualBlock(a, b) for a, b in pairwise(widths)))
        self.statistic = MinibatchStd()
        self.conv = EqualConv2d(widths[-1] + 1, widths[-1], 3)
        self.dense = EqualLinear(widths[-1] * levels[-1] ** 2, widths[-1])
        self.head = ProjectionHead(widths[-1], shape.classes, scale=math.sqrt(widths[-1]))

    def forward(self, x: Tensor, y: Tensor) -> list[Tensor]:
        h = self.blocks(leaky_relu(self.from_image(x)))
        h = leaky_relu(self.conv(self.statistic(h)))
        h = leaky_relu(self.dense(h.flatten(1)))
        return [self.head(h, y, self.condition_strength)[:, None]]


def build(shape: ImageShape, config: ModelConfig) -> Family:
    return Family.pair(
        generator=StyleGAN2Generator(shape, config.z_dim, config.width, config.embed_dim),
        discriminator=StyleGAN2Discriminator(shape, config.discriminator_width),
    )
