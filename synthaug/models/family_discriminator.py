"""The family's own discriminator."""

from __future__ import annotations

from synthaug.config import ModelConfig
from synthaug.models.family import Family, ImageShape


def keep(family: Family, shape: ImageShape, config: ModelConfig) -> Family:
    return family
