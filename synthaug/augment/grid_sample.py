"""Bilinear samples of images at the places of a grid, which penalties of gradients can be taken through.

Before version 2.12, torch has no second derivative of its `grid_sample`. Sampling is linear in the image, so that the
gradient of its gradient is sampling again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

_BILINEAR, _BORDER = 0, 1  # of ATen


def grid_sample(x: Tensor, grid: Tensor) -> Tensor:
    """Samples [B, C, h, w] of images [B, C, H, W] at places [B, h, w, 2] from −1 to 1; borders are repeated.

    It has derivatives of every order in x, and none in the grid.
    """
    sampled: Tensor = _Sampled.apply(x, grid)
    return sampled


class _Sampled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, grid: Tensor) -> Tensor:
        samples = F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)
        ctx.save_for_backward(grid.to(samples.dtype))  # autocast widens both
        ctx.size = x.shape
        return samples

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (grid,) = ctx.saved_tensors
        return _Spread.apply(gradient, grid, ctx.size), None


class _Spread(torch.autograd.Function):
    """The transpose of sampling: each value goes back to the pixels that it came from."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, grid: Tensor, size: torch.Size) -> Tensor:
        ctx.save_for_backward(grid)
        pixels = gradient.new_empty(size)  # only its size counts
        backward = torch.ops.aten.grid_sampler_2d_backward
        spread: Tensor = backward(gradient, pixels, grid, _BILINEAR, _BORDER, False, [True, False])[0]
        return spread

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (grid,) = ctx.saved_tensors
        return _Sampled.apply(gradient, grid), None, None
