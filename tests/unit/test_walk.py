"""Walks between noises and between classes."""

from __future__ import annotations

import math

import pytest
import torch
from generator_material import inputs, trained
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from synthaug.errors import SynthaugError
from synthaug.models import MODELS
from synthaug.models.family import Generator
from synthaug.models.inputs import Inputs
from synthaug.sampling.walk import between, slerp


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 64))
def test_a_walk_on_the_sphere_stays_on_it_at_an_even_pace(seed: int, size: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    one, other = (
        torch.nn.functional.normalize(torch.randn(size, generator=rng, dtype=torch.float64), dim=0) for _ in "ab"
    )
    path = slerp(one, other, torch.linspace(0, 1, 7, dtype=torch.float64))
    torch.testing.assert_close(path[[0, -1]], torch.stack([one, other]))
    if 1e-3 < math.acos(float((one @ other).clamp(-1, 1))) < math.pi - 1e-3:
        torch.testing.assert_close(path.norm(dim=1), torch.ones(7, dtype=torch.float64))
        steps = path.diff(dim=0).norm(dim=1)
        torch.testing.assert_close(steps, steps.mean().expand(6))


def test_noise_keeps_its_length_where_a_straight_line_would_lose_it() -> None:
    one, other = torch.randn(2, 512, generator=torch.Generator().manual_seed(0))
    middle = slerp(one, other, torch.tensor([0.5]))[0]
    assert middle.norm() > 0.95 * one.norm()
    assert ((one + other) / 2).norm() < 0.75 * one.norm()


@pytest.mark.parametrize("factor", [1.0, 2.0, -1.0])
def test_ends_on_one_line_are_walked_straight(factor: float) -> None:
    one = torch.tensor([1.0, 2.0])
    torch.testing.assert_close(slerp(one, factor * one, torch.tensor([0.25])), (0.75 + 0.25 * factor) * one[None])


@pytest.mark.parametrize("family", MODELS.names())
def test_a_walk_between_classes_begins_and_ends_at_them(family: str) -> None:
    generator = trained(family)
    shares = [0.0, 0.01, 0.5, 1.0]
    mixed = between(generator.network, 2, 0, shares)
    start = inputs(generator, count=4)
    start = start._replace(z=start.noise[:1].expand(4, -1))
    path = mixed(start._replace(labels=torch.arange(4)))
    ends = generator.network(inputs(generator, count=2)._replace(labels=torch.tensor([2, 0]), z=start.noise[:2]))
    torch.testing.assert_close(path[[0, -1]], ends, atol=1e-5, rtol=1e-4)
    way = (ends[0] - ends[1]).norm()
    assert 0 < (path[1] - path[0]).norm() < 0.2 * way  # no jump
    assert min((path[2] - end).norm() for end in ends) > 0.05 * way  # and the middle is neither end


@pytest.mark.parametrize("family", MODELS.names())
def test_the_generator_itself_is_left_alone(family: str) -> None:
    generator = trained(family)
    before = {name: tensor.clone() for name, tensor in generator.network.state_dict().items()}
    between(generator.network, 0, 1, [0.5])
    after = generator.network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_spectrally_normalised_embeddings_are_taken_as_they_act() -> None:
    class Small(Generator):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.utils.parametrizations.spectral_norm(nn.Embedding(3, 4))

        def forward(self, inputs: Inputs) -> torch.Tensor:
            out: torch.Tensor = self.embed(inputs.labels)
            return out

    network = Small().eval()
    ends = Inputs(torch.arange(2), None)
    torch.testing.assert_close(between(network, 0, 1, [0.0, 1.0])(ends), network(ends))


def test_no_embedding_is_an_error() -> None:
    with pytest.raises(SynthaugError, match="no class embeddings"):
        between(Generator(), 0, 1, [0.5])
