"""A metric: a function that computes a score, and how the console and the report show that score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import cleandoc
from typing import Any

from synthaug.documents import Score

Measure = Callable[[Any], Score | None]
"""Takes a `synthaug.metrics.context.ClassContext`, and if `pooled` also an `AllClassesContext`."""


@dataclass(frozen=True, slots=True)
class Metric:
    """An entry of `METRICS`."""

    heading: str
    explanation: str
    """One sentence: what it is, and whether higher is better."""
    measure: Measure
    """Returns None if there are too few images."""
    pooled: bool
    """Whether it is also measured on all classes together."""
    decimals: int
    chart: str
    """Heading of its chart in the report; empty: no chart, and no column in `report.md`."""
    unit_interval: bool
    """Whether the chart's axis is 0 to 1."""
    column: str
    """Heading of its column in `synthaug check`; empty: no column."""
    floor_column: str
    """Heading of its floor's column there; empty: no column."""


def metric(
    heading: str,
    *,
    pooled: bool = True,
    decimals: int = 3,
    chart: str = "",
    unit_interval: bool = False,
    column: str = "",
    floor_column: str = "",
) -> Callable[[Measure], Metric]:
    """Make a metric from a function; the first line of its docstring is the explanation. Arguments: see `Metric`."""

    def made(measure: Measure) -> Metric:
        explanation = cleandoc(measure.__doc__ or "").partition("\n")[0]
        return Metric(heading, explanation, measure, pooled, decimals, chart, unit_interval, column, floor_column)

    return made
