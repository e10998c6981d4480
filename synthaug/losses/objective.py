"""What an adversarial objective is: two losses on logits, and the regularisers that it needs."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from synthaug.errors import SynthaugError


class Objective:
    """Losses are minimised; `real` and `fake` are logits float[B, k] of one head.

    The class attributes say what an objective needs besides its two losses; most need nothing.
    """

    regularizers: Mapping[str, float] = {}  # name → weight, used unless the configuration names its own
    regularizer_interval: int | None = None  # steps between two penalties; None: each penalty's own
    regularizer_decay: float = 1.0  # factor of the regularisers' weights at the end; they fall by cosine
    real_target: float | None = None  # the label of real images, if the loss has labels; smoothing lowers it
    paired: bool = False  # whether the generator's loss compares with real images
    floor: float | None = 0.0  # lower bound of the discriminator's loss; None: there is none

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        raise NotImplementedError

    def least_loss(self, target: float) -> float | None:
        """The `floor` when real images have this target."""
        return self.floor

    def generator_loss(self, fake: Tensor, real: Tensor) -> Tensor:
        """`real` has no rows unless the objective is `paired`."""
        raise NotImplementedError

    def margin(self, real: Tensor, fake: Tensor) -> Tensor:
        """Positive where the discriminator is right about a real image, float[B, k] (ADA's overfitting sign)."""
        return real


def smoothed(objective: Objective, name: str, smoothing: float) -> Objective:
    """Lower the target of real images by `smoothing`: 0.1 makes it .9 (one-sided label smoothing, 1606.03498 §3.4).

    Raises:
        SynthaugError: the objective has no targets.
    """
    if smoothing:
        if objective.real_target is None:
            raise SynthaugError(
                f"training.label_smoothing = {smoothing:g} has no meaning for {name!r}, which has no targets",
                "take one that has: minimax, non-saturating or least-squares; or leave label_smoothing at 0",
            )
        objective.real_target = 1 - smoothing
        objective.floor = objective.least_loss(1 - smoothing)
    return objective
