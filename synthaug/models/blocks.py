"""Layers that several families share."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm as _spectral_norm

M = TypeVar("M", bound=nn.Module)


def spectral_norm(module: M) -> M:
    """Divide the weight by its largest singular value, by one power iteration a step (1802.05957, Alg. 1)."""
    return _spectral_norm(module)  # type: ignore[return-value]


class ConditionalBatchNorm2d(nn.Module):
    """Batch norm whose scale and shift are read from a condition vector (1707.00683; BigGAN, 1809.11096 §3.1)."""

    def __init__(self, channels: int, condition_dim: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.affine = nn.Linear(condition_dim, 2 * channels)
        nn.init.zeros_(self.affine.weight)  # start as a plain normalisation: scale 1, shift 0
        nn.init.zeros_(self.affine.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.affine(condition)[:, :, None, None].chunk(2, dim=1)
        out: Tensor = self.norm(x) * (1 + scale) + shift
        return out


class MinibatchStd(nn.Module):
    """Append one channel with the mean standard deviation over groups of the batch (1710.10196 §3).

    A generator that repeats itself is given away by this channel. Batches are ordered by class, so that a small group
    has few classes in it: over mixed classes the differences between classes would hide what one class lacks.
    """

    def __init__(self, group_size: int = 4) -> None:
        super().__init__()
        self.group_size = group_size

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        group = next(g for g in range(min(self.group_size, b), 0, -1) if b % g == 0)
        # Groups are runs of neighbours, so real and fake halves of one batch stay apart.
        grouped = x.float().reshape(b // group, group, c, h, w)
        std = (grouped.var(dim=1, unbiased=False) + 1e-8).sqrt().mean(dim=(1, 2, 3))
        channel = std.repeat_interleave(group).reshape(b, 1, 1, 1).expand(b, 1, h, w)
        return torch.cat([x, channel.to(x.dtype)], dim=1)
