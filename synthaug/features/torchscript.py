"""A TorchScript file of the user as a feature net, for images unlike ImageNet's (scans, spectra, plankton).

The module takes float [B, C, H, W] and returns [B, dim], or [B, dim, h, w], which is averaged. It may carry attributes:
`mean` and `std` (floats, on the scale 0 to 1; otherwise images come as −1 to 1) and `side` (int: images are resized to
this square). Loading TorchScript runs no Python code.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from synthaug import files
from synthaug.device import resolve_device
from synthaug.errors import SynthaugError
from synthaug.features.base import TorchFeatureNet

_HINT = "save the net with torch.jit.script(net).save(path); it must take float [B, C, H, W] and return [B, dim]"


class _Pooled(nn.Module):
    """Average over height and width, if the net has not done it."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.net(x)
        return features.flatten(2).mean(2) if features.ndim > 2 else features


def load(path: Path, *, device: str = "auto") -> TorchFeatureNet:
    """Load the file, and try whether it takes 3 channels or 1 and how many features it returns.

    Raises:
        SynthaugError: the file is no TorchScript, or its module takes no images or returns no vectors.
    """
    target = resolve_device(device)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch recommends torch.export instead
            script = torch.jit.load(str(path), map_location="cpu").eval()  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError, OSError) as error:
        raise SynthaugError(f"{str(path)!r} cannot be loaded as TorchScript", _HINT) from error
    side = getattr(script, "side", None)
    module = _Pooled(script)
    channels, dim = _probe(module, path, int(side) if side else 96)
    return TorchFeatureNet(
        name=path.name, sha256=files.sha256(path), dim=dim, module=module, channels=channels,
        mean=_values(getattr(script, "mean", 0.5), channels, path),
        std=_values(getattr(script, "std", 0.5), channels, path), exact_side=int(side) if side else None, device=target,
    )  # fmt: skip


def _probe(module: nn.Module, path: Path, side: int) -> tuple[int, int]:
    for channels in (3, 1):
        try:
            with torch.inference_mode():
                out = module(torch.zeros(2, channels, side, side))
        except (RuntimeError, ValueError, IndexError):
            continue
        if isinstance(out, Tensor) and out.ndim == 2 and len(out) == 2 and out.is_floating_point():
            return channels, int(out.shape[1])
        raise SynthaugError(f"the TorchScript net {str(path)!r} does not return one vector an image", _HINT)
    raise SynthaugError(f"the TorchScript net {str(path)!r} takes neither 3- nor 1-channel images of {side} px", _HINT)


def _values(given: object, channels: int, path: Path) -> tuple[float, ...]:
    if isinstance(given, (int, float)):
        return (float(given),) * channels
    if isinstance(given, (list, tuple, Tensor)) and len(given) == channels:
        return tuple(float(value) for value in given)
    raise SynthaugError(f"the TorchScript net {str(path)!r} has a mean or std {given!r}", f"give {channels} floats")
