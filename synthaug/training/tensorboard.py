"""The rows of `metrics.jsonl`, drawn by TensorBoard (`--set training.tensorboard=true`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class Board:
    """A context that is called with each row."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter  # an extra: imported only where it is asked for

        self._writer: Any = SummaryWriter(str(folder))

    def __enter__(self) -> Board:
        return self

    def __exit__(self, *exc: object) -> None:
        self._writer.close()

    def __call__(self, row: dict[str, Any]) -> None:
        images = round(row["kimg"] * 1000)
        for name, value in row.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool) and name != "kimg":
                self._writer.add_scalar(f"{row['kind']}/{name}", value, images)
        for label, scores in row.get("per_class", {}).items():
            for name, value in scores.items():
                if isinstance(value, (int, float)):
                    self._writer.add_scalar(f"{name}/{label}", value, images)
