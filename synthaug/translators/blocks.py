"""Layers that several translators share. None of them mixes the images of a batch, so that an image depends on its own
input alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from synthaug.models.blocks import MinibatchStd, ProjectionHead, spectral_norm
from synthaug.models.class_embedding import ClassEmbedding
from synthaug.models.family import Discriminator, ImageShape

LEAK = 0.2


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps the side or halves it. Zero padding: reflected borders leave marks on small images."""
    return nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2)


class _Normalised(torch.autograd.Function):
    """Instance norm (1607.08022) of x, float[B, C, H, W], times `scale` plus `shift`, float[B or 1, 1, C] each.

    Means are matrix products, so that channels_last stays and bfloat16 is summed in float32. The gradient is written
    out: on a CPU it takes a third less time than that of the single operations, and torch's own norms copy the maps to
    another layout. It cannot be differentiated again; no penalty needs that of a generator.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        places = _places(x)
        centred = places - _mean(places)
        per_std = (_mean(centred * centred).to(scale.dtype) + 1e-5).rsqrt()
        ctx.save_for_backward(centred, per_std, scale)
        ctx.shift_shape = shift.shape
        return _image(torch.addcmul(shift.to(x.dtype), centred, (per_std * scale).to(x.dtype)), x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        centred, per_std, scale = ctx.saved_tensors
        places = _places(grad)
        mean, along = _mean(places).to(scale.dtype), _mean(places * centred).to(scale.dtype)
        factor = per_std * scale
        of_x = torch.addcmul((-factor * mean).to(grad.dtype), places, factor.to(grad.dtype))
        of_x.addcmul_(centred, (-factor * per_std.square() * along).to(grad.dtype))
        count = places.shape[1]
        of_scale = (along * per_std * count).sum_to_size(scale.shape)
        return _image(of_x, grad), of_scale, (mean * count).sum_to_size(ctx.shift_shape)


def _places(x: Tensor) -> Tensor:
    """[B, C, H, W] → [B, H · W, C], without a copy of channels_last."""
    return x.permute(0, 2, 3, 1).reshape(len(x), -1, x.shape[1])


def _image(places: Tensor, like: Tensor) -> Tensor:
    """The way back of `_places`, for the shape of an image."""
    b, c, h, w = like.shape
    return places.reshape(b, h, w, c).permute(0, 3, 1, 2)


def _mean(places: Tensor) -> Tensor:
    """The mean over places, [B, 1, C]."""
    count = places.shape[1]
    return places.new_full((1, count), 1 / count) @ places


def _normalised(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    out: Tensor = _Normalised.apply(x, scale, shift)
    return out


class InstanceNorm(nn.Module):
    """Instance norm with a learnt scale and shift of each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return _normalised(x, self.scale[None, None], self.shift[None, None])


class AdaIN(nn.Module):
    """Instance norm whose scale and shift are read from a code (1703.06868): (1 + γ) · norm(x) + β."""

    def __init__(self, channels: int, code_dim: int) -> None:
        super().__init__()
        self.affine = nn.Linear(code_dim, 2 * channels)
        nn.init.zeros_(self.affine.bias)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        scale, shift = self.affine(code)[:, None, :].chunk(2, dim=2)
        return _normalised(x, 1 + scale.float(), shift.float())


