"""Auxiliary classifier (AC-GAN, 1610.09585 §3): real and generated images must both show their class."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from synthaug.losses.auxiliary import AuxiliaryHead
from synthaug.models.codes import Codes


class AuxiliaryClassifier(AuxiliaryHead):
    """L_C = E[−log P(y | x)] on generated images, for the discriminator on real ones too.

    It makes classes distinct and less varied: images near the border to another class are avoided.
    """

    on_real = True
    conditional = True

    def __init__(self, features: int, classes: int, codes: Codes) -> None:
        super().__init__(features, classes, codes)
        self.classifier = nn.Linear(features, classes)

    def loss(self, features: Tensor, y: Tensor, z: Tensor | None) -> Tensor:
        return F.cross_entropy(self.classifier(features).float(), y)
