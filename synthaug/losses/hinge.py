"""Hinge loss (Geometric GAN, 1705.02894, eq. 10–11; as BigGAN uses it, 1809.11096)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from synthaug.losses.objective import Objective


class Hinge(Objective):
    """L_D = E[max(0, 1 − D(x))] + E[max(0, 1 + D(G(z)))], L_G = −E[D(G(z))]."""

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()

    def generator_loss(self, fake: Tensor, real: Tensor) -> Tensor:
        return -fake.mean()
