"""`--recipe auto`: its choices for different images, and that settings of the user take precedence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from listener import Listener
from PIL import Image

from synthaug.config import AUTO, parse_budget, resolve, validate
from synthaug.data.folder import scan
from synthaug.errors import SynthaugError
from synthaug.pipelines.auto import MANY, DataSummary, choose, resolve_auto
from synthaug.pipelines.inspect import propose_recipe
from synthaug.requests import FitRequest


def summary(side: float = 28, channels: int = 1, each: int = 100, classes: int = 10, gpu: bool = False) -> DataSummary:
    return DataSummary(side, channels, {str(k): each for k in range(classes)}, gpu)


@pytest.mark.parametrize(
    ("side", "gpu", "resolution"),
    [
        (8, False, 16),
        (16, False, 16),
        (28, False, 32),
        (32, True, 32),
        (64, False, 32),
        (64, True, 64),
        (512, True, 128),
    ],
)
def test_the_resolution_is_that_of_the_images_as_far_as_the_device_goes(side: int, gpu: bool, resolution: int) -> None:
    value, why = choose(summary(side, gpu=gpu))["data.resolution"]
    assert value == resolution
    assert f"{side} px" in why
    if side > resolution * 1.5 and not gpu:
        assert "--resolution" in why  # what it costs to have more


def test_the_smallest_class_decides_about_augmentation() -> None:
    chosen = choose(DataSummary(32, 1, {**{str(k): 3000 for k in range(9)}, "rare": 25}, gpu=False))
    assert chosen["training.augment"][0] == ["color", "affine"]
    assert "25 images in the smallest class" in chosen["training.augment"][1]


def test_many_images_get_a_milder_augmentation_and_many_classes_a_longer_training() -> None:
    assert choose(summary(each=MANY))["training.augment"][0] == ["translation"]
    assert "affine" in choose(summary(each=MANY - 1))["training.augment"][0]
    lengths = [parse_budget(choose(summary(classes=n))["training.budget"][0])[1] for n in (2, 10, 30, 300)]
    assert lengths[0] == lengths[1] < lengths[2] < lengths[3] < 10 * lengths[0]


def test_small_colour_images_are_mirrored() -> None:
    assert choose(summary(channels=3))["training.flip"][0] is True
    assert "training.flip" not in choose(summary(channels=1))
    assert "training.flip" not in choose(summary(side=64, channels=3))


@pytest.mark.parametrize("gpu", [False, True])
@pytest.mark.parametrize("side", [8, 32, 64, 200])
@pytest.mark.parametrize("each", [5, 5000])
def test_every_choice_is_a_valid_configuration_with_a_reason(side: int, each: int, gpu: bool) -> None:
    chosen = choose(summary(side, each=each, gpu=gpu))
    resolved = resolve(AUTO, chosen=chosen)
    assert all(resolved.origins[key] == AUTO for key in chosen)
    assert all(why and "\n" not in why for _, why in chosen.values())
    validate(resolved.config.model_dump())


@pytest.mark.parametrize(
    ("width", "height", "small"), [(48, 48, True), (49, 49, False), (30, 60, True), (60, 30, True), (60, 90, False)]
)
def test_auto_and_inspect_agree_on_which_images_are_small(tmp_path: Path, width: int, height: int, small: bool) -> None:
    for label in ("a", "b"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for k in range(3):
            pixels = np.random.default_rng(k).integers(0, 256, (height, width, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / label / f"{k}.png")
    found = scan(tmp_path / "data", cache=tmp_path / "cache")
    chosen = choose(DataSummary.of(found, "cpu"))
    assert ("training.flip" in chosen) == small
    assert propose_recipe(found.images, found.channels) == ("sprites-colour" if small else "photos-64")


def test_it_says_each_choice_and_leaves_to_the_user_what_the_user_gave(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for label in ("a", "b"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for k in range(12):
            pixels = rng.integers(0, 256, (20, 30), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / label / f"{k}.png")
    told = Listener()
    sets = ["training.batch_size=16"]
    asked = FitRequest(
        data=tmp_path / "data", recipe=AUTO, set=sets, budget="1kimg", device="cpu", cache=tmp_path / "cache"
    )
    resolved = resolve_auto(asked, told)
    assert resolved.config.data.resolution == 16
    assert resolved.config.training.batch_size == 16
    assert resolved.config.training.budget == "1kimg"
    assert resolved.origins["training.batch_size"] == "--set"
    assert any(line.startswith("auto: data.resolution = 16: images are 20 px") for line in told.lines)
    assert not any("batch_size" in line or "budget" in line for line in told.lines)


def test_it_is_no_file() -> None:
    from synthaug.config import recipe_text

    with pytest.raises(SynthaugError, match="'auto' has no file"):
        recipe_text("auto")
