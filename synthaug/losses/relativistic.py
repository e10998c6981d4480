"""Relativistic pairing (1807.00734) with R1 and R2 on every step: R3GAN's objective (2501.05441, eq. 2 and 4).

The discriminator compares each generated image with a real image of the same class. One boundary far from all generated
images, behind which modes are dropped, is then no solution. R1 and R2 have the weight γ/2, and γ falls to a tenth.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor
from torch.nn import functional as F

from synthaug.losses.objective import Objective


class Relativistic(Objective):
    """L_D = E[softplus(−(D(x) − D(G(z))))], L_G = E[softplus(−(D(G(z)) − D(x)))]."""

    # the paper's γ for CIFAR; it grows with the images, to 2 at 64 px
    regularizers: Mapping[str, float] = {"r1": 0.05, "r2": 0.05}
    regularizer_interval = 1
    regularizer_decay = 0.1
    paired = True

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return F.softplus(fake - real).mean()

    def generator_loss(self, fake: Tensor, real: Tensor) -> Tensor:
        return F.softplus(real - fake).mean()

    def margin(self, real: Tensor, fake: Tensor) -> Tensor:
        return real - fake
