"""Non-saturating logistic loss (1406.2661 §3) with R1 (1801.04406), as StyleGAN uses it."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional as F


class NonSaturating:
    """L_D = E[−log σ(D(x))] + E[−log(1 − σ(D(G(z))))], L_G = E[−log σ(D(G(z)))]."""

    regularizers: Mapping[str, float] = {"r1": 0.1}

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(-real).mean() + F.softplus(fake).mean()

    def generator_loss(self, fake: Tensor) -> Tensor:
        return F.softplus(-fake).mean()
