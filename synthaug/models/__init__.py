"""Families of generators and discriminators, one file each; those that start from images are in `translators`.

Families of upscalers, in `upscalers`, are trained by the same command, but enlarge images instead of making new ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthaug.errors import SynthaugError, suggest
from synthaug.registry import Registry

if TYPE_CHECKING:
    from synthaug.config import ModelConfig
    from synthaug.models.family import Builder, DiscriminatorBuilder, Family, ImageShape

MODELS: Registry[Builder] = Registry(
    "families",
    {
        "mlp": "synthaug.models.mlp:build",
        "dcgan": "synthaug.models.dcgan:build",
        "biggan": "synthaug.models.biggan:build",
        "fastgan": "synthaug.models.fastgan:build",
        "stylegan2": "synthaug.models.stylegan2:build",
        "r3gan": "synthaug.models.r3gan:build",
        "progressive": "synthaug.models.progressive:build",
        "lapgan": "synthaug.models.lapgan:build",
        "translator": "synthaug.translators.translator:build",
        "cyclegan": "synthaug.translators.cyclegan:build",
        "cut": "synthaug.translators.cut:build",
        "dagan": "synthaug.translators.dagan:build",
        "pix2pix": "synthaug.translators.pix2pix:build",
    },
)
LARGEST = {"mlp": 128}
"""Family → the largest side of an image, in pixels, for those that do not fit all of `config.RESOLUTIONS`: they have
weights of their own for each pixel."""
UPSCALERS: Registry[Builder] = Registry("upscalers", {"srgan": "synthaug.upscalers.srgan:build"})
DISCRIMINATORS: Registry[DiscriminatorBuilder] = Registry(
    "discriminators",
    {
        "own": "synthaug.models.family_discriminator:keep",
        "projected": "synthaug.models.projected:replace",
        "unconditional": "synthaug.models.unconditional:blind",
    },
)


def check_family(name: str) -> None:
    """Check that there is a family of this name.

    Raises:
        SynthaugError: there is none; the hint lists the names.
    """
    if name not in MODELS and name not in UPSCALERS:
        raise SynthaugError(f"there is no family {name!r}", suggest(name, [*MODELS.names(), *UPSCALERS.names()]))


def build_family(name: str, shape: ImageShape, config: ModelConfig) -> Family:
    """The family called `name`, with the discriminator that `config` names.

    Raises:
        SynthaugError: a table has no such name, or the family cannot be built so.
    """
    from synthaug.models.blocks import without_spectral_norm  # imports torch, which listing the table must not
    from synthaug.models.class_embedding import add_attributes
    from synthaug.models.codes import codes_of

    replace = DISCRIMINATORS.get(config.discriminator)
    build = (UPSCALERS if name in UPSCALERS else MODELS).get(name)
    family = replace(build(shape, config), shape, config)
    codes_of(config).attach(family.generator)
    if shape.attributes:
        add_attributes(family.networks.values(), shape.attributes)
    if not config.spectral_norm and not without_spectral_norm(family.discriminator):
        raise SynthaugError(
            f"model.spectral_norm = false, but the discriminator of {name} has none to take out", "leave it out"
        )
    return family
