"""The maps that an export paints, where they are a user's."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from synthaug.data.plan import ClassPlan
from synthaug.errors import SynthaugError, plural
from synthaug.exporters import real
from synthaug.files import check_outside
from synthaug.progress import Progress
from synthaug.sampling.generate import SeededGenerator


def check_maps(
    sampler: SeededGenerator, plans: Mapping[str, ClassPlan], data: Path, out: Path, progress: Progress
) -> None:
    """Compare the maps to paint with their hashes; those that were drawn from real images are checked with these.

    Raises:
        SynthaugError: one is missing or has changed, or a class that gets images has none.
    """
    sources = sampler.trained.sources
    if sources is None:
        return
    filled = [label for label, wanted in plans.items() if wanted.generate]
    without = [label for label in filled if sampler.class_index(label) not in sources.images.rows]
    if without:
        one = next((f"{label}={plans[label].want}" for label in filled if label not in without), "CLASS=N")
        raise SynthaugError(
            f"{plural(len(without), 'class', 'classes')} to fill up without maps in {str(sources.folder)!r}: "
            f"{', '.join(map(repr, without))}",
            f"add DIR/CLASS with maps of each, or name the classes to fill up: --per-class {shlex.quote(one)}",
        )
    if sources.folder != data:
        check_outside(out, [sources.folder], "--out")
        real.verify(sources.folder, sources.rows, "maps", progress)
