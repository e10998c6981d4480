"""Families of generators and discriminators, one file each."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    },
)
DISCRIMINATORS: Registry[DiscriminatorBuilder] = Registry(
    "discriminators",
    {
        "own": "synthaug.models.own:keep",
        "projected": "synthaug.models.projected:replace",
    },
)


def build_family(name: str, shape: ImageShape, config: ModelConfig) -> Family:
    """The family called `name`, with the discriminator that `config` names.

    Raises:
        SynthaugError: a table has no such name, or the family cannot be built so.
    """
    from synthaug.models.codes import codes_of  # imports torch, which listing the table must not

    replace = DISCRIMINATORS.get(config.discriminator)
    family = replace(MODELS.get(name)(shape, config), shape, config)
    codes_of(config).attach(family.generator)
    return family
