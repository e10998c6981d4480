"""What generated images are told beside their class: as training images of it are, as the user asks, or balanced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthaug.data.attributes import check_divides, number_in
from synthaug.data.conditions import Conditions
from synthaug.documents import CombinationPlan, ConditionPlan
from synthaug.errors import SynthaugError, suggest
from synthaug.models.inputs import CHUNK, AttributePart, Attributes, Sources


@dataclass(frozen=True)
class RunAttributes:
    """The attributes of a run's images, and the plan that they follow."""

    images: Attributes
    conditions: Conditions
    plan: ConditionPlan

    @classmethod
    def of(
        cls, conditions: Conditions, plan: ConditionPlan | None = None, sources: Sources | None = None
    ) -> RunAttributes:
        """Attributes that follow a plan; without one, each image has those of a training image of its class.

        Columns that the plan gives no value for come from the images of the class that are most like what it asks for;
        where a generator starts from images, `sources`, from these, so that one thing changes and the rest is kept.
        With combinations they come from images of the combination.
        """
        plan = plan or ConditionPlan()
        given = conditions.vector(plan.where, elsewhere=np.nan)
        parts = {}
        for index, label in enumerate(conditions.classes):
            rows = conditions.nearest(label, plan.where)
            parts[index] = [AttributePart(1.0, rows if len(rows) else np.arange(len(conditions.labels)), given)]
        for label, combinations in plan.combinations.items():
            parts[conditions.classes.index(label)] = [
                AttributePart(float(one.wanted), of_combination(conditions, label, one.values), given)
                for one in combinations
                if one.wanted
            ]
        images = Attributes(conditions.vectors, parts, None if plan.combinations else sources)
        return cls(images, conditions, plan)

    def told(self, seed: int, label: str, count: int) -> list[dict[str, str]]:
        """Column → value of the first images of a class."""
        drawn = self.images.drawn(seed, self.conditions.classes.index(label), range(count))
        return [self._told(row) for _, row in drawn]

    def _told(self, row: int) -> dict[str, str]:
        """What is true of a training image, but for what the plan asks."""
        return {**self.conditions.of(int(self.conditions.train[row])), **self.plan.where}

    def rows(self, seed: int, label: str, chunk: int) -> list[dict[str, Any]]:
        """What rows of `metadata.jsonl` say of the images of a chunk [64]: their conditions and combination."""
        images = range(chunk * CHUNK, (chunk + 1) * CHUNK)
        planned = [one for one in self.plan.combinations.get(label, []) if one.wanted]
        unseen = bool(self.plan.where) and not self.conditions.seen(label, self.plan.where)
        found = []
        for part, row in self.images.drawn(seed, self.conditions.classes.index(label), images):
            found.append(
                {
                    "conditions": in_text(self._told(row)),
                    "combination": in_text(planned[part].values) if planned else "",
                    "extrapolated": unseen,
                }
            )
        return found


def check_column(told: RunAttributes | None, name: str, run: str) -> None:
    """Check that a walk can go along a condition.

    Raises:
        SynthaugError: the run has no such condition, or it is a text.
    """
    known = [] if told is None else [c.name for c in told.conditions.columns if c.kind != "text"]
    if name not in known:
        raise SynthaugError(
            f"--along {name}: the run {run!r} has no such condition to walk along",
            suggest(name, ["codes", "noise", "classes", *known]),
        )


def values_of(told: RunAttributes, name: str, label: str, steps: int) -> list[str]:
    """The values of a walk: all categories, or so many numbers from the lowest to the highest of a class.

    Where its training images have fewer than two different numbers, those of all classes count.
    """
    conditions = told.conditions
    column = next(column for column in conditions.columns if column.name == name)
    if column.kind == "category":
        return list(column.values)
    texts = [conditions.texts[name][k] for k in conditions.train]
    numbers = np.array([np.nan if (n := number_in(text)) is None else n for text in texts])
    own = numbers[conditions.like(label, {})]
    given = own if len(np.unique(own[~np.isnan(own)])) > 1 else numbers
    return [f"{value:.6g}" for value in np.linspace(np.nanmin(given), np.nanmax(given), steps)]


def in_text(values: Mapping[str, str]) -> str:
    """Conditions as `--where` takes them."""
    return ",".join(f"{name}={value}" for name, value in values.items())


def balanced(
    conditions: Conditions | None, names: Sequence[str], real: Mapping[str, int], generate: Mapping[str, int], run: str
) -> dict[str, list[CombinationPlan]]:
    """Class → how many images of each combination of values to make, so that the smallest combinations come first.

    Only combinations that training images of the class have are filled up.

    Args:
        conditions: of the run.
        names: the columns to balance; numbers count by their ranges.
        real: class → real images that stay.
        generate: class → images to make.
        run: its name, for errors.

    Raises:
        SynthaugError: the run has no such condition, or it has too many values.
    """
    known = [] if conditions is None else conditions.names
    for name in names:
        if name not in known:
            hint = suggest(name, known) if known else "train with: synthaug fit DATA --condition COLUMN"
            raise SynthaugError(f"--balance {name}: the run {run!r} has no such condition", hint)
    assert conditions is not None
    columns = {name: conditions.summaries[name] for name in names}
    check_divides(columns, names, "--balance")
    found = {}
    for label, count in generate.items():
        if count == 0:
            continue
        of_class = conditions.like(label, {})
        values = {tuple(columns[name].values[k] for name in names) for k in of_class.tolist()}
        ordered = [one for one in product(*(columns[name].ordered for name in names)) if one in values]
        combinations = [dict(zip(names, one, strict=True)) for one in ordered]
        counts = np.array([len(of_combination(conditions, label, one)) if real[label] else 0 for one in combinations])
        found[label] = [
            CombinationPlan(values=one, real=int(n), wanted=int(more))
            for one, n, more in zip(combinations, counts, filled_up(counts, count), strict=True)
        ]
    return found


def filled_up(counts: NDArray[np.int64], more: int) -> NDArray[np.int64]:
    """How many of `more` go to each count, the smallest first, so that they become as equal as possible.

    >>> filled_up(np.array([50, 3, 10]), 20)
    array([ 0, 14,  6])
    """
    order = np.argsort(counts, kind="stable")
    ascending = counts[order]
    levels = [(ascending[: k + 1].sum() + more) / (k + 1) for k in range(len(counts))]
    level = min(levels)
    added: NDArray[np.int64] = np.floor(np.maximum(level - counts, 0)).astype(np.int64)
    for k in order[: more - int(added.sum())]:
        added[k] += 1
    return added


def of_combination(conditions: Conditions, label: str, values: Mapping[str, str]) -> NDArray[np.int64]:
    """The rows of `Conditions.vectors` of a class and a combination of values or ranges."""
    rows = conditions.like(label, {})
    for name, value in values.items():
        rows = rows[[conditions.summaries[name].values[k] == value for k in rows.tolist()]]
    return rows
