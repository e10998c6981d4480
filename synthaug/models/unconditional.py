"""The family's discriminator without labels; an auxiliary head judges the class (AC-GAN).

1610.09585, §3: the discriminator gives one probability over sources and another over class labels.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from synthaug.config import ModelConfig
from synthaug.models.family import Family, ImageShape


@dataclass
class Blind(Family):
    """A family whose discriminator ignores labels."""

    def set_condition_strength(self, strength: float) -> None:
        super().set_condition_strength(strength)
        self.discriminator.condition_strength.zero_()


def blind(family: Family, shape: ImageShape, config: ModelConfig) -> Family:
    """The same networks. The discriminator's class embeddings are switched off and do not learn."""
    family.discriminator.condition_strength.zero_()
    for module in family.discriminator.modules():
        if isinstance(module, nn.Embedding):
            module.requires_grad_(False)
    return Blind(family.networks, family.players, family.exported, family.step)
