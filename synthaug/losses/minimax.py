"""The saturating game of 2014 (1406.2661, eq. 1), for comparison: its gradient vanishes when the generator is bad."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from synthaug.losses.non_saturating import Logistic


class Minimax(Logistic):
    """L_G = E[log(1 − σ(D(G(z))))]: flat where the discriminator is sure, so a bad generator learns nothing."""

    def generator_loss(self, fake: Tensor, real: Tensor) -> Tensor:
        return -F.softplus(fake).mean()
