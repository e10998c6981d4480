"""`--recipe auto`: its choices for different images, and that settings of the user take precedence."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from listener import Listener
from PIL import Image

from synthaug.budget import parse_budget
from synthaug.config import AUTO, resolve, validate
from synthaug.data.folder import scan
from synthaug.data.orientation import MirrorTest
from synthaug.dotted import leaves
from synthaug.errors import SynthaugError
from synthaug.pipelines.auto import (
    LONGEST,
    MANY,
    DataSummary,
    choose,
    first_budget,
    mirror_test_of,
    resolve_auto,
    series_of,
    with_mirroring,
)
from synthaug.pipelines.inspect import inspect
from synthaug.progress import Silent
from synthaug.requests import FitRequest


def summary(
    side: float = 28, channels: int = 1, each: int = 100, classes: int = 10, gpu: bool = False,
    mirrors: MirrorTest | None = None,
) -> DataSummary:  # fmt: skip
    return DataSummary(side, channels, {str(k): each for k in range(classes)}, gpu, mirror_test=mirrors)


@pytest.mark.parametrize(
    ("side", "gpu", "resolution"),
    [
        (8, False, 16),
        (16, False, 16),
        (28, False, 32),
        (32, True, 32),
        (64, False, 32),
        (64, True, 64),
        (200, True, 192),
        (512, True, 256),
    ],
)
def test_the_resolution_is_that_of_the_images_as_far_as_the_device_goes(side: int, gpu: bool, resolution: int) -> None:
    value, why = choose(summary(side, gpu=gpu))["data.resolution"]
    assert value == resolution
    assert f"{side} px" in why
    if side > resolution * 1.5 and not gpu:
        assert "--resolution" in why  # what it costs to have more


@pytest.mark.parametrize("side", [64, 128, 256])
def test_what_is_chosen_for_a_gpu_is_what_its_recipe_says(side: int) -> None:
    chosen = choose(summary(side, channels=3, gpu=True))
    recipe = leaves(resolve(f"gpu-{side}").config.model_dump())
    assert {key: value for key, (value, _) in chosen.items()} == {key: recipe[key] for key in chosen}


def test_the_smallest_class_decides_about_augmentation() -> None:
    chosen = choose(DataSummary(32, 1, {**{str(k): 3000 for k in range(9)}, "rare": 25}, gpu=False))
    assert chosen["training.augment"][0] == ["color", "affine"]
    assert "25 images in the smallest class" in chosen["training.augment"][1]


def test_many_images_get_a_milder_augmentation_and_many_classes_a_longer_training() -> None:
    assert choose(summary(each=MANY))["training.augment"][0] == ["translation"]
    assert "affine" in choose(summary(each=MANY - 1))["training.augment"][0]
    lengths = [parse_budget(choose(summary(classes=n))["training.budget"][0])[1] for n in (2, 10, 30, 300)]
    assert lengths[0] == lengths[1] < lengths[2] < lengths[3] < 10 * lengths[0]


@pytest.mark.parametrize(
    ("test", "allowed", "word"),
    [
        (None, False, "too few images"),
        (MirrorTest(0.9, 0.9, -0.02, 0.02, skilled=True), True, "classes survive"),
        (MirrorTest(0.9, 0.87, -0.06, 0.0, skilled=True), False, "not shown"),
        (MirrorTest(0.9, 0.9, -0.02, 0.02, skilled=True, classes=("7",)), False, "it loses '7'"),
        (MirrorTest(0.2, 0.2, -0.01, 0.01, skilled=False), False, "too little to judge by"),
    ],
)
def test_images_are_mirrored_only_if_their_classes_survive_it(
    test: MirrorTest | None, allowed: bool, word: str
) -> None:
    value, why = choose(summary(mirrors=test))["training.flip"]
    assert value is allowed
    assert word in why


def test_the_choices_are_for_the_resolution_that_the_user_gave() -> None:
    chosen = choose(summary(side=200, channels=3), 64)
    assert "data.resolution" not in chosen
    assert "cutout" in chosen["training.augment"][0]
    assert "minutes here, as a guess" in chosen["training.budget"][1]
    small, large = (choose(summary(side=200), r)["training.budget"][1] for r in (32, 64))
    assert small != large


@pytest.mark.parametrize("gpu", [False, True])
@pytest.mark.parametrize("side", [8, 32, 64, 200])
@pytest.mark.parametrize("each", [5, 5000])
def test_every_choice_is_a_valid_configuration_with_a_reason(side: int, each: int, gpu: bool) -> None:
    chosen = choose(summary(side, each=each, gpu=gpu))
    resolved = resolve(AUTO, chosen=chosen)
    assert all(resolved.origins[key] == AUTO for key in chosen)
    assert all(why and "\n" not in why for _, why in chosen.values())
    validate(resolved.config.model_dump())


def test_inspect_proposes_what_auto_chooses_and_a_training_that_ends(tmp_path: Path) -> None:
    """Grey photographs: 32 px and one channel on a CPU; of many classes, not longer than `LONGEST` minutes."""
    for k in range(4):
        (tmp_path / "data" / str(k)).mkdir(parents=True)
        for number in range(3):
            pixels = np.random.default_rng(10 * k + number).integers(0, 256, (60, 90), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / str(k) / f"{number}.png")
    found = inspect(tmp_path / "data", cache=tmp_path / "cache")
    request = FitRequest(data=tmp_path / "data", recipe=AUTO, cache=tmp_path / "cache", device="cpu")
    config = resolve_auto(request, Silent()).config
    assert (found.training.resolution, found.training.channels) == (config.data.resolution, 1) == (32, 1)
    assert "--resolution 64" in found.training.resolution_reason
    assert found.training.budget in (config.training.budget, f"{LONGEST}min")
    assert f"--recipe auto --budget {found.training.budget}" in found.command


def test_images_that_are_set_apart_do_not_count(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for place, count in {"train/common": 6, "train/rare": 2, "test/common": 3, "test/rare": 9}.items():
        (tmp_path / "data" / place).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 256, (16, 16), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / place / f"{number}.png")
    found = DataSummary.of(scan(tmp_path / "data", cache=tmp_path / "cache"), "cpu")
    assert found.counts == {"common": 6, "rare": 2}


@pytest.mark.parametrize(("classes", "resolution"), [(10, 32), (40, 32), (40, 128)])
def test_the_first_budget_is_autos_unless_that_takes_too_long(classes: int, resolution: int) -> None:
    chosen = choose(summary(32, classes=classes), resolution)
    usual = chosen["training.budget"][0]
    budget, why = first_budget(chosen, resolution)
    minutes = float(re.search(r"about ([\d,]+) minutes", why)[1].replace(",", ""))  # type: ignore[index]
    assert budget == (usual if minutes <= LONGEST else f"{LONGEST}min")
    assert "as a guess" in why
    if resolution == 128:
        assert budget != usual


@pytest.mark.parametrize("survives", [False, True])
def test_auto_and_inspect_agree_on_mirroring(tmp_path: Path, survives: bool) -> None:
    """Bars at the left or at the right; or bars at the top or at the bottom."""
    rng = np.random.default_rng(0)
    for k, label in enumerate(("first", "second")):
        (tmp_path / "data" / label).mkdir(parents=True)
        for _ in range(100):
            pixels = rng.integers(0, 120, (32, 32), dtype=np.uint8)
            place = rng.integers(2, 8) + 18 * k
            pixels[:, place : place + 4] += 120
            pixels = pixels.T if survives else pixels
            Image.fromarray(np.ascontiguousarray(pixels)).save(
                tmp_path / "data" / label / f"{rng.integers(1 << 40)}.png"
            )
    found = inspect(tmp_path / "data", cache=tmp_path / "cache")
    summary = DataSummary.of(scan(tmp_path / "data", cache=tmp_path / "cache"), "cpu")
    assert found.mirroring.allowed is survives
    assert choose(summary)["training.flip"] == (found.mirroring.allowed, found.mirroring.reason)
    config = with_mirroring(resolve().config, tmp_path / "data", tmp_path / "cache", Silent())
    assert config.training.flip is survives


def test_the_mirror_test_is_the_same_with_series_proposed_and_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for series in range(30):
        scene = rng.integers(0, 200, (8, 8), dtype=np.uint8)
        folder = tmp_path / "data" / "ab"[series % 2]
        folder.mkdir(parents=True, exist_ok=True)
        for frame in range(5):
            noisy = scene + rng.integers(0, 55, (8, 8), dtype=np.uint8)
            Image.fromarray(noisy).resize((32, 32)).save(folder / f"{series:05}_{frame:05}.png")
    proposed = scan(tmp_path / "data", cache=tmp_path / "cache")
    series_found = series_of(proposed)
    assert series_found is not None
    named = scan(tmp_path / "data", group_by=series_found.expression, cache=tmp_path / "cache")
    assert series_of(named) is None
    assert mirror_test_of(proposed, series_found) == mirror_test_of(named, None)


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
