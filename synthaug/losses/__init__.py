"""Adversarial objectives, one file each, and the regularisers that go with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthaug.registry import Registry

if TYPE_CHECKING:
    from synthaug.losses.objective import Objective
    from synthaug.losses.regularizers import Regularizer

OBJECTIVES: Registry[type[Objective]] = Registry(
    "objectives",
    {
        "hinge": "synthaug.losses.hinge:Hinge",
        "non-saturating": "synthaug.losses.non_saturating:NonSaturating",
    },
)
REGULARIZERS: Registry[type[Regularizer]] = Registry(
    "regularizers",
    {
        "r1": "synthaug.losses.regularizers:R1",
        "lecam": "synthaug.losses.regularizers:LeCam",
    },
)
