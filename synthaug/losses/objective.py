"""What an adversarial objective is: two losses on logits, and the regularisers it cannot do without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor


class Objective(Protocol):
    """Losses are minimised; `real` and `fake` are logits float[B, k] of one head."""

    regularizers: Mapping[str, float]  # name → weight, used unless the configuration names its own

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor: ...

    def generator_loss(self, fake: Tensor) -> Tensor: ...