class ResidualBlock(nn.Module):
    """(x + two convolutions with instance norm) / √2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            conv(channels, channels), InstanceNorm(channels), nn.ReLU(),
            conv(channels, channels), InstanceNorm(channels),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = (x + self.body(x)) / math.sqrt(2)
        return out


class AdaINBlock(nn.Module):
    """As `ResidualBlock`, with the code in both normalisations."""

    def __init__(self, channels: int, code_dim: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = conv(channels, channels), AdaIN(channels, code_dim)
        self.conv2, self.norm2 = conv(channels, channels), AdaIN(channels, code_dim)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        h = F.relu(self.norm1(self.conv1(x), code))
        out: Tensor = (x + self.norm2(self.conv2(h), code)) / math.sqrt(2)
        return out


class Decoder(nn.Module):
    """(content, code) → image: residual blocks, then twice the side with each further width of `widths`.

    Enlarges by nearest neighbours and a convolution: transposed convolutions leave a lattice.
    """

    def __init__(self, widths: Sequence[int], channels: int, code_dim: int, blocks: int, last_kernel: int = 3) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(AdaINBlock(widths[0], code_dim) for _ in range(blocks))
        self.ups = nn.ModuleList(conv(a, b) for a, b in pairwise(widths))
        self.norms = nn.ModuleList(AdaIN(b, code_dim) for b in widths[1:])
        self.to_image = conv(widths[-1], channels, last_kernel)

    def forward(self, content: Tensor, code: Tensor) -> Tensor:
        x = content
        for block in self.blocks:
            x = block(x, code)
        for up, norm in zip(self.ups, self.norms, strict=True):
            x = F.relu(norm(up(F.interpolate(x, scale_factor=2)), code))
        return torch.tanh(self.to_image(x).float())


class StyleCode(nn.Module):
    """[z, class embedding] → the code that adaptive instance norms read, float[B, 64]."""

    DIM = 64

    def __init__(self, z_dim: int, classes: int, embed_dim: int) -> None:
        super().__init__()
        self.embed = ClassEmbedding(classes, embed_dim)
        self.layers = nn.Sequential(
            nn.Linear(z_dim + embed_dim, self.DIM), nn.ReLU(), nn.Linear(self.DIM, self.DIM), nn.ReLU()
        )

    def forward(self, z: Tensor, y: Tensor, strength: Tensor) -> Tensor:
        embedded = self.embed(y) * strength
        code: Tensor = self.layers(torch.cat([z.to(embedded.dtype), embedded], dim=1))
        return code

    def of_classes(self) -> Tensor:
        """What each class's embedding gives to the first layer, float[K, 64]."""
        first = self.layers[0]
        assert isinstance(first, nn.Linear)
        return self.embed.weight @ first.weight[:, -self.embed.embedding_dim :].T


class PatchDiscriminator(Discriminator):
    """Judges patches and the whole image, each for its class: spectral norm, projection (1802.05637) at every place.

    The patches are those of pix2pix (1611.07004 §3.2): 1, 2 or 3 strided layers at 32, 64 and 128 px. They go on to a
    second head for the whole, because a class is more than its texture.
    """

    def __init__(self, shape: ImageShape, width: int) -> None:
        super().__init__()
        layers = max(1, round(math.log2(shape.resolution / 16)))
        widths = [width * min(2**k, 4) for k in range(layers + 1)]
        body: list[nn.Module] = []
        for inputs, outputs in zip([shape.channels, *widths], widths, strict=False):
            body += [spectral_norm(nn.Conv2d(inputs, outputs, 4, 2, 1)), nn.LeakyReLU(LEAK)]
        self.patches = nn.Sequential(*body)
        self.patch_head = ProjectionHead(widths[-1], shape.classes)
        rest: list[nn.Module] = []
        side, inputs = shape.resolution // 2 ** (layers + 1), widths[-1]
        while side > 4:
            outputs = min(2 * inputs, 4 * width)
            rest += [spectral_norm(nn.Conv2d(inputs, outputs, 4, 2, 1)), nn.LeakyReLU(LEAK)]
            side, inputs = side // 2, outputs
        rest += [MinibatchStd(), spectral_norm(conv(inputs + 1, inputs)), nn.LeakyReLU(LEAK)]
        self.rest = nn.Sequential(*rest)
        self.whole_head = ProjectionHead(inputs, shape.classes)
        for head in (self.patch_head, self.whole_head):
            spectral_norm(head.linear)
            spectral_norm(head.embed)

    def forward(self, x: Tensor, y: Tensor) -> list[Tensor]:
        patches = self.patches(x)
        whole = self.rest(patches).float().sum(dim=(2, 3))
        places = patches.flatten(2).transpose(1, 2)
        return [
            self.patch_head(places, y, self.condition_strength),
            self.whole_head(whole, y, self.condition_strength)[:, None],
        ]
