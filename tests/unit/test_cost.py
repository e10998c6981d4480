"""What `fit --dry-run` says of time and memory: operations are counted, and the guess for a GPU follows from them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from export_material import save_images
from torch import nn

from synthaug.pipelines import cost
from synthaug.pipelines.plan_fit import plan_fit
from synthaug.progress import Silent
from synthaug.requests import FitRequest

SMALL = ("data.resolution=16", "model.width=8", "model.discriminator_width=8", "model.embed_dim=8", "model.z_dim=16")


def test_products_and_their_gradients_are_counted() -> None:
    layer, counter = nn.Linear(3, 5), cost._Count()  # type: ignore[no-untyped-call]
    with counter:
        layer(torch.ones(2, 3)).sum().backward()
    assert counter.operations == 2 * (2 * 3 * 5) * 2  # forward, and the gradient of the weight
    assert counter.calls > 2


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cost") / "data"
    save_images(folder, {"common": 40, "rare": 10})
    return folder


def planned(data: Path, *settings: str) -> tuple[float, float, float]:
    """Operations an image, images a second, and memory of the guess for a GPU."""
    request = FitRequest(
        data=data, target_class=["rare"], set=[*SMALL, *settings], device="cpu", budget="1kimg",
        cache=data.parent / "cache", runs=data.parent / "runs",
    )  # fmt: skip
    guess = plan_fit(request, Silent()).guess_for_gpu
    assert guess is not None
    return guess.gigaflops_per_image, guess.images_per_second, guess.memory_megabytes or 0


def test_wider_networks_need_more_and_micro_batches_more_calls(data: Path) -> None:
    narrow, wide = planned(data), planned(data, "model.width=16", "model.discriminator_width=16")
    divided = planned(data, "training.micro_batch_size=4")
    assert 3 < wide[0] / narrow[0] < 5
    assert divided[0] == pytest.approx(narrow[0])
    assert divided[1] == pytest.approx(narrow[1] / 8, rel=0.02)  # so small a network is as slow as its calls


def test_memory_may_be_unknown(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "_reset_peak", lambda: None)
    assert planned(data)[2] == 0
