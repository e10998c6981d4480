"""Untrained generators of any family, as `load_generator` would give trained ones."""

from __future__ import annotations

from pathlib import Path

import torch

from synthaug.config import ModelConfig, family_options
from synthaug.models import MODELS, build_family
from synthaug.models.codes import codes_of
from synthaug.models.family import Generator, ImageShape
from synthaug.models.inputs import Inputs, noise
from synthaug.runs import Run
from synthaug.sampling.trained import TrainedGenerator
from synthaug.translators.options import ResnetOptions, SourceOptions

CLASSES = ["a", "b", "c"]
FROM_NOISE = [name for name in MODELS.names() if not issubclass(family_options(name), SourceOptions)]
WITH_NOISE = [name for name in MODELS.names() if not issubclass(family_options(name), ResnetOptions)]


def small_options(family: str, **settings: object) -> ModelConfig:
    return family_options(family).model_validate(
        {"family": family, "width": 8, "discriminator_width": 8, "z_dim": 16, "embed_dim": 8, **settings}
    )


def trained(family: str, **settings: object) -> TrainedGenerator:
    """An untrained generator, moved off the zeros that its conditional layers start with."""
    config = small_options(family, **settings)
    torch.manual_seed(0)
    network = build_family(family, ImageShape(16, 3, len(CLASSES)), config).generator
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return TrainedGenerator(
        run=Run(Path("nowhere")),
        network=network.eval().requires_grad_(False),
        classes=CLASSES,
        targets=["a"],
        channels=3,
        resolution=16,
        z_dim=network.z_dim,
        seed=0,
        kimg=0.0,
        sha256="",
        checkpoint="",
        device=torch.device("cpu"),
        codes=codes_of(config),
    )


def inputs(generator: TrainedGenerator, label: int = 1, count: int = 64) -> Inputs:
    """Inputs of one class; in a family that starts from images, all have the same source."""
    found = Inputs(torch.full((count,), label), noise(0, label, range(count), generator.z_dim))
    return with_source(found, generator.network, generator.channels, generator.resolution)


def with_source(found: Inputs, network: Generator, channels: int, resolution: int) -> Inputs:
    """`found` with an image to start from, the same for all rows, if the network needs one."""
    if not network.starts_from_images:
        return found
    coarse = torch.rand(1, channels, 4, 4, generator=torch.Generator().manual_seed(7)) * 2 - 1
    source = torch.nn.functional.interpolate(coarse, size=resolution, mode="bilinear")
    return found._replace(sources=source.expand(len(found.labels), -1, -1, -1))
