"""Whether `torch.compile` pays: the seconds that compiling takes against the seconds that it saves."""

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
        """Seconds of uncompiled training from which on compiling pays.

        >>> Gain(seconds=60.0, speedup=1.5).break_even
        180.0
        >>> Gain(seconds=60.0, speedup=1.0).break_even
        inf
        """
        return self.seconds / (1 - 1 / self.speedup) if self.speedup > 1 else math.inf


MEASURED: dict[str, Gain] = {"cpu": Gain(seconds=34.0, speedup=1.0)}
"""By device type. docs/performance.md says how; on a GPU nobody has measured it yet, so `auto` leaves it out there."""


def pays(device_type: str, eager_seconds: float) -> bool:
    """Whether to compile for a training that would take `eager_seconds` as it is."""
    return device_type in MEASURED and eager_seconds > MEASURED[device_type].break_even
