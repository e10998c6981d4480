"""Several processes take the same steps as one, in every game; and a training with several of them through `fit`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from step_material import SETTINGS, assert_close, trained, without_levels


def train_all(fabric: Fabric, folder: Path) -> None:
    with without_levels():
        for name, setting in SETTINGS.items():
            torch.save(trained(setting, fabric), folder / f"{name}-{fabric.world_size}-{fabric.global_rank}.pt")


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
