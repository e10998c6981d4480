"""Maps of images: which map belongs to which image, and what is wrong with those that do not fit."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from export_material import CLASSES, save_images
from listener import Listener
from PIL import Image

from synthaug.config import Config, validate
from synthaug.data.maps import own_maps, paired_maps
from synthaug.data.run_data import RunData
from synthaug.errors import SynthaugError
from synthaug.progress import Silent

COUNTS = {CLASSES[0]: 6, CLASSES[1]: 6}
GREY: Config = validate({"data": {"resolution": 16, "channels": 1}})


def draw(folder: Path, images: Path, side: int = 32, suffix: str = ".png", colour: bool = False) -> None:
    """A map for each image: the image's first pixel decides how bright it is."""
    for image in sorted(images.rglob("*.png")):
        level = int(np.asarray(Image.open(image)).flat[0])
        path = folder / image.relative_to(images).with_suffix(suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB" if colour else "L", (side, side), (level, 0, 90) if colour else level).save(path)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("maps")
    save_images(place / "data", COUNTS)
    draw(place / "maps", place / "data")
    return place


@pytest.fixture
def maps(place: Path, tmp_path: Path) -> Path:
    """Maps to spoil."""
    return Path(shutil.copytree(place / "maps", tmp_path / "maps"))


def data(place: Path, config: Config = GREY) -> RunData:
    return RunData.of_folder(place / "data", CLASSES[1], config, cache=place / "cache", progress=Silent())


def pair(place: Path, maps: Path, config: Config = GREY, progress: Silent = Silent()) -> list[tuple[str, str]]:
    of = data(place, config)
    rows = paired_maps(maps, of, place / "cache", progress).rows
    assert [(row.label, row.group, row.split) for row in rows] == [(r.label, r.group, r.split) for r in of.split.rows]
    return [(image.path, row.path) for image, row in zip(of.split.rows, rows, strict=True)]


def test_a_map_has_the_path_of_its_image_with_any_suffix(place: Path, tmp_path: Path) -> None:
    assert all(image == map_ for image, map_ in pair(place, place / "maps"))
    draw(tmp_path / "bmp", place / "data", suffix=".bmp")
    assert all(map_ == image.replace(".png", ".bmp") for image, map_ in pair(place, tmp_path / "bmp"))


def test_images_without_a_map_are_counted_and_named(place: Path, maps: Path) -> None:
    for number in range(5):
        (maps / CLASSES[0] / f"{number:04d}.png").unlink()
    with pytest.raises(SynthaugError, match="5 of 12 images with no map") as raised:
        pair(place, maps)
    assert f"'{CLASSES[0]}/0000.png'" in raised.value.message
    assert "and 2 more" in raised.value.message
    assert "--pairs edges" in raised.value.hint


def test_an_image_with_two_maps_of_other_names_is_named(place: Path, maps: Path) -> None:
    first = maps / CLASSES[0] / "0000.png"
    image = Image.open(first)
    image.save(first.with_suffix(".bmp"))
    assert len(pair(place, maps)) == 12  # its own name decides
    image.save(first.with_suffix(".gif"))
    first.unlink()
    with pytest.raises(SynthaugError, match="1 of 12 images with more than one map"):
        pair(place, maps)


def test_maps_without_an_image_are_said_and_not_used(place: Path, maps: Path) -> None:
    Image.new("L", (16, 16)).save(maps / CLASSES[0] / "other.png")
    heard = Listener()
    assert len(pair(place, maps, progress=heard)) == 12
    assert heard.warnings == [f"1 map without an image, not used: '{CLASSES[0]}/other.png'"]


def test_a_map_must_have_the_proportions_of_its_image(place: Path, maps: Path) -> None:
    map_ = maps / CLASSES[0] / "0003.png"
    for size in ((8, 8), (100, 99), (100, 97)):  # images are 16 x 16; a side may be rounded
        Image.new("L", size).save(map_)
        if size != (100, 97):
            pair(place, maps)
    with pytest.raises(SynthaugError, match=r"1 map .* other proportions") as raised:
        pair(place, maps)
    assert f"'{CLASSES[0]}/0003.png' has 100x97 pixels, its image 16x16" in raised.value.message


def test_unreadable_and_coloured_maps_are_named(place: Path, maps: Path, tmp_path: Path) -> None:
    draw(tmp_path / "coloured", place / "data", colour=True)
    with pytest.raises(SynthaugError, match=r"12 maps .* with colours") as raised:
        pair(place, tmp_path / "coloured")
    assert "--set data.channels=3" in raised.value.hint
    assert len(pair(place, tmp_path / "coloured", validate({"data": {"resolution": 16}}))) == 12
    (maps / CLASSES[0] / "0001.png").write_text("text")
    with pytest.raises(SynthaugError, match=r"1 map .* cannot be read") as raised:
        pair(place, maps)
    assert f"'{CLASSES[0]}/0001.png' (not an image" in raised.value.message
    with pytest.raises(SynthaugError, match="there is no folder of maps"):
        pair(place, tmp_path / "missing")


def test_maps_of_the_user_have_the_class_of_their_folder_or_the_target(place: Path, tmp_path: Path) -> None:
    draw(tmp_path / "own", place / "data")
    shutil.move(tmp_path / "own" / CLASSES[0] / "0000.png", tmp_path / "own" / "mine.png")
    found = own_maps(tmp_path / "own", data(place), place / "cache").maps
    assert [map_.path for map_ in found] == sorted(map_.path for map_ in found)
    labels = {map_.path: map_.label for map_ in found}
    assert labels["mine.png"] == CLASSES[1]  # the target
    assert {label for path, label in labels.items() if path.startswith(CLASSES[0])} == {CLASSES[0]}
    (tmp_path / "own" / CLASSES[0]).rename(tmp_path / "own" / "dics")
    with pytest.raises(SynthaugError, match=r"dics' are of a class that .* does not have") as raised:
        own_maps(tmp_path / "own", data(place), place / "cache")
    assert CLASSES[0] in raised.value.hint


def test_maps_without_a_class_need_a_single_target(place: Path, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    with pytest.raises(SynthaugError, match="holds no image files"):
        own_maps(tmp_path / "own", data(place), place / "cache")
    Image.new("L", (16, 16)).save(tmp_path / "own" / "1.png")
    of = RunData.of_folder(place / "data", tuple(COUNTS), GREY, cache=place / "cache", progress=Silent())
    with pytest.raises(SynthaugError, match=r"'1\.png' .* is of no class, and .* has 2 targets"):
        own_maps(tmp_path / "own", of, place / "cache")
