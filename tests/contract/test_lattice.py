"""No family leaves the lattice of transposed convolutions in its images; untrained networks show it best."""

from __future__ import annotations

import pytest
import torch
from generator_material import small_options
from lattice import Transposed, lattice
from torch.nn import functional as F

from synthaug.models import MODELS, build_family, dcgan
from synthaug.models.blocks import ToImage, UpConv
from synthaug.models.family import ImageShape
from synthaug.models.inputs import Inputs

LIMIT = 3.0


@torch.no_grad()
def of_untrained(family: str) -> float:
    """The mean of three networks, 64 images each."""
    found = []
    for seed in range(3):
        torch.manual_seed(seed)
        config = small_options(family)
        generator = build_family(family, ImageShape(32, 3, classes=2), config).generator
        smooth = F.interpolate(torch.randn(64, 3, 4, 4), size=(32, 32), mode="bicubic").clamp(-1, 1)
        sources = smooth if generator.starts_from_images else None
        found.append(lattice(generator(Inputs(torch.arange(64) % 2, torch.randn(64, generator.z_dim), sources))))
    return sum(found) / len(found)


@pytest.mark.parametrize("family", MODELS.names())
def test_images_have_no_lattice(family: str) -> None:
    assert of_untrained(family) < LIMIT


def test_transposed_convolutions_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dcgan, "UpConv", Transposed)
    monkeypatch.setattr(dcgan, "ToImage", lambda a, b: Transposed(a, b, bias=True))
    assert of_untrained("dcgan") > 10 * LIMIT


@pytest.mark.parametrize("layer", [UpConv(3, 5), ToImage(3, 2), ToImage(3, 2).eval()])
def test_it_is_a_convolution_of_the_enlarged_map(layer: UpConv) -> None:
    x = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float32, requires_grad=True)
    weight = layer.weight.transpose(0, 1).flip(2, 3)
    plain = F.conv2d(F.interpolate(x, scale_factor=2), weight, layer.bias, padding=1)
    inputs = [x, *layer.parameters()]
    want, got = (torch.autograd.grad(made.square().sum(), inputs) for made in (plain, layer(x)))
    torch.testing.assert_close(layer(x), plain)
    for one, other in zip(got, want, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
