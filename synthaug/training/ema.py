"""The averaged network: the one that is sampled, scored and exported."""

from __future__ import annotations

import copy

import torch
from torch import nn

from synthaug.models.family import Generator


class Average:
    """Exponential moving average of a network, with a half-life in images.

    Early on the half-life is at most `ramp` of the images seen, so that the average forgets the start (StyleGAN2-ADA's
    `ema_rampup`, .05). Running statistics of batch norm are averaged like the weights that they were measured with.
    Switches (single numbers) are copied, and so are the vectors of spectral norm: the mean of two unit vectors is not
    a unit vector.
    """

    def __init__(self, network: Generator, half_life_kimg: float, ramp: float = 0.05) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._half_life = half_life_kimg * 1000
        self._ramp = ramp

    @torch.no_grad()
    def update(self, network: nn.Module, images_seen: int, batch_size: int) -> None:
        half_life = min(self._half_life, images_seen * self._ramp)
        decay = 0.5 ** (batch_size / half_life) if half_life > 0 else 0.0
        averaged = [p.data for p in self.network.parameters()]
        torch._foreach_lerp_(averaged, [p.data for p in network.parameters()], 1 - decay)
        buffers = zip(self.network.named_buffers(), network.buffers(), strict=True)
        for (name, mine), theirs in buffers:
            if mine.is_floating_point() and mine.ndim > 0 and not name.endswith(("._u", "._v")):
                mine.lerp_(theirs, 1 - decay)
            else:
                mine.copy_(theirs)
