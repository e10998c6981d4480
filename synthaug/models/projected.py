"""A discriminator on frozen ImageNet features, for any generator.

Sauer et al., "Projected GANs Converge Faster" (2111.01007). Maps of four stages of EfficientNet-Lite0 are mixed over
channels (CCM, §3.2: random 1 × 1 convolutions) and over scales (CSM: random 3 × 3 convolutions, top down), all of it
frozen. A small discriminator under spectral norm judges each map, with projection on a 64-d class map. Images are
enlarged to at least 96 px: below, most of the net's features are zero. Such a run must be judged by another feature net
(`monitor.features: own`): its generator learns to satisfy this one (2203.06026).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synthaug.config import ModelConfig
from synthaug.models.blocks import MinibatchStd, ProjectionHead, side_by_side, spectral_norm
from synthaug.models.family import Discriminator, Family, ImageShape

CLASS_MAP = 64
STAGES = ((0, 2), (2, 3), (3, 5), (5, 7))  # blocks of EfficientNet-Lite0 that end at 1/4, 1/8, 1/16, 1/32 of a side
STAGE_CHANNELS = (24, 40, 112, 320)


@functools.cache
def frozen_net(device: torch.device) -> Any:
    """One copy for a process and device. It never changes, so it is in no checkpoint and no optimiser."""
    from synthaug.features import efficientnet_lite0

    return efficientnet_lite0.load(str(device)).module


def feature_maps(x: Tensor) -> Iterator[Tensor]:
    """x float[B, C, H, W] in [−1, 1], C 1 or 3 → four maps of 24, 40, 112 and 320 channels; differentiable in x."""
    from synthaug.features.efficientnet_lite0 import INPUT_SIDE

    net = frozen_net(x.device)
    if x.shape[1] == 1:
        x = x.expand(-1, 3, -1, -1)
    if x.shape[2] < INPUT_SIDE:
        x = F.interpolate(x, size=INPUT_SIDE, mode="bilinear", align_corners=False)
    x = net.bn1(net.conv_stem(x.contiguous(memory_format=torch.channels_last)))
    for start, end in STAGES:
        for block in net.blocks[start:end]:
            x = block(x)
        yield x


def _random_weight(inputs: int, outputs: int, kernel: int) -> Tensor:
    return torch.randn(outputs, inputs, kernel, kernel) / math.sqrt(inputs * kernel**2)


class RandomMixing(nn.Module):
    """Frozen random projections over channels, then from coarse to fine over scales (2111.01007, §3.2)."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        for k, (inputs, outputs) in enumerate(zip(STAGE_CHANNELS, widths, strict=True)):
            self.register_buffer(f"channels{k}", _random_weight(inputs, outputs, 1))
        for k, (coarse, fine) in enumerate(zip(widths[1:], widths, strict=False)):
            self.register_buffer(f"scales{k}", _random_weight(coarse, fine, 3))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        mixed = [F.conv2d(x, self.get_buffer(f"channels{k}")) for k, x in enumerate(maps)]
        for k in reversed(range(len(mixed) - 1)):
            coarse = F.interpolate(mixed[k + 1], size=mixed[k].shape[2:], mode="bilinear", align_corners=False)
            mixed[k] = (mixed[k] + F.conv2d(coarse, self.get_buffer(f"scales{k}"), padding=1)) / math.sqrt(2)
        return mixed


class Head(nn.Module):
    """Strided convolutions down to at most 4 × 4, a class map, and one logit for each of its places."""

    def __init__(self, inputs: int, side: int, limit: int, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        while side > 4:
            outputs = min(2 * inputs, limit)
            layers += [spectral_norm(nn.Conv2d(inputs, outputs, 4, 2, 1)), nn.LeakyReLU(0.2)]
            inputs, side = outputs, side // 2
        # The papers have no minibatch statistic; classes collapsed without it.
        self.body = nn.Sequential(*layers, MinibatchStd(), spectral_norm(nn.Conv2d(inputs + 1, CLASS_MAP, 3)))
        self.project = ProjectionHead(CLASS_MAP, classes)
        spectral_norm(self.project.linear)
        spectral_norm(self.project.embed)

    def forward(self, x: Tensor, y: Tensor, strength: Tensor) -> Tensor:
        out: Tensor = self.project(self.body(x).flatten(2).transpose(1, 2), y, strength)
        return out


class ProjectedDiscriminator(Discriminator):
    """Four heads on four scales of mixed frozen features; only the heads learn."""

    def __init__(self, shape: ImageShape, width: int) -> None:
        super().__init__()
        from synthaug.features.efficientnet_lite0 import INPUT_SIDE

        widths = [width * min(2**k, 4) for k in range(len(STAGES))]
        side = max(shape.resolution, INPUT_SIDE)
        self.mixing = RandomMixing(widths)
        self.heads = nn.ModuleList(
            Head(channels, side // 2 ** (k + 2), 4 * width, shape.classes) for k, channels in enumerate(widths)
        )

    def forward(self, x: Tensor, y: Tensor) -> list[Tensor]:
        mixed = self.mixing(list(feature_maps(x)))
        return [head(h, y, self.condition_strength) for head, h in zip(self.heads, mixed, strict=True)]

    def layers(self) -> list[nn.Module]:
        """First the layers next to the frozen features of all heads, then the second ones, and so on."""
        return side_by_side(self.heads)


def replace(family: Family, shape: ImageShape, config: ModelConfig) -> Family:
    """The family's generator against this discriminator, in the usual game: a pyramid is trained end to end."""
    return Family.pair(family.generator, ProjectedDiscriminator(shape, config.discriminator_width))
