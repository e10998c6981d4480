"""Several processes take the same steps as one, in every game; and a training with several of them through `fit`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from monitor_material import Flat, Painter, digits
from step_material import SETTINGS, assert_close, trained, without_levels

from synthaug import processes
from synthaug.config import MonitorConfig
from synthaug.training.monitor import Monitor


def train_all(fabric: Fabric, folder: Path) -> None:
    with without_levels():
        for name, setting in SETTINGS.items():
            torch.save(trained(setting, fabric), folder / f"{name}-{fabric.world_size}-{fabric.global_rank}.pt")
    score(folder / f"scored-{fabric.world_size}-{fabric.global_rank}")


def score(place: Path) -> None:
    """A score, a grid, and what comes of an error in the last process."""
    Counting.images = 0
    monitor = Monitor(
        digits(0, 40), digits(40, 20), ["1"], MonitorConfig(samples_per_class=20), Counting(), 4, 0, torch.device("cpu")
    )
    row = monitor.score(Painter(digits(80, 60)))
    monitor.save_grid(Painter(digits(80, 60)), place.with_suffix(".png"))
    try:
        processes.divided(range(5), lambda k: 1 // (4 - k))
    except ZeroDivisionError as error:
        torch.save([row, str(error), Counting.images], place.with_suffix(".pt"))


class Counting(Flat):
    """Counts the images that it has seen in this process."""

    images = 0

    def __call__(self, pixels: np.ndarray, *, batch_size: int | None = None) -> np.ndarray:
        Counting.images += len(pixels)
        return super().__call__(pixels)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    train_all(Fabric(accelerator="cpu", devices=1), folder)
    for count in (2, 3):
        Fabric(accelerator="cpu", devices=count, strategy="ddp_fork").launch(train_all, folder)
    return folder


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("name", SETTINGS)
def test_processes_take_the_steps_of_one(name: str, count: int, stored: Path) -> None:
    alone = torch.load(stored / f"{name}-1-0.pt")
    assert_close(alone, [torch.load(stored / f"{name}-{count}-{rank}.pt") for rank in range(count)])


@pytest.mark.parametrize("count", [2, 3])
def test_processes_divide_the_scores_and_the_grid_of_one(count: int, stored: Path) -> None:
    row, error, images = torch.load(stored / "scored-1-0.pt")
    found = [torch.load(stored / f"scored-{count}-{rank}.pt") for rank in range(count)]
    assert [each[:2] for each in found] == [[row, error]] * count
    assert sum(each[2] for each in found) == images
    assert max(each[2] for each in found) < images
    assert (stored / f"scored-{count}-0.png").read_bytes() == (stored / "scored-1-0.png").read_bytes()
    assert not list(stored.glob(f"scored-{count}-[12].png"))
