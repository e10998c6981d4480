"""Least squares (LSGAN, 1611.04076, eq. 9: targets 0 for generated and 1 for real images)."""

from __future__ import annotations

from torch import Tensor

from synthaug.losses.objective import Objective


class LeastSquares(Objective):
    """L_D = ½ E[(D(x) − 1)²] + ½ E[D(G(z))²], L_G = ½ E[(D(G(z)) − 1)²]."""

    real_target: float | None = 1.0

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        assert self.real_target is not None
        return 0.5 * (real - self.real_target).square().mean() + 0.5 * fake.square().mean()

    def generator_loss(self, fake: Tensor, real: Tensor) -> Tensor:
        return 0.5 * (fake - 1).square().mean()

    def margin(self, real: Tensor, fake: Tensor) -> Tensor:
        return real - 0.5  # halfway between the two targets
