"""ResNet-18 [arXiv:1512.03385] of torchvision, from scratch or from ImageNet weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.models import ResNet18_Weights, resnet18

from synthaug.classifiers.steps import Logits, StepClassifier, build, initialise
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
    """ImageNet's ResNet-18, for images in [-1, 1], which it gives three channels and enlarges to at least 96 px."""

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


class ResNet18(StepClassifier):
    """ResNet-18 from scratch, with a stem for small images."""

    learning_rate = 1e-3
    native_side = 96

    def _build(self, channels: int, resolution: int, num_classes: int, seed: int) -> nn.Module:
        return build(lambda: _Small(channels, resolution, num_classes), seed)


class ResNet18ImageNet(StepClassifier):
    """Fine-tuned from ImageNet weights, which torchvision downloads once."""

    learning_rate = 3e-4
    native_side = _FINE_TUNE_SIDE

    def _build(self, channels: int, resolution: int, num_classes: int, seed: int) -> nn.Module:
        return _FineTuned(num_classes, seed)
