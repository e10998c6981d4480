"""ResNet-18 [arXiv:1512.03385] of torchvision, trained from scratch."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models import resnet18

from synthaug.classifiers.steps import Logits, StepClassifier, build


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


class ResNet18(StepClassifier):
    """ResNet-18 from scratch, with a stem for small images."""

    learning_rate = 1e-3
    native_side = 96

    def _build(self, channels: int, resolution: int, num_classes: int, seed: int) -> nn.Module:
        return build(lambda: _Small(channels, resolution, num_classes), seed)
