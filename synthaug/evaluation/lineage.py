"""What a generator learnt from beside its run's own images: those of the runs that its weights came from (`--from`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from synthaug.data.split import Split, SplitRow
from synthaug.errors import SynthaugError
from synthaug.runs import Run


@dataclass(frozen=True)
class Learnt:
    """Images that a training has seen."""

    name: str  # of what was trained, in words
    data: Path
    rows: Sequence[SplitRow]  # of train and val


def ancestors(run: Run) -> tuple[list[Learnt], list[str]]:
    """What the runs before this one have seen, the nearest first, and warnings where that cannot be known."""
    found: list[Learnt] = []
    passed = {run.path.resolve()}
    here = run
    while start := here.facts().started_from:
        before = Run(start.run)
        if before.path in passed:  # a folder that took an ancestor's place
            break
        passed.add(before.path)
        try:
            split = Split.read(before.split_file)
            data = before.facts().data
        except SynthaugError:
            return found, [
                f"the run {here.name!r} began from the weights of {str(before.path)!r}, which is gone or cannot be "
                "read: whether the generator saw the test images cannot be known"
            ]
        rows = [*split.of("train"), *split.of("val")]
        found.append(Learnt(f"the run {before.name!r}, that its weights came from", data, rows))
        here = before
    return found, []
