"""Whether `torch.compile` pays: it must save more seconds than compiling takes."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Gain:
    """What compiling costs and gives on a kind of device."""

    seconds: float  # until the first compiled step is done
    speedup: float  # compiled steps per eager step in the same time

    @property
    def break_even(self) -> float:
        """Seconds of uncompiled training above which compiling pays.

        >>> round(Gain(seconds=60.0, speedup=1.5).break_even)
        180
        >>> Gain(seconds=60.0, speedup=1.0).break_even
        inf
        """
        return self.seconds / (1 - 1 / self.speedup) if self.speedup > 1 else math.inf


MEASURED: dict[str, Gain] = {"cpu": Gain(seconds=34.0, speedup=1.0)}
"""By device type, see docs/performance.md. It was not measured on a GPU, so `auto` does not compile there."""


def pays(device_type: str, eager_seconds: float) -> bool:
    """Whether to compile a training that would take `eager_seconds` without."""
    return device_type in MEASURED and eager_seconds > MEASURED[device_type].break_even
