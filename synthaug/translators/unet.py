"""A U-Net (1505.04597; as a generator, pix2pix, 1611.07004 §3.2) with noise and a class.

Where the paper has dropout as its only noise, z and the class come through adaptive instance norm, as in `translator`:
so an image depends on its own source, z and class alone. It enlarges by nearest neighbours and a convolution.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synthaug.models.blocks import channels_at, sides
from synthaug.models.family import Generator, ImageShape
from synthaug.models.inputs import Inputs
from synthaug.translators.blocks import LEAK, AdaIN, AdaINBlock, InstanceNorm, PatchDiscriminator, StyleCode, conv


class UNetGenerator(Generator):
    """G(source, z, class): an encoder down to 4 × 4 (6 × 6 for 96 px), and a decoder that sees its maps."""

    starts_from_images = True

    def __init__(self, shape: ImageShape, z_dim: int, width: int, embed_dim: int) -> None:
        super().__init__()
        self.z_dim = z_dim
        widths = [channels_at(side, shape.resolution, width) for side in sides(shape.resolution)[::-1]]
        self.code = StyleCode(z_dim, shape.classes, embed_dim)
        self.first = nn.Sequential(conv(shape.channels, widths[0]), nn.LeakyReLU(LEAK))
        self.downs = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 4, 2, 1), InstanceNorm(b), nn.LeakyReLU(LEAK)) for a, b in pairwise(widths)
        )
        self.middle = AdaINBlock(widths[-1], StyleCode.DIM)
        upwards = list(pairwise(widths))[::-1]
        self.ups = nn.ModuleList(conv(b + a, a) for a, b in upwards)
        self.norms = nn.ModuleList(AdaIN(a, StyleCode.DIM) for a, _ in upwards)
        self.to_image = conv(widths[0], shape.channels)

    def forward(self, inputs: Inputs) -> Tensor:
        code = self.code(inputs.noise, inputs.labels, self.condition_strength)
        maps = [self.first(inputs.images)]
        for down in self.downs:
            maps.append(down(maps[-1]))
        x = self.middle(maps.pop(), code)
        for up, norm in zip(self.ups, self.norms, strict=True):
            x = F.relu(norm(up(torch.cat([F.interpolate(x, scale_factor=2), maps.pop()], dim=1)), code))
        return torch.tanh(self.to_image(x).float())

    def conditional_parameters(self) -> list[Tensor]:
        return [self.code.of_classes()]


class PairDiscriminator(PatchDiscriminator):
    """D(source and image, class): a pair is float[B, 2 C, H, W]. A single image is taken as a pair with itself."""

    judges_pairs = True

    def __init__(self, shape: ImageShape, width: int) -> None:
        super().__init__(ImageShape(shape.resolution, 2 * shape.channels, shape.classes), width)
        self.channels = shape.channels

    def forward(self, x: Tensor, y: Tensor) -> list[Tensor]:
        return super().forward(torch.cat([x, x], dim=1) if x.shape[1] == self.channels else x, y)
