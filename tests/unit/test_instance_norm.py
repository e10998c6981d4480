"""The translators' instance norm beside torch's own, and its gradient."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from synthaug.translators.blocks import AdaIN, InstanceNorm, _Normalised


def test_instance_norm_is_that_of_torch() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 6, 8, 8)
    norm = InstanceNorm(6)
    torch.nn.init.normal_(norm.scale)
    torch.nn.init.normal_(norm.shift)
    torch.testing.assert_close(norm(x), F.instance_norm(x, weight=norm.scale, bias=norm.shift))


@pytest.mark.parametrize("rows", [1, 3])
def test_the_gradient_of_the_norm_is_that_of_its_values(rows: int) -> None:
    """Against differences of float64 values; scale and shift for all images, and for each."""
    torch.manual_seed(0)
    x = torch.randn(3, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    scale, shift = (torch.randn(rows, 1, 2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(_Normalised.apply, (x, scale, shift))


def test_adaptive_norm_trains_its_code() -> None:
    torch.manual_seed(0)
    norm, code = AdaIN(6, 4), torch.randn(2, 4, requires_grad=True)
    norm(torch.randn(2, 6, 8, 8), code).square().sum().backward()
    assert code.grad is not None
    assert code.grad.abs().min() > 0
