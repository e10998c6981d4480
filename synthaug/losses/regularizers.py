"""Penalties on the discriminator: R1 and LeCam."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Logits = list[Tensor]


class Regularizer(nn.Module):
    """A penalty that is added to the discriminator's loss every `interval` steps, times weight × interval.

    State that a penalty carries from step to step is a buffer, so that it is saved with the checkpoint.
    """

    interval: int = 1

    def forward(
        self, discriminate: Callable[[Tensor], Logits], real: Tensor, real_logits: Logits, fake_logits: Logits
    ) -> Tensor:
        """Return a scalar.

        Args:
            discriminate: x float[B, C, H, W] → logits under the real labels, augmentation included.
            real: the real images, before augmentation, float[B, C, H, W].
            real_logits: this step's logits of the real images.
            fake_logits: this step's logits of the generated images.
        """
        raise NotImplementedError


class R1(Regularizer):
    """½ E[‖∇ₓ D(x)‖²] on real images (1801.04406, eq. 9), computed lazily (1912.04958 §4.1)."""

    interval = 4

    def forward(
        self, discriminate: Callable[[Tensor], Logits], real: Tensor, real_logits: Logits, fake_logits: Logits
    ) -> Tensor:
        x = real.detach().requires_grad_(True)
        score = torch.stack([logits.sum() for logits in discriminate(x)]).sum()
        (gradient,) = torch.autograd.grad(score, x, create_graph=True)
        return 0.5 * gradient.float().square().sum(dim=(1, 2, 3)).mean()


class LeCam(Regularizer):
    """E[relu(D(x) − α_F)²] + E[relu(α_R − D(G(z)))²] with moving averages α of the logits (2104.03310, eq. 5).

    It pulls real and fake logits towards each other's averages, which keeps a discriminator that has memorised few
    images from running away. Starts after `start` steps, when the averages mean something.
    """

    decay = 0.99
    start = 1000

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("average_real", torch.zeros(()))
        self.register_buffer("average_fake", torch.zeros(()))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    average_real: Tensor
    average_fake: Tensor
    steps: Tensor

    def forward(
        self, discriminate: Callable[[Tensor], Logits], real: Tensor, real_logits: Logits, fake_logits: Logits
    ) -> Tensor:
        real_all, fake_all = (torch.cat([x.float().flatten() for x in logits]) for logits in (real_logits, fake_logits))
        with torch.no_grad():
            decay = self.decay if self.steps > 0 else 0.0
            self.average_real.lerp_(real_all.mean(), 1 - decay)
            self.average_fake.lerp_(fake_all.mean(), 1 - decay)
            self.steps += 1
        active = (self.steps > self.start).float()
        penalty = (
            F.relu(real_all - self.average_fake).square().mean() + F.relu(self.average_real - fake_all).square().mean()
        )
        return active * penalty
