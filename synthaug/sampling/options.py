"""What may be asked of sampling beside a class and a number; light, so that a slip is found before torch is there."""

from __future__ import annotations

from synthaug.errors import SynthaugError, suggest

METHODS = ("drs", "top-k")
WAYS = ("codes", "noise", "classes")
"""What a walk through a generator can change."""
KEEP, LEAST = 0.5, 0.02
"""The share of candidates that a selection keeps unless another is asked for, and the smallest that may be."""


def check_truncation(psi: float) -> float:
    """Return ψ if it is a share of a distance, not 0 (which would be one image a class).

    Raises:
        SynthaugError: it is not.
    """
    if not 0 < psi <= 1:
        raise SynthaugError(
            f"truncation {psi:g} is out of range", "give a share above 0 and up to 1, such as 0.7; 1 is no truncation"
        )
    return psi


def check_selection(method: str | None, keep: float | None) -> float:
    """The share that a selection keeps; all without one.

    Raises:
        SynthaugError: there is no such method, the share is out of range, or it stands without a method.
    """
    if method is None:
        if keep is not None:
            raise SynthaugError(f"keep {keep:g} has no meaning without select", f"add --select {' or '.join(METHODS)}")
        return 1.0
    if method not in METHODS:
        raise SynthaugError(f"there is no selection {method!r}", suggest(method, METHODS))
    if keep is not None and not LEAST <= keep <= 1:
        raise SynthaugError(f"keep {keep:g} is out of range", f"give a share from {LEAST} to 1, such as {KEEP}")
    return KEEP if keep is None else keep
