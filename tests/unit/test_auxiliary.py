"""AC-GAN and InfoGAN: the codes in z, the bound by hand, and that both networks follow the heads."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from synthaug.config import validate
from synthaug.errors import SynthaugError
from synthaug.losses.acgan import AuxiliaryClassifier
from synthaug.losses.heads import build_heads
from synthaug.losses.infogan import Recogniser
from synthaug.models import MODELS, build_family
from synthaug.models.codes import Codes, codes_of
from synthaug.models.family import Discriminator, ImageShape
from synthaug.models.inputs import Inputs

CODES = Codes((3,), 2)


def test_codes_are_uniform_and_leave_the_noise_alone() -> None:
    z = torch.randn(20000, 8, generator=torch.Generator().manual_seed(0))
    encoded = CODES.encode(z)
    assert torch.equal(encoded[:, 5:], z[:, 5:])
    assert torch.equal(encoded[:, :3].sum(dim=1), torch.ones(20000))
    assert encoded[:, :3].mean(dim=0).tolist() == pytest.approx([1 / 3] * 3, abs=0.02)
    values = encoded[:, 3:5]
    assert values.abs().max() <= 1
    assert values.mean().item() == pytest.approx(0, abs=0.02)
    assert values.var().item() == pytest.approx(1 / 3, abs=0.01)  # of a uniform distribution on [−1, 1]


def test_a_code_can_be_put_to_a_value_and_read_back() -> None:
    z = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    for choice in range(3):
        assert CODES.read(CODES.put(z, 0, choice))[0][0].tolist() == [choice] * 5
    moved = CODES.put(z, 2, -0.4)
    assert CODES.read(moved)[1][:, 1].tolist() == pytest.approx([-0.4] * 5, abs=1e-5)
    assert torch.equal(CODES.read(moved)[1][:, 0], CODES.read(z)[1][:, 0])
    assert list(CODES.values(0, 9)) == [0, 1, 2]
    assert len(CODES.values(1, 9)) == 9


def test_a_generator_with_codes_takes_plain_noise() -> None:
    config = validate({"model": {"width": 8, "z_dim": 8, "categorical_codes": [3], "continuous_codes": 2}}).model
    torch.manual_seed(0)
    generator = build_family("dcgan", ImageShape(16, 1, 2), config).generator.eval()
    torch.manual_seed(0)
    plain = MODELS.get("dcgan")(ImageShape(16, 1, 2), config).generator.eval()
    z, y = torch.randn(4, 8), torch.zeros(4, dtype=torch.int64)
    assert torch.equal(generator(Inputs(y, z)), plain(Inputs(y, codes_of(config).encode(z))))
    assert generator.state_dict().keys() == plain.state_dict().keys()


def test_the_bound_on_mutual_information_by_hand() -> None:
    head = Recogniser(4, 2, CODES)
    for layer in head.modules():
        if isinstance(layer, nn.Linear):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
    z = CODES.put(CODES.put(CODES.put(torch.zeros(2, 8), 0, 1), 1, 0.5), 2, -0.5)
    # log 3 − log 3 for a recogniser that knows nothing; log 2 − ½ log 2π − ½ · .25 for each value under N(0, 1)
    expected = 2 * (math.log(2) - 0.5 * math.log(2 * math.pi) - 0.125)
    assert head.loss(torch.zeros(2, 4), torch.zeros(2), z).item() == pytest.approx(-expected, rel=1e-4)
    head.categorical[0].bias.data = torch.tensor([0.0, 50.0, 0.0])  # sure, and right: the code's whole entropy
    better = head.loss(torch.zeros(2, 4), torch.zeros(2), z).item()
    assert better == pytest.approx(-expected - math.log(3), rel=1e-4)


def test_the_auxiliary_classifier_is_a_cross_entropy() -> None:
    head = AuxiliaryClassifier(2, 3, Codes())
    nn.init.zeros_(head.classifier.weight)
    head.classifier.bias.data = torch.tensor([math.log(1.0), math.log(2.0), math.log(5.0)])
    loss = head.loss(torch.zeros(2, 2), torch.tensor([1, 2]), None)
    assert loss.item() == pytest.approx(-(math.log(2 / 8) + math.log(5 / 8)) / 2, rel=1e-5)


def test_refusals() -> None:
    shape = ImageShape(16, 1, 2)
    family = MODELS.get("dcgan")(shape, validate({}).model)
    with pytest.raises(SynthaugError, match="no codes") as caught:
        build_heads({"infogan": 1.0}, family, shape, Codes())
    assert "model.continuous_codes" in caught.value.hint

    class Silent(Discriminator):
        pass

    family.networks["discriminator"] = Silent()
    with pytest.raises(SynthaugError, match="acgan"):
        build_heads({"acgan": 1.0}, family, shape, Codes())
    with pytest.raises(SynthaugError, match="leave no noise"):
        validate({"model": {"z_dim": 8, "categorical_codes": [8]}})
    with pytest.raises(SynthaugError, match="categorical_codes"):
        validate({"model": {"categorical_codes": [1]}})
