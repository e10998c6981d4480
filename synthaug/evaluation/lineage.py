"""The training images of the earlier runs whose weights a fine-tuned generator started from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from synthaug.data.split import Split, SplitRow
from synthaug.errors import SynthaugError
from synthaug.runs import Run


@dataclass(frozen=True)
class Learnt:
    """Images that a training has seen: `rows` of train and val below `data`. `name` is for messages."""

    name: str
    data: Path
    rows: Sequence[SplitRow]


def ancestors(run: Run) -> tuple[list[Learnt], list[str]]:
    """The images of the runs that this one started from, the latest first, and warnings where one cannot be read."""
    found: list[Learnt] = []
    passed = {run.path.resolve()}
    here = run
    while start := here.facts().started_from:
        before = Run(start.run)
        if before.path in passed:  # another run has taken the place of an ancestor
            break
        passed.add(before.path)
        try:
            split = Split.read(before.split_file)
            data = before.facts().data
        except SynthaugError:
            return found, [
                f"the run {here.name!r} started from {str(before.path)!r}, which cannot be read: the generator may "
                "have seen the test images"
            ]
        rows = [*split.of("train"), *split.of("val")]
        found.append(Learnt(f"the run {before.name!r}, from which its weights came", data, rows))
        here = before
    return found, []
