"""The interface of a feature net: it turns an image into a vector, and has a name and a hash, which scores record."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.nn.utils.fusion import fuse_conv_bn_eval

from synthaug.data.colour import LUMINANCE
from synthaug.errors import SynthaugError

Features = NDArray[np.float32]
Pixels = NDArray[np.uint8]


class FeatureNet(Protocol):
    """A frozen net; metrics compare its pooled features. Scores of different nets cannot be compared."""

    name: str
    sha256: str
    dim: int

    @property
    def identity(self) -> str:
        """`name@` and the first 12 digits of the weights' hash."""
        return f"{self.name}@{self.sha256[:12]}"

    def __call__(self, pixels: Pixels, *, batch_size: int | None = None) -> Features:
        """Turn uint8 [N, C, H, W], C 1 or 3, into float32 [N, dim]."""
        ...


@dataclass
class TorchFeatureNet(FeatureNet):
    """A torch module as a `FeatureNet`.

    `module` takes float [B, `channels`, h, w], normalised by `mean` and `std` on the scale 0 to 1; it returns [B, dim].
    Images whose shorter side is below `min_side` are enlarged to it (bicubic; enlarging needs no antialiasing). With
    `exact_side` all images are resized to that square size, for nets that accept only one size. `head` is the net's own
    classifier, if it is known: features [B, dim] → logits of the classes that it was trained on. `bf16` computes in
    bfloat16: twice as fast on a CPU that has it, but the features are 5% off, which is too far for metrics.
    """

    name: str
    sha256: str
    dim: int
    module: nn.Module
    channels: int = 3
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    min_side: int = 1
    exact_side: int | None = None
    head: nn.Linear | None = None
    bf16: bool = False
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def __post_init__(self) -> None:
        self.module = self.module.eval().requires_grad_(False).to(self.device)
        if not isinstance(self.module, torch.jit.ScriptModule):
            self.module = self.module.to(memory_format=torch.channels_last)  # twice as fast for depthwise convolutions

    def __call__(self, pixels: Pixels, *, batch_size: int | None = None) -> Features:
        """Turn uint8 [N, C, H, W], C 1 or 3, into float32 [N, dim].

        Args:
            pixels: the images.
            batch_size: images a forward pass; by default 32 on a CPU, where larger batches fall out of the cache
                (measured 406 images/s at 32, 216 at 128), and 256 elsewhere.

        Raises:
            SynthaugError: `pixels` are not uint8 images of 1 or 3 channels.
        """
        if pixels.ndim != 4 or pixels.dtype != np.uint8 or pixels.shape[1] not in (1, 3):
            raise SynthaugError(
                f"feature net {self.name!r} got an array {pixels.dtype} {list(pixels.shape)}",
                "give uint8 images [N, C, H, W] with 1 or 3 channels",
            )
        step = batch_size or (32 if self.device.type == "cpu" else 256)
        out = np.empty((len(pixels), self.dim), np.float32)
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            for start in range(0, len(pixels), step):
                batch = torch.from_numpy(np.ascontiguousarray(pixels[start : start + step])).to(self.device)
                out[start : start + step] = self.module(self.prepare(batch)).float().cpu().numpy()
        return out

    def prepare(self, batch: Tensor) -> Tensor:
        """Convert uint8 [B, C, H, W] to the channels, the size and the range that the module expects."""
        return self.normalised(batch.float().div_(255.0))

    def normalised(self, x: Tensor) -> Tensor:
        """The same for float [B, C, H, W] from 0 to 1."""
        height, width = x.shape[-2:]
        if self.exact_side is not None:
            if (height, width) != (self.exact_side, self.exact_side):
                shrinks = min(height, width) > self.exact_side
                x = interpolate(x, size=(self.exact_side,) * 2, mode="bicubic", antialias=shrinks).clamp_(0, 1)
        elif min(height, width) < self.min_side:
            scale = self.min_side / min(height, width)
            size = (max(self.min_side, round(height * scale)), max(self.min_side, round(width * scale)))
            x = interpolate(x, size=size, mode="bicubic", align_corners=False).clamp_(0, 1)  # bicubic overshoots
        if x.shape[1] != self.channels:
            if self.channels == 1:
                x = (x * x.new_tensor(LUMINANCE).view(1, 3, 1, 1)).sum(1, keepdim=True)
            else:
                x = x.expand(-1, self.channels, -1, -1)
        mean, std = (x.new_tensor(values).view(1, -1, 1, 1) for values in (self.mean, self.std))
        return ((x - mean) / std).contiguous(memory_format=torch.channels_last)


def hash_weights(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of a state dict: its names, types, shapes and values, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return digest.hexdigest()


def fold_batch_norms(module: nn.Module) -> nn.Module:
    """Fold each batch norm into the convolution registered before it in the same parent; in place, for inference only.

    The order of registration must be the order of use, as it is in timm's nets. Halves the time on a CPU.
    """
    for parent in list(module.modules()):
        previous: tuple[str, nn.Conv2d] | None = None
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                if previous is not None and previous[1].out_channels == child.num_features:
                    setattr(parent, previous[0], fuse_conv_bn_eval(previous[1], child))
                    setattr(parent, name, getattr(child, "act", nn.Identity()))  # timm's norms carry an activation
                previous = None
            elif isinstance(child, nn.Conv2d):
                previous = (name, child)
            elif not isinstance(child, nn.Identity):
                previous = None
    return module
