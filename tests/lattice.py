"""The one-pixel lattice that transposed convolutions leave in images, seen in their spectrum."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from synthaug.models.blocks import UpConv


def lattice(images: Tensor) -> float:
    """Power at the frequency of a one-pixel chessboard ÷ the mean power at its 24 neighbours; real images have about 1.

    Args:
        images: [N, C, H, W], of any type and range.
    """
    x = images.float()
    power = torch.fft.fft2(x - x.mean(dim=(2, 3), keepdim=True)).abs().square().mean(dim=(0, 1))
    row, column = (side // 2 for side in power.shape)
    near = power[row - 2 : row + 3, column - 2 : column + 3]
    return float(24 * near[2, 2] / (near.sum() - near[2, 2]))


class Transposed(UpConv):
    """What `UpConv` replaced: a kernel of its own for each of the four pixels."""

    def __init__(self, channels: int, out_channels: int, bias: bool = False) -> None:
        nn.ConvTranspose2d.__init__(self, channels, out_channels, 4, stride=2, padding=1, bias=bias)

    def smeared(self) -> Tensor:
        return self.weight
