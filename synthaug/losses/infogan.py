"""InfoGAN (1606.03657, eq. 5): codes in z that a recogniser Q reads from the image."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional as F

from synthaug.errors import SynthaugError
from synthaug.losses.auxiliary import AuxiliaryHead
from synthaug.models.codes import Codes


class Recogniser(AuxiliaryHead):
    """The loss is −L_I, where L_I = H(c) + E[log Q(c | G(z, c))] is a lower bound, in nats, of the mutual information.

    Q shares the discriminator's body. It gives a distribution over each categorical code, and a mean and a variance of
    each continuous one, which is uniform on [−1, 1].

    Raises:
        SynthaugError: the model has no codes.
    """

    LOG_VARIANCE = (-4.0, 2.0)  # a code that is read perfectly must not drive the likelihood to infinity

    def __init__(self, features: int, classes: int, codes: Codes) -> None:
        super().__init__(features, classes, codes)
        if not codes:
            raise SynthaugError(
                "training.auxiliary has infogan, but the model has no codes",
                "give it some, such as --set model.continuous_codes=2 or --set model.categorical_codes=[10]",
            )
        self._codes = codes
        self.body = nn.Sequential(nn.Linear(features, 128), nn.LeakyReLU(0.1))
        self.categorical = nn.ModuleList(nn.Linear(128, n) for n in codes.categorical)
        self.continuous = nn.Linear(128, 2 * codes.continuous) if codes.continuous else None

    def loss(self, features: Tensor, y: Tensor, z: Tensor | None) -> Tensor:
        assert z is not None  # real images have no codes
        return -self.information(features, z)

    def information(self, features: Tensor, z: Tensor) -> Tensor:
        """The bound L_I, a scalar."""
        choices, values = self._codes.read(z)
        h = self.body(features)
        bound = features.new_zeros(())
        for head, choice in zip(self.categorical, choices, strict=True):
            logits = head(h).float()
            bound = bound + math.log(logits.shape[1]) - F.cross_entropy(logits, choice)
        if self.continuous is not None:
            mean, log_variance = self.continuous(h).float().chunk(2, dim=1)
            likelihood = gaussian(values, mean, log_variance.clamp(*self.LOG_VARIANCE))
            bound = bound + (math.log(2.0) + likelihood).sum(dim=1).mean()
        return bound


def gaussian(x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """log N(x; mean, exp(log_variance)), entry by entry."""
    return -0.5 * ((x - mean).square() * (-log_variance).exp() + log_variance + math.log(2 * math.pi))
