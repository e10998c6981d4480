"""Truncation in every family: less spread about each class's own centre, and codes left alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from generator_material import CLASSES, WITH_NOISE, inputs, trained
from torch import Tensor

from synthaug.errors import SynthaugError
from synthaug.models.codes import Codes
from synthaug.models.family import Generator
from synthaug.models.inputs import Inputs
from synthaug.sampling.generate import SeededGenerator
from synthaug.sampling.truncation import Truncation


def spread(images: Tensor) -> float:
    """Mean distance between two of them."""
    return float(torch.pdist(images.flatten(1)).mean())


@pytest.mark.parametrize("family", WITH_NOISE)
def test_images_of_a_class_draw_together(family: str) -> None:
    generator = trained(family)
    spreads = [spread(Truncation(generator, psi).generate(inputs(generator))) for psi in (1.0, 0.7, 0.4, 0.02)]
    assert spreads[0] > 1.05 * spreads[1] > 1.1 * spreads[2] > 2 * spreads[3], spreads
    assert spreads[3] < 0.2 * spreads[0]


@pytest.mark.parametrize("family", WITH_NOISE)
def test_no_truncation_is_the_generator_bit_for_bit(family: str) -> None:
    generator = trained(family)
    noise = inputs(generator)
    assert torch.equal(Truncation(generator, 1.0).generate(noise), generator.generate(noise))


@pytest.mark.parametrize("family", WITH_NOISE)
def test_classes_stay_apart(family: str) -> None:
    """Towards the centre of all classes, images would lose their class first."""
    truncation = Truncation(trained(family), 0.02)
    means = [truncation.generate(inputs(truncation.trained, label)).mean(0) for label in range(len(CLASSES))]
    within = (truncation.generate(inputs(truncation.trained)) - means[1]).flatten(1).norm(dim=1).mean()
    assert min((means[1] - means[0]).norm(), (means[1] - means[2]).norm()) > 2 * within


@pytest.mark.parametrize("family", WITH_NOISE)
def test_the_centre_is_the_mean_latent_of_the_class(family: str) -> None:
    generator = trained(family)
    truncation = Truncation(generator, 0.5)
    for label in range(len(CLASSES)):
        z = torch.randn(20_000, generator.z_dim, generator=torch.Generator().manual_seed(5))
        latents = generator.network.latents(Inputs(torch.full((len(z),), label), z))
        error = latents.std(dim=0) * (1 / 20_000 + 1 / 10_000) ** 0.5
        assert ((truncation.centre(label) - latents.mean(0)).abs() < 5 * error + 1e-6).all()
    if family == "stylegan2":
        assert not torch.allclose(truncation.centre(0), truncation.centre(1), atol=0.05)


def test_a_centre_is_found_once_and_is_the_same_everywhere() -> None:
    generator = trained("stylegan2")
    one, other = Truncation(generator, 0.5), Truncation(generator, 0.5)
    one.centre(0)
    state = torch.random.get_rng_state()
    assert torch.equal(one.centre(1), other.centre(1))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_codes_are_not_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = trained("dcgan", categorical_codes=[3], continuous_codes=2)
    seen: list[Tensor] = []
    monkeypatch.setattr(
        type(generator.network), "synthesise", lambda self, latents, fed: seen.append(latents) or self.forward(fed)
    )
    Truncation(generator, 0.3).generate(inputs(generator))
    expected = generator.codes.encode(inputs(generator).noise)
    assert torch.equal(seen[0][:, :5], expected[:, :5])
    torch.testing.assert_close(seen[0][:, 5:], 0.3 * expected[:, 5:], atol=1e-6, rtol=1e-5)


def test_codes_that_are_mixed_into_the_latents_are_refused() -> None:
    with pytest.raises(SynthaugError, match="would move the codes"):
        Truncation(replace(trained("stylegan2"), codes=Codes((), 1)), 0.5)


def test_a_truncated_sampler_keeps_to_its_chunks() -> None:
    generator = trained("stylegan2")
    sampler = SeededGenerator(generator, 3, Truncation(generator, 0.5))
    assert (sampler.sample("b", 10, 60) == sampler.sample("b", 80)[60:70]).all()
    assert (sampler.sample("b", 10) != SeededGenerator(generator, 3).sample("b", 10)).any()
    assert (sampler.psi, SeededGenerator(generator, 3).psi) == (0.5, 1.0)


def test_a_family_need_not_know_of_latents() -> None:
    class Plain(Generator):
        def forward(self, inputs: Inputs) -> Tensor:
            return inputs.noise[:, :, None, None] * (1 + inputs.labels[:, None, None, None])

    network = Plain()
    fed = Inputs(torch.arange(4), torch.randn(4, 3))
    assert torch.equal(network.synthesise(network.latents(fed), fed), network(fed))
