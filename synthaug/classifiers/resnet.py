"""ResNet-18 [arXiv:1512.03385] of torchvision, from scratch or from ImageNet weights."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torchvision.models import ResNet18_Weights, resnet18
from typing_extensions import Self

from synthaug.classifiers.base import Augment
from synthaug.classifiers.steps import Logits, build, initialise, predict, train
from synthaug.errors import SynthaugError

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_FINE_TUNE_SIDE = 96  # smaller images leave the last stages of the ImageNet network with less than 3×3 positions


class _Small(nn.Module):
    """ResNet-18 with the stem for small images: 3×3, stride 1 and no pooling up to 64 px."""

    def __init__(self, channels: int, resolution: int, num_classes: int) -> None:
        super().__init__()
        self.network = resnet18(weights=None)
        self.network.fc = Logits(self.network.fc.in_features, num_classes)
        if resolution <= 64:
            self.network.conv1 = nn.Conv2d(channels, 64, 3, stride=1 if resolution <= 32 else 2, padding=1, bias=False)
            self.network.maxpool = nn.Identity()
        else:
            self.network.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        return logits


class _FineTuned(nn.Module):
    """ImageNet's ResNet-18, fed with images in [-1, 1] that are made three-channelled and at least 96 px large."""

    mean: Tensor
    std: Tensor

    def __init__(self, num_classes: int, seed: int) -> None:
        super().__init__()
        try:
            weights = ResNet18_Weights.IMAGENET1K_V1.get_state_dict(progress=False, check_hash=True)
        except (OSError, RuntimeError) as error:
            raise SynthaugError(
                f"the ImageNet weights of resnet18 cannot be loaded: {error}",
                "connect once so that torchvision can download them, or use --classifier resnet18, which needs none",
            ) from error
        with torch.device("meta"):
            self.network = resnet18(weights=None)
        self.network.load_state_dict(weights, assign=True)
        with torch.device("meta"):
            head = Logits(self.network.fc.in_features, num_classes)
        self.network.fc = head.to_empty(device="cpu")
        initialise(self.network.fc, torch.Generator().manual_seed(seed))
        self.network.requires_grad_(True)
        self.register_buffer("mean", torch.tensor(_IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(_IMAGENET_STD).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        images = ((images + 1) / 2).expand(-1, 3, -1, -1).sub(self.mean).div(self.std)
        if images.shape[-1] < _FINE_TUNE_SIDE:
            images = nn.functional.interpolate(images, size=_FINE_TUNE_SIDE, mode="bilinear", align_corners=False)
        logits: Tensor = self.network(images.contiguous(memory_format=torch.channels_last))
        return logits


class ResNet18:
    """From scratch, with a small-image stem."""

    uses_steps: ClassVar[bool] = True
    _learning_rate: ClassVar[float] = 1e-3

    def __init__(self, *, device: str = "auto") -> None:
        self.device = device
        self.network: nn.Module | None = None

    def _build(self, channels: int, resolution: int, num_classes: int, seed: int) -> nn.Module:
        return build(lambda: _Small(channels, resolution, num_classes), seed)

    def fit(
        self,
        pixels: npt.NDArray[np.uint8],
        labels: npt.NDArray[np.int64],
        draw_weights: npt.NDArray[np.floating[Any]],
        *,
        num_classes: int,
        loss_weights: npt.NDArray[np.floating[Any]] | None = None,
        steps: int = 600,
        seed: int = 0,
        augment: Augment = "none",
        groups: npt.NDArray[np.int64] | None = None,
    ) -> Self:
        network = self._build(pixels.shape[1], pixels.shape[2], num_classes, seed)
        train(
            network, pixels, labels, draw_weights,
            num_classes=num_classes, loss_weights=loss_weights, steps=steps, seed=seed, augment=augment,
            device=self.device, learning_rate=self._learning_rate,
        )  # fmt: skip
        self.network = network
        return self

    def predict_proba(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        if self.network is None:
            raise RuntimeError("predict_proba before fit")
        return predict(self.network, pixels)


class ResNet18ImageNet(ResNet18):
    """Fine-tuned from ImageNet weights, which torchvision downloads once."""

    _learning_rate: ClassVar[float] = 3e-4

    def _build(self, channels: int, resolution: int, num_classes: int, seed: int) -> nn.Module:
        return _FineTuned(num_classes, seed)
