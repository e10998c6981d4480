"""Adversarial objectives and auxiliary heads, one file each, and regularisers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthaug.registry import Registry

if TYPE_CHECKING:
    from synthaug.losses.auxiliary import AuxiliaryHead
    from synthaug.losses.objective import Objective
    from synthaug.losses.regularizers import GeneratorRegularizer, Regularizer

OBJECTIVES: Registry[type[Objective]] = Registry(
    "objectives",
    {
        "hinge": "synthaug.losses.hinge:Hinge",
        "non-saturating": "synthaug.losses.non_saturating:NonSaturating",
        "minimax": "synthaug.losses.minimax:Minimax",
        "least-squares": "synthaug.losses.least_squares:LeastSquares",
        "wasserstein": "synthaug.losses.wasserstein:Wasserstein",
        "relativistic": "synthaug.losses.relativistic:Relativistic",
    },
)
REGULARIZERS: Registry[type[Regularizer] | type[GeneratorRegularizer]] = Registry(
    "regularizers",
    {
        "r1": "synthaug.losses.regularizers:R1",
        "r2": "synthaug.losses.regularizers:R2",
        "gradient-penalty": "synthaug.losses.regularizers:GradientPenalty",
        "consistency": "synthaug.losses.regularizers:Consistency",
        "lecam": "synthaug.losses.regularizers:LeCam",
        "conditional-spectral": "synthaug.losses.regularizers:ConditionalSpectral",
        "mode-seeking": "synthaug.losses.regularizers:ModeSeeking",
    },
)
AUXILIARIES: Registry[type[AuxiliaryHead]] = Registry(
    "heads",
    {
        "acgan": "synthaug.losses.acgan:AuxiliaryClassifier",
        "infogan": "synthaug.losses.infogan:Recogniser",
    },
)
