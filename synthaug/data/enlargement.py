"""How much an export enlarges what the generator has made."""

from synthaug.config import Fit

NOTICED = 1.5
"""A larger enlargement is warned of: beside sharp images, its blur can be seen."""


def enlargement(width: int, height: int, fit: Fit, resolution: int) -> float:
    """How many times larger than the generator's pixels those of an exported image are; below 1 it is reduced.

    >>> enlargement(300, 240, "pad", 32), enlargement(300, 240, "crop", 32)
    (9.375, 7.5)
    """
    return (min if fit == "crop" else max)(width, height) / resolution
