"""DAGAN (1711.04340): from an image and z, another image of its class; the discriminator sees both."""

from __future__ import annotations

from synthaug.models.family import Family, ImageShape
from synthaug.translators.options import DAGANOptions
from synthaug.translators.unet import PairDiscriminator, UNetGenerator


def build(shape: ImageShape, config: DAGANOptions) -> Family:
    return Family.pair(
        generator=UNetGenerator(shape, config.z_dim, config.width, config.embed_dim),
        discriminator=PairDiscriminator(shape, config.discriminator_width),
        step="dagan",
    )
