"""The averaged generator: what is sampled, shown, scored and exported."""

from __future__ import annotations

import copy

import torch
from torch import nn

from synthaug.models.family import Generator


class Average:
    """Exponential moving average of a generator, with a half-life in images.

    Early on the half-life is at most `ramp` of the images seen, so that the average does not remember the start
    (StyleGAN2-ADA's `ema_rampup`, .05). Running statistics of batch norm are averaged like weights: they belong to
    the weights they were measured with. Switches (single numbers) and the directions of spectral norm are copied: the
    mean of two unit vectors is none, and would misjudge the norm.
    """

    def __init__(self, generator: Generator, half_life_kimg: float, ramp: float = 0.05) -> None:
        self.generator = copy.deepcopy(generator).eval().requires_grad_(False)
        self._half_life = half_life_kimg * 1000
        self._ramp = ramp

    @torch.no_grad()
    def update(self, generator: nn.Module, images_seen: int, batch_size: int) -> None:
        half_life = min(self._half_life, images_seen * self._ramp)
        decay = 0.5 ** (batch_size / half_life) if half_life > 0 else 0.0
        averaged = [p.data for p in self.generator.parameters()]
        torch._foreach_lerp_(averaged, [p.data for p in generator.parameters()], 1 - decay)
        buffers = zip(self.generator.named_buffers(), generator.buffers(), strict=True)
        for (name, mine), theirs in buffers:
            if mine.is_floating_point() and mine.ndim > 0 and not name.endswith(("._u", "._v")):
                mine.lerp_(theirs, 1 - decay)
            else:
                mine.copy_(theirs)
