"""All auxiliary heads of a training together: their weighted losses for discriminator and generator."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from synthaug.errors import SynthaugError
from synthaug.losses import AUXILIARIES
from synthaug.losses.auxiliary import AuxiliaryHead
from synthaug.models.codes import Codes
from synthaug.models.family import Discriminator, Family, ImageShape
from synthaug.models.inputs import Inputs


class Heads(nn.Module):
    """All auxiliary heads of a training with their weights."""

    def __init__(self, heads: Mapping[str, AuxiliaryHead], weights: Mapping[str, float]) -> None:
        super().__init__()
        self.heads = nn.ModuleDict(heads)
        self._weights = dict(weights)

    def discriminator_loss(self, features: Tensor, inputs: Inputs, strength: float) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum, and each head's own loss.

        Args:
            features: of the real images, then of the generated ones, float[2B, F].
            inputs: of the generated half; the real half has the same labels.
            strength: how much of the class condition counts, 0 to 1.
        """
        real, fake = features.chunk(2)
        losses = {}
        for name, head in self._named():
            losses[name] = head.loss(fake, inputs.labels, inputs.z)
            if head.on_real:
                losses[name] = losses[name] + head.loss(real, inputs.labels, None)
        return self._sum(losses, features, strength)

    def generator_loss(self, features: Tensor, inputs: Inputs, strength: float) -> tuple[Tensor, dict[str, Tensor]]:
        """As `discriminator_loss`, with the features of generated images only, float[B, F]."""
        losses = {name: head.loss(features, inputs.labels, inputs.z) for name, head in self._named()}
        return self._sum(losses, features, strength)

    def _named(self) -> list[tuple[str, AuxiliaryHead]]:
        return [(name, head) for name, head in self.heads.items() if isinstance(head, AuxiliaryHead)]

    def _sum(self, losses: Mapping[str, Tensor], features: Tensor, strength: float) -> tuple[Tensor, dict[str, Tensor]]:
        total = features.new_zeros(())
        for name, head in self._named():
            total = total + self._weights[name] * (strength if head.conditional else 1.0) * losses[name]
        return total, {name: loss.detach() for name, loss in losses.items()}


def build_heads(weights: Mapping[str, float], family: Family, shape: ImageShape, codes: Codes) -> Heads | None:
    """The heads named in `weights` for a family's discriminator; None without any.

    Raises:
        SynthaugError: a head is unknown, the family's discriminator has no features to show, or codes are missing.
    """
    wanted = {name: weight for name, weight in weights.items() if weight}
    if not wanted:
        return None
    if type(family.discriminator).examine is Discriminator.examine:
        raise SynthaugError(
            f"training.auxiliary has {', '.join(wanted)}, but this family's discriminator shows no features",
            "leave training.auxiliary out, or use --family dcgan",
        )
    size = _feature_size(family.discriminator, shape)
    heads = {name: AUXILIARIES.get(name)(size, shape.classes, codes) for name in wanted}
    return Heads(heads, wanted)


@torch.no_grad()
def _feature_size(discriminator: Discriminator, shape: ImageShape) -> int:
    training = discriminator.training
    discriminator.eval()  # spectral norm must not take a step for a look
    blank = torch.zeros(2, shape.channels, shape.resolution, shape.resolution)
    y = torch.zeros(2, 1 + shape.attributes) if shape.attributes else torch.zeros(2, dtype=torch.int64)
    _, features = discriminator.examine(blank, y)
    discriminator.train(training)
    return features.shape[1]
