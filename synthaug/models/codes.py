"""InfoGAN's codes (1606.03657 §4) as the first entries of z: categorical ones, and continuous ones in [−1, 1]."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synthaug.config import ModelConfig
from synthaug.models.inputs import Inputs
from synthaug.models.options import CodeOptions


@dataclass(frozen=True)
class Codes:
    """Which entries of z are codes: first a block of n for each categorical code, then one for each continuous code.

    z stays standard normal noise, so sampling needs no code of its own: the largest entry of a block is the choice, all
    choices being equally likely, and a continuous code is 2 Φ(z) − 1, uniform on [−1, 1].
    """

    categorical: tuple[int, ...] = ()
    continuous: int = 0

    def __bool__(self) -> bool:
        return bool(self.categorical) or self.continuous > 0

    def __len__(self) -> int:
        return len(self.categorical) + self.continuous

    @property
    def size(self) -> int:
        """How many entries of z they take."""
        return sum(self.categorical) + self.continuous

    def read(self, z: Tensor) -> tuple[list[Tensor], Tensor]:
        """The codes in z float[B, z_dim]: a choice int64[B] for each categorical code, values float[B, continuous]."""
        blocks = torch.split(z[:, : sum(self.categorical)], list(self.categorical), dim=1) if self.categorical else ()
        values = torch.erf(z[:, sum(self.categorical) : self.size] / math.sqrt(2))
        return [block.argmax(dim=1) for block in blocks], values

    def encode(self, z: Tensor) -> Tensor:
        """The generator's z, float[B, z_dim]: one-hot choices, values in [−1, 1], then the noise."""
        choices, values = self.read(z)
        hot = [F.one_hot(c, n).to(z.dtype) for c, n in zip(choices, self.categorical, strict=True)]
        return torch.cat([*hot, values, z[:, self.size :]], dim=1)

    def encoded(self, inputs: Inputs) -> Inputs:
        """The inputs with their codes encoded."""
        return inputs._replace(z=self.encode(inputs.noise))

    def put(self, z: Tensor, code: int, value: float) -> Tensor:
        """A copy of z in which one code has a value: the number of the choice, or a value in [−1, 1].

        >>> codes = Codes((3,), 1)
        >>> z = codes.put(codes.put(torch.zeros(1, 5), code=0, value=2), code=1, value=-0.5)
        >>> [round(entry, 4) for entry in codes.encode(z)[0].tolist()]
        [0.0, 0.0, 1.0, -0.5, 0.0]
        """
        z = z.clone()
        if code < len(self.categorical):
            start = sum(self.categorical[:code])
            z[:, start + int(value)] = z[:, start : start + self.categorical[code]].amax(dim=1) + 1
        else:
            where = sum(self.categorical) + code - len(self.categorical)
            z[:, where] = math.sqrt(2) * torch.erfinv(torch.tensor(value, dtype=torch.float64)).to(z.dtype)
        return z

    def values(self, code: int, steps: int) -> Sequence[float]:
        """All choices of a categorical code; `steps` values of a continuous one, −.98 to .98 (±1 lie at infinity)."""
        if code < len(self.categorical):
            return range(self.categorical[code])
        return [round(float(v), 6) for v in torch.linspace(-0.98, 0.98, steps)]

    def attach(self, generator: nn.Module) -> None:
        """Make a generator encode its z before each forward pass."""
        if self:
            # a pre-hook returns all arguments as a tuple, here of one `Inputs`
            generator.register_forward_pre_hook(lambda _, arguments: (self.encoded(*arguments),))


def codes_of(config: ModelConfig) -> Codes:
    """The codes that the options of a family name; none for families without codes."""
    if not isinstance(config, CodeOptions):
        return Codes()
    return Codes(tuple(config.categorical_codes), config.continuous_codes)
