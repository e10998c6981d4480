"""Untrained generators of any family, as `load_generator` would give trained ones."""

from __future__ import annotations

from pathlib import Path

import torch

from synthaug.config import ModelConfig, family_options
from synthaug.models import build_family
from synthaug.models.codes import codes_of
from synthaug.models.family import ImageShape
from synthaug.models.inputs import Inputs, noise
from synthaug.runs import Run
from synthaug.sampling.trained import TrainedGenerator

CLASSES = ["a", "b", "c"]


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
    return Inputs(torch.full((count,), label), noise(0, label, range(count), generator.z_dim))
