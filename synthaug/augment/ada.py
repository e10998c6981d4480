"""Adaptive augmentation (ADA, 2006.06676 §3): the probability of each transform follows the overfitting.

The mean sign of a discriminator's logits on real images rises when it overfits. Every few batches the probability goes
one step up if this mean is above the target, and one step down otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from synthaug import processes
from synthaug.augment.diffaugment import DiffAugment, uniform


class AdaptiveAugment(nn.Module):
    """The policies of `DiffAugment`, each applied to each group of images with probability `p`.

    `p` and the signs since its last change are buffers. They are in checkpoints, so that a resumed training is exact.

    Args:
        target: the mean sign to reach.
        interval: batches between two changes.
        kimg: thousands of images in which `p` can go from 0 to 1.
    """

    p: Tensor
    signs: Tensor
    batches: Tensor
    images: Tensor

    def __init__(self, policies: Sequence[str], target: float = 0.6, interval: int = 4, kimg: float = 500.0) -> None:
        super().__init__()
        self._transforms = DiffAugment(policies).transforms
        self._target, self._interval, self._speed = target, interval, 1 / (1000 * kimg)
        self.register_buffer("p", torch.zeros(()))
        self.register_buffer("signs", torch.zeros(()))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))
        self.register_buffer("images", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """x: float[B, C, H, W] in [−1, 1]; differentiable in x; all random numbers come from `rng`."""
        for transform in self._transforms:
            chosen = uniform(x, rng)[:, :, None, None] < self.p
            x = torch.where(chosen, transform(x, rng), x)
        return x.contiguous(memory_format=torch.channels_last) if self._transforms else x

    @torch.no_grad()
    def observe(self, margin: Tensor) -> Tensor:
        """Count one batch and return p.

        Args:
            margin: positive where the discriminator is right about a real image, float[B, k].
        """
        self.signs += processes.mean(margin.float().sign().mean())
        self.batches += 1
        self.images += len(margin) * processes.parts()
        if int(self.batches) >= self._interval:
            direction = torch.sign(self.signs / self.batches - self._target)
            self.p.add_(direction * self.images * self._speed).clamp_(0, 1)
            for counted in (self.signs, self.batches, self.images):
                counted.zero_()
        return self.p.clone()
