"""The ResNet generator of image translation (1603.08155; CycleGAN, 1703.10593, §7.2), with a class.

It differs from the papers' in three ways: its second half learns the class through adaptive instance norm; it enlarges
by nearest neighbours and a convolution, because transposed convolutions leave a lattice; and it is narrower.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from synthaug.models.class_embedding import ClassEmbedding
from synthaug.models.family import Generator, ImageShape
from synthaug.models.inputs import Inputs
from synthaug.translators.blocks import AdaIN, Decoder, InstanceNorm, ResidualBlock, conv
from synthaug.translators.options import ResnetOptions

DOWN = 2
"""The side is halved so often before the residual blocks."""


class ResnetGenerator(Generator):
    """paint(content of the source, class). There is no noise: one source gives one image of a class."""

    starts_from_images = True
    uses_noise = False

    def __init__(self, shape: ImageShape, options: ResnetOptions) -> None:
        super().__init__()
        self.z_dim = options.z_dim
        blocks = options.blocks or (4 if shape.resolution <= 64 else 6)
        widths = [options.width * 2**k for k in range(DOWN + 1)]
        self.embed = ClassEmbedding(shape.classes, options.embed_dim)
        stem = nn.Sequential(conv(shape.channels, widths[0], 7), InstanceNorm(widths[0]), nn.ReLU())
        downs = [nn.Sequential(conv(a, b, 3, 2), InstanceNorm(b), nn.ReLU()) for a, b in pairwise(widths)]
        common = nn.Sequential(*(ResidualBlock(widths[-1]) for _ in range(blocks // 2)))
        self.encoder = nn.ModuleList([stem, *downs, common])
        self.widths = [*widths, widths[-1]]  # channels of the maps that `maps` gives
        self.decoder = Decoder(widths[::-1], shape.channels, options.embed_dim, blocks - blocks // 2, last_kernel=7)

    def forward(self, inputs: Inputs) -> Tensor:
        return self.paint(self.maps(inputs.images)[-1], inputs.labels)

    def maps(self, images: Tensor) -> list[Tensor]:
        """The feature maps of the encoder, finest first; they do not depend on the class."""
        found: list[Tensor] = []
        for layer in self.encoder:
            found.append(layer(found[-1] if found else images))
        return found

    def paint(self, content: Tensor, labels: Tensor) -> Tensor:
        """The images of these classes with a given content, float32[B, C, H, W]."""
        image: Tensor = self.decoder(content, self.embed(labels) * self.condition_strength)
        return image

    def conditional_parameters(self) -> list[Tensor]:
        """Scale and shift of each class in each adaptive instance norm."""
        norms = [module for module in self.modules() if isinstance(module, AdaIN)]
        return [part.T for norm in norms for part in (norm.affine.weight @ self.embed.weight.T).chunk(2)]
