"""What an export format is, and what it is told before images are generated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # to list the formats needs no torch
    from synthaug.exporters.looks import LookCount


@dataclass(frozen=True)
class Planned:
    """An export of which the real images are known and the synthetic ones are still to be generated."""

    totals: Mapping[str, int]
    """Class → images in `train`, real and synthetic."""
    looks: Mapping[str, Sequence[LookCount]]
    """Class → sizes, colour modes and file formats, which its synthetic images take from real ones."""
    heldout: Sequence[str]
    """`val` and `test`, if their images are exported too."""


def _any(planned: Planned) -> None:
    pass


@dataclass(frozen=True)
class Format:
    """An entry of `FORMATS`."""

    pack: Callable[[Path], None]
    """Converts a finished tree of image folders (train/<class>/*, train/metadata.jsonl) in place.

    Equal trees give equal bytes.
    """
    check: Callable[[Planned], None] = _any
    """Raises a SynthaugError if the format cannot hold such images. It is called before any image is generated."""
