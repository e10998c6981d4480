"""Noise on class embeddings: of which size, on whom, and that every family hears it."""

from __future__ import annotations

import copy

import pytest
import torch
from generator_material import small_options, with_source
from torch import nn

from synthaug.models import MODELS, build_family
from synthaug.models.embedding_noise import EmbeddingNoise, deviations
from synthaug.models.family import Family, ImageShape
from synthaug.models.inputs import Inputs

COUNTS = torch.tensor([1, 30, 3000])


def family(name: str = "dcgan") -> Family:
    torch.manual_seed(0)
    made = build_family(name, ImageShape(16, 1, 3), small_options(name, z_dim=32))
    with torch.no_grad():  # conditional normalisation starts at zero, deaf to the class
        for p in made.generator.parameters():
            p.add_(0.05 * torch.randn(p.shape, generator=torch.Generator().manual_seed(2)))
    return made


def test_the_deviation_is_sigma_over_the_effective_number_of_images() -> None:
    effective = (1 - 0.99 ** COUNTS.double()) / (1 - 0.99)  # 1901.05555, eq. 2
    assert deviations(COUNTS, 0.75).double().numpy() == pytest.approx((0.75 / effective).numpy(), rel=1e-4)


def test_each_class_gets_noise_of_its_own_deviation() -> None:
    generator = family().generator
    embedding = next(m for m in generator.modules() if isinstance(m, nn.Embedding))
    clean = embedding(torch.arange(3)).detach()
    EmbeddingNoise(generator, COUNTS, 2.0).rng = torch.Generator().manual_seed(1)
    drawn = torch.stack([embedding(torch.arange(3)).detach() - clean for _ in range(4000)])
    assert drawn.std(dim=(0, 2)).numpy() == pytest.approx(deviations(COUNTS, 2.0).numpy(), rel=0.05)
    assert drawn.mean(dim=0).abs().max() < 0.2


@pytest.mark.parametrize("name", MODELS.names())
def test_the_generator_hears_it_and_its_copy_does_not(name: str) -> None:
    generator = family(name).generator.eval()  # in training, spectral norm moves at each pass
    copied = copy.deepcopy(generator)
    noise = EmbeddingNoise(generator, COUNTS, 1.0)
    rng = torch.Generator().manual_seed(5)
    inputs = Inputs(torch.tensor([0, 0, 1, 2]), torch.randn(4, generator.z_dim, generator=rng))
    inputs = with_source(inputs, generator, 1, 16)
    clean = copied(inputs)
    assert torch.equal(generator(inputs), clean)  # nothing to draw from yet
    noise.rng = torch.Generator().manual_seed(1)
    noisy = generator(inputs)
    assert not torch.equal(noisy, clean)
    assert torch.equal(copied(inputs), clean)
    noise.rng = torch.Generator().manual_seed(1)
    assert torch.equal(generator(inputs), noisy)
