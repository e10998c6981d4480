"""Tools that follow a training from outside: each gets the rows of `metrics.jsonl` while they are written.

A tracker is a class that is made with the run. It is a context, from the beginning to the end of a training, and is
called with each row. A training that continues opens it again for the same run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Protocol

from synthaug.registry import Registry
from synthaug.runs import Run

Row = Mapping[str, Any]


class Tracker(AbstractContextManager["Tracker"], Protocol):
    """Follows one training."""

    def __init__(self, run: Run) -> None: ...

    def __call__(self, row: Row) -> None: ...


TRACKERS: Registry[type[Tracker]] = Registry(
    "trackers",
    {
        "tensorboard": "synthaug.training.trackers.tensorboard:Board",
        "mlflow": "synthaug.training.trackers.mlflow:Experiment",
    },
)


@contextmanager
def tracking(names: Sequence[str], run: Run) -> Iterator[Callable[[Row], None]]:
    """Open these trackers for a run; yields what gives a row to all of them."""
    with ExitStack() as opened:
        trackers = [opened.enter_context(TRACKERS.get(name)(run)) for name in names]

        def give(row: Row) -> None:
            for tracker in trackers:
                tracker(row)

        yield give


def numbers(row: Row) -> Iterator[tuple[str, float]]:
    """The numbers in a row under the names that trackers show: `step/loss_d`, `monitor/score`, `kid/CLASS`.

    >>> list(numbers({"kind": "monitor", "kimg": 1.0, "score": 0.5, "best": True, "per_class": {"a": {"kid": 0.1}}}))
    [('monitor/score', 0.5), ('kid/a', 0.1)]
    """
    for name, value in row.items():
        if _is_number(value) and name != "kimg":
            yield f"{row['kind']}/{name}", value
    for label, scores in row.get("per_class", {}).items():
        for name, value in scores.items():
            if _is_number(value):
                yield f"{name}/{label}", value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
