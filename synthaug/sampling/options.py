"""The ranges of sampling options, without importing torch."""

from __future__ import annotations

from synthaug.errors import SynthaugError

KEEP, LEAST = 0.5, 0.02
"""The default share of candidates that a selection keeps, and the smallest share allowed."""


def check_truncation(psi: float) -> float:
    """Return ψ if it is above 0 and at most 1; 0 would give one image per class.

    Raises:
        SynthaugError: it is not.
    """
    if not 0 < psi <= 1:
        raise SynthaugError(
            f"truncation {psi:g} is out of range", "give a share above 0 and up to 1, such as 0.7; 1 is no truncation"
        )
    return psi
