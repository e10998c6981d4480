"""inspect tells what is in a folder, and its proposed command is one that the command line understands."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image

from synthaug import SynthaugError
from synthaug.documents import InspectDocument
from synthaug.pipelines.inspect import inspect
from synthaug_cli.app import application

Look = Callable[..., InspectDocument]


def picture(seed: int, size: int = 32, channels: int = 3) -> Image.Image:
    """Blocks of random colour: unlike any other seed's, and still itself after JPEG."""
    cells = np.random.default_rng(seed).integers(0, 256, (8, 8, channels), dtype=np.uint8)
    image = Image.fromarray(cells if channels == 3 else cells[..., 0])
    return image.resize((size, size), Image.Resampling.NEAREST)


def fill(folder: Path, count: int, seed: int, **options: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for k in range(count):
        picture(1000 * seed + k, **options).save(folder / f"{k:03}.png")


@pytest.fixture
def look(tmp_path_factory: pytest.TempPathFactory) -> Look:
    cache = tmp_path_factory.mktemp("cache")

    def run(data: Path | str, **options: Any) -> InspectDocument:
        return inspect(data, cache=cache, **options)

    return run


def test_a_folder_with_everything_in_it(tmp_path: Path, look: Look) -> None:
    data = tmp_path / "my data"
    fill(data / "common", 60, seed=1)
    fill(data / "rare bird's", 7, seed=2)
    picture(1000).save(data / "common" / "again.png")
    picture(1001).save(data / "common" / "smaller.jpg", quality=80)
    picture(1002).save(data / "rare bird's" / "conflict.bmp")
    picture(9).convert("CMYK").save(data / "common" / "print.tiff")
    clear = picture(8, size=40)
    clear.putalpha(200)
    clear.save(data / "common" / "x.webp", lossless=True)
    (data / "common" / "broken.png").write_text("no")
    (data / "notes.txt").write_text("hello")
    before = sorted((p, p.stat().st_mtime_ns) for p in data.rglob("*"))
    document = look(data)
    assert sorted((p, p.stat().st_mtime_ns) for p in data.rglob("*")) == before
    assert document.data == str(data)
    assert document.layout == "classes"
    assert document.images == 72
    assert {name: c.count for name, c in document.classes.items()} == {"common": 64, "rare bird's": 8}
    assert sum(c.share for c in document.classes.values()) == pytest.approx(1, abs=1e-5)
    assert document.imbalance_ratio == 8
    assert document.sizes == {"32x32": 71, "40x40": 1}
    assert document.channels == {"RGB": 70, "CMYK": 1, "RGBA": 1}
    assert document.formats == {"PNG": 68, "JPEG": 1, "BMP": 1, "TIFF": 1, "WEBP": 1}
    assert [u.path for u in document.unreadable] == ["common/broken.png"]
    assert document.ignored == ["notes.txt"]
    assert document.duplicates == [
        ["common/000.png", "common/again.png"],
        ["common/002.png", "rare bird's/conflict.bmp"],
    ]
    assert document.near_duplicates == [["common/001.png", "common/smaller.jpg"]]
    assert document.conflicting_labels == [["common/002.png", "rare bird's/conflict.bmp"]]
    assert document.targets == ["rare bird's"]
    assert document.training.channels == 3
    assert shlex.split(document.command) == [
        "synthaug", "fit", str(data), "--target-class", "rare bird's", "--recipe", "auto", "--budget",
        document.training.budget,
    ]  # fmt: skip
    assert type(document).model_validate_json(document.model_dump_json()) == document


def test_split_folders_count_training_images_for_rarity(tmp_path: Path, look: Look) -> None:
    for label, train in (("a", 50), ("b", 6)):
        fill(tmp_path / "train" / label, train, seed=train)
        fill(tmp_path / "test" / label, 40, seed=100 + train)
    document = look(tmp_path)
    assert document.splits == {"train": {"a": 50, "b": 6}, "test": {"a": 40, "b": 40}}
    assert document.imbalance_ratio == pytest.approx(50 / 6, abs=1e-3)
    assert document.targets == ["b"]


@pytest.mark.parametrize(
    "label", ["plain", "two words", "it's", "‘quoted’", "$HOME `id` ; rm -rf &", "-dash", "größe", "back\\slash"]
)
def test_the_command_is_runnable(tmp_path: Path, look: Look, label: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fill(Path("-data") / "common", 9, seed=1)
    if "\\" in label:
        fill(Path("-data") / label, 2, seed=2)
        with pytest.raises(SynthaugError, match="class name"):
            look("-data")
        return
    fill(Path("-data") / label, 2, seed=2)
    words = shlex.split(look("-data", group_by=r"(\d+)\.png").command)
    assert words[0] == "synthaug"
    command = typer.main.get_command(application())
    context = command.make_context("synthaug", words[1:], resilient_parsing=True)
    fit = command.get_command(context, words[1])  # type: ignore[attr-defined]
    values = fit.make_context("fit", words[2:], resilient_parsing=False).params
    assert any(Path(str(value)) == Path("-data") for value in values.values() if isinstance(value, (str, Path)))
    assert any(list(value) == [label] for value in values.values() if isinstance(value, (list, tuple)))
    assert r"(\d+)\.png" in values.values()


def test_what_fit_would_refuse_is_said(tmp_path: Path, look: Look) -> None:
    fill(tmp_path / "one" / "a", 5, seed=1)
    (tmp_path / "one" / "hollow").mkdir()
    document = look(tmp_path / "one")
    assert document.classes["hollow"].count == 0
    assert document.imbalance_ratio == 1
    assert any("'hollow' has no readable image: its folder is empty" in line for line in document.warnings)
    assert any("at least two" in line for line in document.warnings)
    fill(tmp_path / "even" / "a", 20, seed=1)
    fill(tmp_path / "even" / "b", 19, seed=2)
    assert any("none of them is rare" in line for line in look(tmp_path / "even").warnings)
    fill(tmp_path / "few" / "a", 20, seed=1)
    fill(tmp_path / "few" / "b", 1, seed=2)
    assert any("too few images to train on: 'b'" in line for line in look(tmp_path / "few").warnings)


def test_our_own_export_is_read_with_its_table(tmp_path: Path, look: Look) -> None:
    for label, count in (("a", 8), ("b", 8)):
        fill(tmp_path / "train" / label, count, seed=ord(label))
    rows = [
        {"file_name": f"{label}/{k:03}.png", "label": label, "synthetic": label == "b" and k >= 2, "seed": None}
        for label in "ab"
        for k in range(8)
    ]
    (tmp_path / "train" / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "manifest.json").write_text("{}")
    document = look(tmp_path)
    assert (document.layout, document.images) == ("metadata", 16)
    assert document.splits == {"train": {"a": 8, "b": 8}}
    assert document.ignored == ["manifest.json"]
    assert any("6 of 16 images as synthetic" in line for line in document.warnings)


def test_strict_and_bad_folders(tmp_path: Path, look: Look) -> None:
    fill(tmp_path / "a", 3, seed=1)
    fill(tmp_path / "b", 3, seed=2)
    (tmp_path / "a" / "x.png").write_text("text")
    assert look(tmp_path).images == 6
    with pytest.raises(SynthaugError, match=r"a/x\.png"):
        look(tmp_path, strict=True)
    with pytest.raises(SynthaugError, match="nowhere"):
        look(tmp_path / "nowhere")
    for path in tmp_path.glob("[ab]/*"):
        path.write_text("text")
    with pytest.raises(SynthaugError, match="none of the 7 files"):
        look(tmp_path)


def test_series_in_file_names_are_proposed_and_understood(tmp_path: Path, look: Look) -> None:
    rng = np.random.default_rng(0)
    for series in range(24):
        scene = rng.integers(0, 200, (8, 8, 3), dtype=np.uint8)
        folder = tmp_path / "data" / "ab"[series % 2]
        folder.mkdir(parents=True, exist_ok=True)
        for frame in range(5):
            noise = rng.integers(0, 55, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(scene + noise).resize((32, 32)).save(folder / f"{series:05}_{frame:05}.png")
    found = look(tmp_path / "data")
    assert found.series is not None
    assert found.series.groups == 24
    assert f"--group-by {shlex.quote(found.series.group_by)}" in found.command
    again = look(tmp_path / "data", group_by=found.series.group_by)
    assert again.series is None
    assert again.command == found.command


def test_columns_of_a_table_and_what_is_seldom(tmp_path: Path, look: Look) -> None:
    """Classes come from folders; the table says more, and is no file outside of any class."""
    rows = ["file_name,light,note"]
    for label, count, nights in (("common", 60, 30), ("rare", 24, 1)):
        fill(tmp_path / label, count, seed=count)
        rows += [f"{label}/{k:03}.png,{'night' if k < nights else 'day'},{label} {k}" for k in range(count)]
    (tmp_path / "metadata.csv").write_text("\n".join(rows) + "\n")
    found = look(tmp_path)
    assert found.ignored == []
    assert {name: (c.kind, c.values) for name, c in found.columns.items()} == {
        "light": ("words", {"day": 53, "night": 31})
    }
    (seldom,) = found.rare_combinations
    assert (seldom.label, seldom.value, seldom.images, seldom.expected) == ("rare", "night", 1, 8.9)
