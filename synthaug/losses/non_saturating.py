"""Non-saturating logistic loss (1406.2661 §3) with R1 (1801.04406), as StyleGAN uses it."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional as F

from synthaug.losses.objective import Objective


class Logistic(Objective):
    """The discriminator of 2014: L_D = E[−t log σ(D(x)) − (1 − t) log(1 − σ(D(x)))] + E[−log(1 − σ(D(G(z))))].

    t is the target of real images: 1, or less with one-sided label smoothing.
    """

    real_target: float | None = 1.0

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        assert self.real_target is not None
        # −t log σ(r) − (1 − t) log(1 − σ(r)) is softplus(−r) + (1 − t) r, because softplus(r) = softplus(−r) + r
        on_real = F.softplus(-real) if self.real_target == 1 else F.softplus(-real) + (1 - self.real_target) * real
        return on_real.mean() + F.softplus(fake).mean()

    def least_loss(self, target: float) -> float | None:
        """The entropy of the target: the lowest possible loss."""
        return -(target * math.log(target) + (1 - target) * math.log(1 - target)) if target < 1 else 0.0


class NonSaturating(Logistic):
    """L_G = E[−log σ(D(G(z)))]: a strong gradient where the discriminator sees through the generator."""

    regularizers: Mapping[str, float] = {"r1": 0.1}

    def generator_loss(self, fake: Tensor, real: Tensor) -> Tensor:
        return F.softplus(-fake).mean()
