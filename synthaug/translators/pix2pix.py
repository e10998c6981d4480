"""pix2pix (1611.07004): a map (a mask, a sketch, edges) is painted as an image of a class, learnt from pairs of both.

The discriminator sees the map beside the image. Unlike in the paper, the U-Net learns the class, so that a map of one
class can be painted as another; and its noise is z instead of dropout.
"""

from __future__ import annotations

from synthaug.models.family import Family, ImageShape
from synthaug.translators.options import Pix2PixOptions
from synthaug.translators.unet import PairDiscriminator, UNetGenerator


def build(shape: ImageShape, config: Pix2PixOptions) -> Family:
    return Family.pair(
        generator=UNetGenerator(shape, config.z_dim, config.width, config.embed_dim),
        discriminator=PairDiscriminator(shape, config.discriminator_width),
        step="pix2pix",
    )
