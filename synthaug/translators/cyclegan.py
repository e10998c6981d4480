"""CycleGAN (1703.10593): two generators that undo each other, each against a discriminator.

`generator` makes images of a class from images of the classes that resemble it; `way_back` makes those from images of
the class. The paper has one pair of domains. Here both generators and both discriminators learn the class, so that a
run serves all target classes, and common classes can pass through the same network.
"""

from __future__ import annotations

from synthaug.models.family import Family, ImageShape
from synthaug.translators.blocks import PatchDiscriminator
from synthaug.translators.fake_pool import FakePool
from synthaug.translators.options import CycleGANOptions
from synthaug.translators.resnet import ResnetGenerator


def build(shape: ImageShape, config: CycleGANOptions) -> Family:
    return Family(
        networks={
            "generator": ResnetGenerator(shape, config),
            "discriminator": PatchDiscriminator(shape, config.discriminator_width),
            "way_back": ResnetGenerator(shape, config),
            "back_discriminator": PatchDiscriminator(shape, config.discriminator_width),
            "pool": FakePool(shape, config.pool),
            "back_pool": FakePool(shape, config.pool),
        },
        players={
            "generator": ("generator", "way_back"),
            "discriminator": ("discriminator",),
            "back_discriminator": ("back_discriminator",),
        },
        exported="generator",
        step="cyclegan",
    )
