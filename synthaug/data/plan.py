"""How many images each class keeps and how many are generated: `--per-class`, `--strategy`, `--target-class`.

The vocabulary of strategies is imbalanced-learn's (https://imbalanced-learn.org, `sampling_strategy`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from synthaug.errors import SynthaugError, suggest

Strategy = Literal["all", "not majority", "not minority", "minority", "auto"]
RARE_BELOW = 0.5  # of the mean class size


@dataclass(frozen=True)
class ClassPlan:
    """One class of a plan: `keep` of `have` real images are kept, `generate` are added, and `want` is the total."""

    label: str
    have: int
    want: int
    keep: int
    generate: int


def rare_classes(counts: Mapping[str, int]) -> list[str]:
    """The classes smaller than half the mean class, rarest first; if there are none, the smallest class.

    >>> rare_classes({"common": 300, "also": 280, "rare": 25})
    ['rare']
    >>> rare_classes({"a": 100, "b": 90})
    ['b']
    """
    if not counts:
        return []
    by_size = sorted(counts, key=lambda label: (counts[label], label))
    limit = RARE_BELOW * sum(counts.values()) / len(counts)
    return [label for label in by_size if counts[label] < limit] or by_size[:1]


def check_targets(targets: str | Sequence[str], counts: Mapping[str, int]) -> list[str]:
    """The classes that `--target-class` names; "auto" alone means `rare_classes`.

    Raises:
        SynthaugError: there is no such class, or none was given.
    """
    names = [targets] if isinstance(targets, str) else list(targets)
    if names == ["auto"] and "auto" not in counts:
        return rare_classes(counts)
    if not names:
        raise SynthaugError("no target class was given", f"give one, or auto; {suggest('', counts)}")
    for name in names:
        if name not in counts:
            raise SynthaugError(f"there is no class {name!r}", suggest(name, counts))
    return list(dict.fromkeys(names))


def plan(
    counts: Mapping[str, int],
    *,
    per_class: int | Mapping[str, int] | None,
    strategy: Strategy = "all",
    cap: bool = False,
    synthetic_only: bool = False,
) -> dict[str, ClassPlan]:
    """Plan the images of each class.

    >>> plan({"cat": 300, "dog": 20}, per_class=100)["dog"]
    ClassPlan(label='dog', have=20, want=100, keep=20, generate=80)

    Args:
        counts: class → real training images.
        per_class: the total of every class that `strategy` picks, or of the named classes; None: the largest class.
        strategy: `all`; `not majority` (or `auto`): all but the largest; `not minority`: all but the smallest;
            `minority`: only the smallest. Classes of equal size are picked together. The others are not changed.
        cap: a picked class with more real images than its total keeps only that many.
        synthetic_only: keep no real images, and generate the whole total of the picked classes only.

    Raises:
        SynthaugError: there is no class, or no class of a given name.
    """
    if not counts:
        raise SynthaugError("there is no class to plan for", "give a folder with at least two classes")
    totals = _totals(counts, per_class, strategy)
    plans = {}
    for label, have in counts.items():
        total = totals.get(label)
        if synthetic_only:
            keep, generate = 0, total or 0
        elif total is None:
            keep, generate = have, 0
        else:
            keep, generate = min(have, total) if cap else have, max(0, total - have)
        plans[label] = ClassPlan(label, have, keep + generate, keep, generate)
    return plans


def _totals(counts: Mapping[str, int], per_class: int | Mapping[str, int] | None, strategy: Strategy) -> dict[str, int]:
    """Class → total, for the classes that are picked."""
    if isinstance(per_class, Mapping):
        for label in per_class:
            if label not in counts:
                raise SynthaugError(f"there is no class {label!r}", suggest(label, counts))
        return dict(per_class)
    largest, smallest = max(counts.values()), min(counts.values())
    total = largest if per_class is None else per_class
    picked = list(counts)
    if strategy in ("not majority", "auto"):
        picked = [label for label in counts if counts[label] < largest]
    elif strategy == "not minority":
        picked = [label for label in counts if counts[label] > smallest]
    elif strategy == "minority":
        picked = [label for label in counts if counts[label] == smallest]
    return dict.fromkeys(picked, total)
