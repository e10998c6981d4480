"""One translator for all classes: the content of a real image, and the class and style of the image to make.

A content encoder keeps where things are; a decoder paints them, and learns class and style through adaptive instance
norm, as in MUNIT (1804.04732), StarGAN v2 (1912.01865) and FUNIT (1905.01723). All classes train all layers: only one
embedding and what it does to the normalisations belong to a rare class. A style encoder finds the z of an image, so an
image can be reconstructed; random z vary it. One network translates (another class's image becomes the rare one) and
varies (a rare image becomes another rare one).
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from synthaug.models.blocks import channels_at, sides
from synthaug.models.family import Family, Generator, ImageShape
from synthaug.models.inputs import Inputs
from synthaug.translators.blocks import LEAK, Decoder, InstanceNorm, PatchDiscriminator, ResidualBlock, StyleCode, conv
from synthaug.translators.options import TranslatorOptions


class ContentEncoder(nn.Module):
    """Image → float[B, C, 8, 8] (12 × 12 for 96 px). Instance norm takes out contrast and colour, which are style."""

    def __init__(self, shape: ImageShape, width: int, blocks: int) -> None:
        super().__init__()
        widths = [channels_at(side, shape.resolution, width) for side in sides(shape.resolution)[:0:-1]]
        layers: list[nn.Module] = [conv(shape.channels, widths[0]), InstanceNorm(widths[0])]
        layers.append(nn.ReLU())
        for inputs, outputs in pairwise(widths):
            down = nn.Conv2d(inputs, outputs, 4, 2, 1)
            layers += [down, InstanceNorm(outputs), nn.ReLU()]
        self.body = nn.Sequential(*layers, *(ResidualBlock(widths[-1]) for _ in range(blocks)))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.body(x)
        return out


class StyleEncoder(nn.Module):
    """Image → the z with which the decoder would paint it, float[B, z_dim]."""

    def __init__(self, shape: ImageShape, width: int, z_dim: int) -> None:
        super().__init__()
        widths = [channels_at(side, shape.resolution, width) for side in sides(shape.resolution)[-2::-1]]
        layers: list[nn.Module] = []
        for inputs, outputs in zip([shape.channels, *widths], widths, strict=False):
            layers += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(LEAK)]
        self.body = nn.Sequential(*layers)
        self.to_z = nn.Linear(widths[-1], z_dim)

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.to_z(self.body(x).mean(dim=(2, 3))).float()
        return z


class Translator(Generator):
    """decode(content of the source, [z, class])."""

    starts_from_images = True

    def __init__(self, shape: ImageShape, z_dim: int, width: int, embed_dim: int, blocks: int) -> None:
        super().__init__()
        self.z_dim = z_dim
        self.content = ContentEncoder(shape, width, blocks)
        self.style = StyleEncoder(shape, width, z_dim)
        self.code = StyleCode(z_dim, shape.classes, embed_dim)
        widths = [channels_at(side, shape.resolution, width) for side in sides(shape.resolution)[1:]]
        self.decoder = Decoder(widths, shape.channels, StyleCode.DIM, blocks)

    def forward(self, inputs: Inputs) -> Tensor:
        return self.paint(self.content(inputs.images), inputs.condition, inputs.noise)

    def paint(self, content: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """The images of these classes (y as in `Inputs.condition`) and styles with a given content, float32."""
        image: Tensor = self.decoder(content, self.code(z, y, self.condition_strength))
        return image

    def own_noise(self, inputs: Inputs) -> Tensor:
        return self.style(inputs.images)  # type: ignore[no-any-return]

    def conditional_parameters(self) -> list[Tensor]:
        return [self.code.of_classes()]


def build(shape: ImageShape, config: TranslatorOptions) -> Family:
    return Family.pair(
        generator=Translator(shape, config.z_dim, config.width, config.embed_dim, config.blocks),
        discriminator=PatchDiscriminator(shape, config.discriminator_width),
        step="translation",
    )
