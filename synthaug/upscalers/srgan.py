"""A compact network that enlarges images, trained on the pixels, on features and against a discriminator.

After SRGAN (1609.04802) and ESRGAN (1809.00219): residual blocks without normalisation, sub-pixel convolution
(1609.05158), first L1 and a content loss, then a small adversarial loss. Differs in: 0.08 million parameters for each
doubling, so that a CPU can train it; the network adds detail to bicubic interpolation, from nothing at the start; the
content loss reads EfficientNet-Lite0; and the result is projected onto the images that the tool would reduce to the
given one (back-projection), so that colours cannot shift.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synthaug.models.family import Family, Generator, ImageShape
from synthaug.models.inputs import Inputs
from synthaug.translators.blocks import PatchDiscriminator
from synthaug.upscalers.options import SRGANOptions
from synthaug.upscalers.resampling import back_projected, doubled

PATCH = 32
"""Side of the reduced patches that the network is trained on; smaller images are used whole."""
_LEAK = 0.1


class _Block(nn.Module):
    """x + two convolutions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(width, width, 3, 1, 1), nn.Conv2d(width, width, 3, 1, 1)
        with torch.no_grad():
            self.conv2.weight.mul_(0.1)  # ESRGAN §3.1: a small start, in place of normalisation

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.conv2(F.leaky_relu(self.conv1(x), _LEAK))
        return out


class Doubling(nn.Module):
    """Images of any size at twice their sides: bicubic, plus detail, projected back."""

    def __init__(self, channels: int, width: int, blocks: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 3, 1, 1), *(_Block(width) for _ in range(blocks)), nn.LeakyReLU(_LEAK)
        )
        self.detail = nn.Conv2d(width, 4 * channels, 3, 1, 1)
        nn.init.zeros_(self.detail.weight)  # all sub-pixels begin alike, as with ICNR (1707.02937)
        assert self.detail.bias is not None
        nn.init.zeros_(self.detail.bias)

    def forward(self, low: Tensor) -> Tensor:
        detail = F.pixel_shuffle(self.detail(self.body(low)), 2).float()
        return back_projected(doubled(low) + detail, low)


class Upscaler(Generator):
    """A chain of doublings; `patch` is the side of the reduced patches of its training."""

    starts_from_images = True
    z_dim = 0

    def __init__(self, shape: ImageShape, width: int, blocks: int, scale: int) -> None:
        super().__init__()
        self.patch, self.scale = min(PATCH, shape.resolution), scale
        self.doublings = nn.ModuleList(Doubling(shape.channels, width, blocks) for _ in range(round(math.log2(scale))))

    def forward(self, inputs: Inputs) -> Tensor:
        return self.enlarge(inputs.images)[-1].clamp(-1, 1)

    def enlarge(self, low: Tensor, times: int | None = None) -> list[Tensor]:
        """Images at 2, 4, … times their sides, up to `times` (None: all), float32, not clipped."""
        made: list[Tensor] = []
        for doubling in self.doublings[: round(math.log2(times or self.scale))]:
            made.append(doubling(made[-1] if made else low))
        return made


def build(shape: ImageShape, config: SRGANOptions) -> Family:
    upscaler = Upscaler(shape, config.width, config.blocks, config.scale)
    patches = ImageShape(upscaler.patch * config.scale, shape.channels, shape.classes)
    return Family.pair(upscaler, PatchDiscriminator(patches, config.discriminator_width), step="super-resolution")
