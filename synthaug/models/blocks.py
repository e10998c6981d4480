"""Layers that several families share."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import zip_longest
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import spectral_norm as _spectral_norm

from synthaug import processes
from synthaug.data.batches import group_of
from synthaug.models.class_embedding import ClassEmbedding

M = TypeVar("M", bound=nn.Module)


def spectral_norm(module: M) -> M:
    """Divide the weight by its largest singular value, by one power iteration a step (1802.05957, Alg. 1)."""
    return _spectral_norm(module)  # type: ignore[return-value]


def without_spectral_norm(network: nn.Module) -> bool:
    """Remove spectral norm from all layers, which keep their normalised weights; False if no layer had it."""
    held = [module for module in network.modules() if parametrize.is_parametrized(module, "weight")]
    for module in held:
        parametrize.remove_parametrizations(module, "weight")
    return bool(held)


def sides(resolution: int) -> list[int]:
    """Sides of the feature maps, each twice the one before; the first has 4 to 7 px.

    >>> sides(32), sides(96)
    ([4, 8, 16, 32], [6, 12, 24, 48, 96])
    """
    first = resolution
    while first >= 8:
        first //= 2
    return [first * 2**k for k in range((resolution // first).bit_length())]


def channels_at(side: int, resolution: int, width: int) -> int:
    """Channels of a feature map: `width` at full resolution, doubling downwards to at most 4 × `width`.

    >>> [channels_at(side, 32, 48) for side in (4, 8, 16, 32)]
    [192, 192, 96, 48]
    """
    return width * min(resolution // side, 4)


class BatchNorm2d(nn.BatchNorm2d):
    """Batch norm over the images of all processes (torch's own does this on GPUs only)."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or processes.count() == 1:
            return super().forward(x)
        n = processes.count() * x.numel() / x.shape[1]
        mean = processes.mean(x.float().mean(dim=(0, 2, 3)))
        centred = x.float() - mean[:, None, None]
        var = processes.mean(centred.square().mean(dim=(0, 2, 3)))
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum or 0.0)
            self.running_var.lerp_(var * n / (n - 1), self.momentum or 0.0)
            self.num_batches_tracked += 1
        out = centred * torch.rsqrt(var + self.eps)[:, None, None]
        if self.affine:
            out = out * self.weight[:, None, None] + self.bias[:, None, None]
        return out.to(x.dtype)


def has_batch_norm(network: nn.Module) -> bool:
    """Whether what a network makes of an image depends on the rest of the batch, in training."""
    return any(isinstance(module, BatchNorm2d) for module in network.modules())


class ConditionalBatchNorm2d(nn.Module):
    """Batch norm whose scale and shift are read from a condition vector (1707.00683; BigGAN, 1809.11096 §3)."""

    def __init__(self, channels: int, condition_dim: int) -> None:
        super().__init__()
        self.norm = BatchNorm2d(channels, affine=False)
        self.affine = nn.Linear(condition_dim, 2 * channels)
        nn.init.zeros_(self.affine.weight)  # start as a plain normalisation: scale 1, shift 0
        nn.init.zeros_(self.affine.bias)

    def of_classes(self, embed: nn.Embedding) -> list[Tensor]:
        """The scale and the shift of each class, float[K, C] each. The condition ends with the class embedding."""
        weight = self.affine.weight[:, -embed.embedding_dim :]
        return [half.T for half in (weight @ embed.weight.T).chunk(2)]

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.affine(condition)[:, :, None, None].chunk(2, dim=1)
        if self.training:
            out: Tensor = self.norm(x) * (1 + scale) + shift
            return out
        # With fixed statistics both affine maps are one: one pass over the image instead of three.
        mean, var = self.norm.running_mean, self.norm.running_var
        assert mean is not None
        assert var is not None
        scale = (1 + scale) * torch.rsqrt(var + self.norm.eps)[:, None, None]
        shift = shift - scale * mean[:, None, None]
        return torch.addcmul(shift.to(x.dtype), x, scale.to(x.dtype))


class ToImage(nn.ConvTranspose2d):
    """A transposed convolution, 4 × 4 with stride 2, to the few channels of an image: doubles the side.

    oneDNN pads one or three channels to whole vectors. In evaluation on a CPU, a matrix product and `fold` take a fifth
    (one channel) to a half (three channels) of the time.
    """

    def __init__(self, channels: int, image_channels: int) -> None:
        super().__init__(channels, image_channels, 4, stride=2, padding=1)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        if self.training or x.device.type != "cpu" or x.dtype != torch.float32:
            return super().forward(x, output_size)
        b, c, h, w = x.shape
        columns = x.permute(0, 2, 3, 1).reshape(b, h * w, c) @ self.weight.reshape(c, -1)
        image = F.fold(columns.transpose(1, 2), (2 * h, 2 * w), kernel_size=4, stride=2, padding=1)
        assert self.bias is not None
        return image + self.bias[:, None, None]


