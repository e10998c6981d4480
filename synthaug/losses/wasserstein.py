"""Wasserstein distance by a critic (1701.07875) under a gradient penalty (1704.00028, eq. 3).

The paper takes five critic steps (`training.discriminator_steps=5`) and Adam with betas 0 and .9. Only
differences between logits have a meaning.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from synthaug.losses.objective import Objective


class Wasserstein(Objective):
    """L_D = E[D(G(z))] − E[D(x)], L_G = −E[D(G(z))]."""

    regularizers: Mapping[str, float] = {"gradient-penalty": 10.0}
    floor = None

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return fake.mean() - real.mean()

    def generator_loss(self, fake: Tensor, real: Tensor) -> Tensor:
        return -fake.mean()

    def margin(self, real: Tensor, fake: Tensor) -> Tensor:
        return real - fake.mean()
