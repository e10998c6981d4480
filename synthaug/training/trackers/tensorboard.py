"""TensorBoard: the curves of a training, in the run's folder `tensorboard`."""

from __future__ import annotations

from typing import Any

from synthaug.runs import Run
from synthaug.training.trackers import Row, numbers


class Board:
    """A tracker: see `synthaug.training.trackers`."""

    def __init__(self, run: Run) -> None:
        from torch.utils.tensorboard import SummaryWriter  # an extra: imported only where it is asked for

        self._writer: Any = SummaryWriter(str(run.path / "tensorboard"))

    def __enter__(self) -> Board:
        return self

    def __exit__(self, *exc: object) -> None:
        self._writer.close()

    def __call__(self, row: Row) -> None:
        for name, value in numbers(row):
            self._writer.add_scalar(name, value, round(row["kimg"] * 1000))