class MinibatchStd(nn.Module):
    """Append one channel with the mean standard deviation over groups of the batch (1710.10196 §3).

    It shows the discriminator whether the generator repeats itself. The images of a group share class and augmentation
    (`synthaug.data.batches.GROUP`), so only the images themselves vary.
    """

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        group = group_of(b)
        grouped = x.float().reshape(b // group, group, c, h, w)
        variance = (grouped - grouped.mean(1, keepdim=True)).square().mean(1)  # var() takes 8 times as long on a CPU
        std = (variance + 1e-8).sqrt().mean(dim=(1, 2, 3))
        channel = std.repeat_interleave(group).reshape(b, 1, 1, 1).expand(b, 1, h, w)
        return torch.cat([x, channel.to(x.dtype)], dim=1)


class ProjectionHead(nn.Module):
    """w·h + b + strength · e(y)·h (1802.05637, eq. 5), for float[B, …, d] → float[B, …].

    Weights are stored times `scale` and divided by it in use: √d equalises the learning rate as in `EqualLinear`.

    >>> ProjectionHead(8, classes=3)(torch.zeros(4, 5, 8), torch.arange(4) % 3, torch.ones(())).shape
    torch.Size([4, 5])
    """

    def __init__(self, features: int, classes: int, scale: float = 1.0) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 1)
        self.embed = ClassEmbedding(classes, features)
        self.scale = scale
        for layer in (self.linear, self.embed):
            nn.init.orthogonal_(layer.weight, gain=scale)

    def forward(self, h: Tensor, y: Tensor, strength: Tensor) -> Tensor:
        h = h.float()
        embedded = self.embed(y).float().reshape(len(h), *[1] * (h.ndim - 2), -1)
        weight = self.linear.weight.float()[0] + strength * embedded
        out: Tensor = (weight * h).sum(dim=-1) / self.scale + self.linear.bias
        return out


class EqualLinear(nn.Module):
    """A linear layer whose weight is drawn from N(0, 1) and scaled by 1/√inputs in use (1710.10196 §4.1).

    All weights then learn at the same speed under Adam. `rate` below 1 slows a layer down (1812.04948, appendix C).
    """

    def __init__(self, inputs: int, outputs: int, rate: float = 1.0, bias: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias / rate))
        self.scale, self.rate = rate / math.sqrt(inputs), rate

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.scale, self.bias * self.rate)


def given_by_norms(generator: nn.Module, embed: nn.Embedding) -> list[Tensor]:
    """Scales and shifts of each class in all conditional batch norms of a generator with the embedding `embed`."""
    norms = [module for module in generator.modules() if isinstance(module, ConditionalBatchNorm2d)]
    return [given for norm in norms for given in norm.of_classes(embed)]


def side_by_side(networks: Iterable[nn.Module]) -> list[nn.Module]:
    """The convolutions of parallel networks: first the first ones of all networks, then the second ones, and so on."""
    of_each = zip_longest(*map(convolutions, networks))
    return [layer for depth in of_each for layer in depth if layer is not None]


def convolutions(*modules: nn.Module) -> list[nn.Module]:
    """The convolutions in `modules`, in the order in which they were registered."""
    return [m for module in modules for m in module.modules() if isinstance(m, (nn.Conv2d, EqualConv2d))]


class EqualConv2d(nn.Module):
    """A convolution that keeps the image's size, with equalised learning rate as in `EqualLinear`."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale, self.padding = 1 / math.sqrt(inputs * kernel**2), kernel // 2

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.scale, self.bias, padding=self.padding)


def pixel_norm(x: Tensor) -> Tensor:
    """Divide by the root mean square over channels, dim 1 (1710.10196 §4.2)."""
    return x * (x.float().square().mean(dim=1, keepdim=True) + 1e-8).rsqrt().to(x.dtype)


def leaky_relu(x: Tensor) -> Tensor:
    """Leaky ReLU of slope 0.2 times √2, which keeps the variance, as equalised layers need (1912.04958)."""
    return F.leaky_relu(x, 0.2) * math.sqrt(2)
