"""A file or a download is loaded only if a flag of this call names it, never because a run or a recipe does."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from export_material import Means, make_run, save_images, save_net

import synthaug
from synthaug import features
from synthaug.errors import SynthaugError
from synthaug.files import sha256
from synthaug.runs import Run

SMALL = (
    "data.resolution=16", "model.width=8", "model.discriminator_width=8", "training.batch_size=16",
    "monitor.samples_per_class=8", "monitor.every_kimg=1",
)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("foreign") / "data"
    save_images(folder, {"disc": 40, "ring": 40, "stripes": 24})
    return folder


@pytest.fixture
def net(tmp_path: Path) -> Path:
    save_net(tmp_path / "net.pt")
    return tmp_path / "net.pt"


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The nets that were loaded."""
    names: list[str] = []
    load = features._load
    monkeypatch.setattr(features, "_load", lambda name, *rest: (names.append(name), load(name, *rest))[1])
    return names


@pytest.fixture(scope="module")
def run(data: Path) -> Run:
    made = make_run(data, data.parent / "runs", **{"monitor.features": "own"})
    made.set_status(state="interrupted")
    return made


def naming(run: Run, place: Path, features: str) -> Run:
    """A copy of the run whose configuration names another net."""
    copied = Run(place / run.name)
    shutil.copytree(run.path, copied.path)
    tree = yaml.safe_load(run.config_file.read_text())
    tree["config"]["monitor"]["features"] = features
    copied.config_file.write_text(yaml.safe_dump(tree))
    return copied


COMMANDS: dict[str, Callable[..., Any]] = {
    "check": synthaug.check,
    "evaluate": synthaug.evaluate,
    "evaluate --folds": lambda run, **options: synthaug.evaluate(run, folds=2, **options),
    "fit --resume": lambda run, **options: synthaug.fit(run.facts().data, resume=run, **options),
}


@pytest.mark.parametrize(
    ("command", "name"),
    [
        *((command, "net.pt") for command in COMMANDS),
        *(("check", name) for name in ("timm:resnet18", "torchvision:resnet18", "inception")),
    ],
)
def test_a_run_cannot_name_what_is_loaded(
    run: Run, net: Path, tmp_path: Path, loaded: list[str], command: str, name: str
) -> None:
    name = str(net) if name == "net.pt" else name
    with pytest.raises(SynthaugError, match=r"loaded only if you name it") as caught:
        COMMANDS[command](naming(run, tmp_path, name), device="cpu", cache=tmp_path / "cache")
    assert f"--features {name}" in caught.value.hint
    assert loaded == []


def test_nor_can_a_recipe(data: Path, net: Path, tmp_path: Path, loaded: list[str]) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({"monitor": {"features": str(net)}}))
    with pytest.raises(SynthaugError, match=r"recipe\.yaml names the feature net"):
        synthaug.fit(data, config=recipe, runs=tmp_path / "runs", cache=tmp_path / "cache", device="cpu")
    assert loaded == []
    assert not (tmp_path / "runs").exists()


def test_a_flag_names_it_and_the_run_notes_its_hash(data: Path, net: Path, tmp_path: Path) -> None:
    common: dict[str, Any] = {"device": "cpu", "cache": tmp_path / "cache"}
    made = synthaug.fit(data, features=str(net), budget="1kimg", set=SMALL, runs=tmp_path / "runs", **common)
    run = Run(Path(made.run))
    assert run.facts().features_sha256 == sha256(net)
    judged = synthaug.check(run, features=str(net), second_judge="none", count=8, **common)
    assert judged.features.startswith("net.pt@")
    with pytest.raises(SynthaugError, match="loaded only if you name it"):
        synthaug.evaluate(run, folds=2, features="efficientnet_lite0", **common)
    run.set_status(state="interrupted")
    moved = net.rename(tmp_path / "moved.pt")
    synthaug.fit(data, resume=run, features=str(moved), **common)
    run.set_status(state="interrupted")
    torch.jit.script(torch.nn.Sequential(Means(), torch.nn.ReLU())).save(str(net))
    features._load.cache_clear()
    for attempt in (
        lambda: synthaug.check(run, features=str(net), count=8, **common),
        lambda: synthaug.fit(data, resume=run, features=str(net), **common),
    ):
        with pytest.raises(SynthaugError, match="its hash differs"):
            attempt()


def test_a_run_that_continues_keeps_its_own_net(data: Path, run: Run, tmp_path: Path) -> None:
    with pytest.raises(SynthaugError, match="was trained with the feature net 'own', not 'efficientnet_lite0'"):
        synthaug.fit(data, resume=run, features="efficientnet_lite0", device="cpu", cache=tmp_path / "cache")
