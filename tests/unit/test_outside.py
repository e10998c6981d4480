"""Nothing is written inside a folder of images, by whatever name it is called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from export_material import contents, make_run, save_images

import synthaug
from synthaug.errors import SynthaugError
from synthaug.files import check_outside
from synthaug.pipelines.samples import samples
from synthaug.pipelines.traverse import traverse
from synthaug.runs import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    place = tmp_path_factory.mktemp("outside")
    save_images(place / "data", {"disc": 24, "ring": 24})
    return make_run(place / "data", place / "runs")


def test_links_and_dots_do_not_hide_a_folder(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "cat").mkdir(parents=True)
    (tmp_path / "link").symlink_to(data)
    for inside in (data, data / "a" / "b", tmp_path / "link" / "new", tmp_path / "new" / ".." / "data" / "x"):
        with pytest.raises(SynthaugError, match="lies inside the data folder") as caught:
            check_outside(inside, [None, tmp_path / "gone", data], "--out")
        assert str(inside) in caught.value.message
        assert "--out" in caught.value.hint
    for apart in (tmp_path / "data2", tmp_path, tmp_path / "x" / "data"):
        check_outside(apart, [data], "--out")


def test_a_link_to_itself_is_named(tmp_path: Path) -> None:
    circle = tmp_path / "circle"
    circle.symlink_to(circle)
    for path in (circle, circle / "x"):
        with pytest.raises(SynthaugError, match="links to itself") as caught:
            check_outside(path, [tmp_path], "--out")
        assert str(path) in caught.value.message


COMMANDS: dict[str, Callable[[Run, Path, Path], Any]] = {
    "fit --runs": lambda run, data, place: synthaug.fit(data, runs=place, cache=run.path.parent / "cache"),
    "samples": lambda run, data, place: samples(run, out=place, device="cpu"),
    "traverse": lambda run, data, place: traverse(run, along="noise", out=place / "x.png", device="cpu"),
    "export": lambda run, data, place: synthaug.export(run, per_class=30, out=place, device="cpu"),
    "evaluate": lambda run, data, place: synthaug.evaluate(run, out=place, device="cpu"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_writes_into_the_data(run: Run, command: str) -> None:
    data = run.facts().data
    before = contents(data)
    with pytest.raises(SynthaugError, match="lies inside the data folder"):
        COMMANDS[command](run, data, data / "disc" / "new")
    assert contents(data) == before
