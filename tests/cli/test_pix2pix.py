"""pix2pix from the command line: from `fit --pairs` to `regenerate`, and what its options refuse."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_material import metadata
from PIL import Image

Synthaug = Callable[..., Any]
Listing = Callable[[Path], dict[str, tuple[int, int]]]
CLASSES = {"cat": 7, "dog": 14, "owl": 14}
SMALL = [
    *("--family", "pix2pix", "--target-class", "cat", "--source-classes", "dog,owl", "--resolution", "16"),
    *("--set", "model.width=4", "--set", "model.discriminator_width=4", "--set", "training.batch_size=8"),
    *("--set", "model.draws_per_source=10", "--budget", "0.1kimg", "--device", "cpu"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, synthaug: Synthaug) -> Path:
    """Images, good and bad maps of them, maps of the user; run 0 on edge maps, run 1 on maps."""
    place = tmp_path_factory.mktemp("pix2pix") / "place"
    rng = np.random.default_rng(0)
    for kind, (name, count) in enumerate(CLASSES.items()):
        (place / "data" / name).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 120, (16, 16), dtype=np.uint8)
            pixels[3 * kind + 2 : 3 * kind + 5] += 130
            Image.fromarray(pixels).save(place / "data" / name / f"{number}.png")
    shutil.copytree(place / "data", place / "maps")
    shutil.copytree(place / "data" / "cat", place / "own" / "cat")
    shutil.copytree(place / "maps", place / "few-maps")
    for number in range(4):
        (place / "few-maps" / "dog" / f"{number}.png").unlink()
    shutil.copytree(place / "maps", place / "wide-maps")
    Image.new("L", (30, 10)).save(place / "wide-maps" / "owl" / "2.png")
    for options in (["--pairs", "edges"], ["--pairs", "maps"]):
        done = synthaug("fit", "data", *SMALL, *options, cwd=place, forked=True)
        assert done.status == 0, done.stderr
    return place


@pytest.mark.parametrize("run", ["0", "1"])
def test_from_samples_to_regenerate(run: str, place: Path, synthaug: Synthaug) -> None:
    def ran(*arguments: str) -> Any:
        done = synthaug(*arguments, "--device", "cpu", "--json", cwd=place, forked=True)
        assert done.status == 0, done.stderr
        return json.loads(done.stdout)

    assert len(ran("samples", run, "--count", "5", "--out", f"samples{run}")["per_class"]["cat"]) == 5
    out = f"out{run}"
    made = ran("export", run, "--per-class", "20", "--no-gate", "--out", out)
    assert {name: c["real"] + c["synthetic"] for name, c in made["per_class"].items()} == dict.fromkeys(CLASSES, 20)
    rows = [row for row in metadata(place / out) if row["synthetic"]]
    assert {row["source_label"] for row in rows if row["label"] == "cat"} == {"dog", "owl"}
    checked = ran("regenerate", out)
    assert checked["equal"] == checked["rows"] == len(rows)


def test_own_maps_are_painted(place: Path, synthaug: Synthaug) -> None:
    painting = ["export", "1", "--per-class", "cat=20", "--inputs", "own", "--no-gate", "--out", "painted"]
    done = synthaug(*painting, "--device", "cpu", cwd=place, forked=True)
    assert done.status == 0, done.stderr
    assert {row["mode"] for row in metadata(place / "painted") if row["synthetic"]} == {"inputs"}
    done = synthaug("regenerate", "painted", "--device", "cpu", cwd=place, forked=True)
    assert "0 different" in done.stdout
    looking = ["samples", "1", "--count", "9", "--inputs", "own", "--out", "looked-at", "--device", "cpu"]
    done = synthaug(*looking, cwd=place, forked=True)
    assert done.status == 0, done.stderr
    assert "cat: 9 images" in done.stdout
    shown = np.asarray(Image.open(place / "looked-at" / "grid.png").convert("L"))
    own = np.kron(np.asarray(Image.open(place / "own" / "cat" / "0.png")), np.ones((4, 4)))  # enlarged in the picture
    windows = np.lib.stride_tricks.sliding_window_view(shown, own.shape)
    assert (windows == own).all((-1, -2)).any()  # the map stands above what it became


@pytest.mark.parametrize(
    ("command", "says", "hint"),
    [
        ("fit data --pairs edges", "model.pairs (flag) is an option of pix2pix", "--family pix2pix"),
        ("fit data --family pix2pix --pairs mpas", "no folder of maps", "--pairs edges"),
        ("fit data --family pix2pix --pairs few-maps", "4 of 35 images with no map", "dog/0.png"),
        ("fit data --family pix2pix --pairs wide-maps", "'owl/2.png' has 30x10 pixels, its image 16x16", "cut or pad"),
        ("fit data --family pix2pix --pairs few-maps --dry-run", "4 of 35 images", "--pairs edges"),
        ("fit data --resume 1 --pairs edges", "--pairs was given", "leave the other settings out"),
        ("export 1 --inputs onw --out new", "no folder of maps 'onw'", "DIR/CLASS"),
        ("export 1 --inputs own --mode vary --out new", "--inputs and --mode contradict", "leave one"),
        ("samples 1 --inputs own --mode vary", "--inputs and --mode contradict", "leave one"),
        ("samples 1 --inputs own --class dog", "no maps of the class 'dog' in", "--class cat"),
        ("export 1 --inputs own --per-class 20 --out new", "classes to fill up without maps", "--per-class cat=20"),
    ],
)
def test_bad_input_is_one_error_and_writes_nothing(
    command: str, says: str, hint: str, place: Path, synthaug: Synthaug, listing: Listing
) -> None:
    before = listing(place)
    done = synthaug(*command.split(), cwd=place, forked=True)
    assert done.status == 2
    (error,), (advice,) = done.lines("error: "), done.lines("hint: ")
    assert says in error
    assert hint in advice
    assert done.stdout == ""
    assert listing(place) == before


def test_without_the_folder_of_maps_nothing_is_exported(place: Path, synthaug: Synthaug, listing: Listing) -> None:
    (place / "maps").rename(place / "moved")
    before = listing(place)
    done = synthaug("export", "1", "--per-class", "20", "--out", "new", cwd=place, forked=True)
    assert done.status == 2
    assert "with the maps of the run" in done.lines("error: ")[0]
    assert "put it back" in done.lines("hint: ")[0]
    assert listing(place) == before
    (place / "moved").rename(place / "maps")
