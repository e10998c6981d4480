"""A net trained on the user's real training images (`own`), for pictures unlike those of ImageNet.

A small residual CNN learns to classify; the 192 averages of its penultimate layer are the features. It is trained on
real training images only, never on val, test or synthetic ones. With few classes or images its features are coarse. Use
it for images unlike ImageNet's (scans, spectra), and as a second, independent opinion.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional as F

from synthaug.device import resolve_device
from synthaug.errors import SynthaugError, plural
from synthaug.features.base import TorchFeatureNet, hash_weights
from synthaug.files import regular, write_tensors
from synthaug.progress import Progress, Silent
from synthaug.seeds import SELF_TRAINED_FEATURES, stream

if TYPE_CHECKING:
    from synthaug.data.cache import LabelledImages

DIM = 192
STEPS = 400
_BATCH = 64
_WIDTHS = (24, 48, 96, DIM)


class _Residual(nn.Module):
    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outside)
        self.skip = nn.Conv2d(inside, outside, 1, stride=2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(h)) + self.skip(x))


class SelfTrainedNet(nn.Module):
    """float [B, C, H, W] in [-1, 1] to features [B, 192]; `head` is used in training only."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, _WIDTHS[0], 3, padding=1)
        self.stages = nn.ModuleList(_Residual(inside, outside) for inside, outside in pairwise(_WIDTHS))
        self.head = nn.Linear(DIM, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        for stage in self.stages:
            x = stage(x)
        return x.mean((2, 3))


def train_features(
    images: LabelledImages, *, seed: int, steps: int = STEPS, device: str = "auto", progress: Progress | None = None
) -> TorchFeatureNet:
    """Train the net on real training images: classes drawn equally often, shifts of up to an eighth of the side.

    Args:
        images: real training images of at least two classes.
        seed: of the initial weights, the draws and the shifts.
        steps: optimiser steps of 64 images.
        device: where it trains and runs.
        progress: where to report.

    Raises:
        SynthaugError: fewer than two classes have images.
    """
    present = np.unique(images.labels)
    if len(present) < 2:
        raise SynthaugError(
            f"the feature net 'own' cannot be trained on {plural(len(present), 'class', 'classes')}",
            "use efficientnet_lite0",
        )
    target = resolve_device(device)
    channels = int(images.pixels.shape[1])
    net = _initialised(channels, len(images.classes), torch.Generator().manual_seed(seed)).to(target).train()
    rng = stream(seed, SELF_TRAINED_FEATURES)
    where = [np.flatnonzero(images.labels == label) for label in present]
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    with (progress or Silent()).task("train own features", steps, "steps") as task:
        for _ in range(steps):
            chosen = np.array([rng.choice(where[c]) for c in rng.integers(len(where), size=_BATCH)])
            x = torch.from_numpy(_shifted(images.pixels[chosen], rng)).to(target).float() / 127.5 - 1
            y = torch.from_numpy(images.labels[chosen]).to(target)
            loss = F.cross_entropy(net.head(net(x)), y, label_smoothing=0.1)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            task.advance()
    return _as_features(net, channels, target)


def save(features: TorchFeatureNet, path: Path) -> None:
    """Write a net that `train_features` made as safetensors.

    Raises:
        SynthaugError: it is another kind of net.
    """
    if not isinstance(features.module, SelfTrainedNet):
        raise SynthaugError(
            f"the feature net {features.name!r} is not one that `train_features` made", "save the net of train_features"
        )
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in features.module.state_dict().items()}
    metadata = {"synthaug": "own-features-1", "channels": str(features.channels)}
    write_tensors(path, state, metadata)


def load(path: Path | None = None, device: str = "auto") -> TorchFeatureNet:
    """Load what `save` wrote.

    Raises:
        SynthaugError: no path was given, or the file is not such a net.
    """
    if path is None:
        raise SynthaugError(
            "the feature net 'own' belongs to a run and has not been trained here", "check a run, not a folder"
        )
    try:
        with safe_open(regular(path), framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        if metadata.get("synthaug") != "own-features-1":
            raise ValueError("not a feature net of synthaug")
        channels = int(metadata["channels"])
        net = SelfTrainedNet(channels, len(state["head.bias"]))
        net.load_state_dict(state)
    except (OSError, SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise SynthaugError(
            f"{str(path)!r} is not a feature net that synthaug saved", "delete it; it is trained again"
        ) from error
    return _as_features(net, channels, resolve_device(device))


def _initialised(channels: int, classes: int, generator: torch.Generator) -> SelfTrainedNet:
    """Build a net whose weights come from `generator` alone; the global random state is not changed."""
    with torch.device("meta"):
        net = SelfTrainedNet(channels, classes)
    net = net.to_empty(device="cpu")
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()  # ones and zeros: nothing random
    return net


def _as_features(net: SelfTrainedNet, channels: int, device: torch.device) -> TorchFeatureNet:
    half = (0.5,) * channels
    return TorchFeatureNet(
        name="own", sha256=hash_weights(net.state_dict()), dim=DIM, module=net, channels=channels, mean=half, std=half,
        device=device,
    )  # fmt: skip


def _shifted(pixels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Move each image by up to an eighth of its side, edges repeated; uint8 [B, C, H, W]."""
    reach = max(1, pixels.shape[-1] // 8)
    padded = np.pad(pixels, ((0, 0), (0, 0), (reach, reach), (reach, reach)), mode="edge")
    height, width = pixels.shape[-2:]
    offsets = rng.integers(0, 2 * reach + 1, size=(len(pixels), 2))
    return np.stack([image[:, y : y + height, x : x + width] for image, (y, x) in zip(padded, offsets, strict=True)])
