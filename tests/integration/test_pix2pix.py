"""pix2pix through the commands: edge maps and maps of a folder, translated and varied, and the user's own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_material import CLASSES, metadata, save_images
from PIL import Image

from synthaug.data.edges import edge_maps
from synthaug.data.run_data import RunData
from synthaug.data.split import Split
from synthaug.dotted import leaves
from synthaug.errors import SynthaugError
from synthaug.exporters.manifest import read_manifest
from synthaug.pipelines.export import export
from synthaug.pipelines.fit import fit
from synthaug.pipelines.folds import _config
from synthaug.pipelines.regenerate import regenerate
from synthaug.progress import Silent
from synthaug.runs import Run
from synthaug.sampling.gate import Gate
from synthaug.sampling.generate import load

COMMON, RARE, OTHER = CLASSES
SMALL = {
    "model.family": "pix2pix", "model.width": 8, "model.discriminator_width": 8, "model.embed_dim": 8,
    "model.source_classes": [COMMON], "model.draws_per_source": 10, "data.resolution": 16,
    "data.min_images_for_val": 20, "monitor.every_kimg": 1, "monitor.samples_per_class": 8,
    "training.budget": "0.2kimg", "training.batch_size": 8, "training.precision": "32-true",
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images, their maps (masks of twice their size), and maps of the user."""
    place = tmp_path_factory.mktemp("pix2pix")
    save_images(place / "data", {COMMON: 24, RARE: 10, OTHER: 24})
    for image in (place / "data").rglob("*.png"):
        mask = Image.fromarray(np.asarray(Image.open(image).convert("L")) // 128 * 255).resize((32, 32))
        map_ = place / "maps" / image.relative_to(place / "data").with_suffix(".bmp")
        map_.parent.mkdir(parents=True, exist_ok=True)
        mask.save(map_)
    (place / "own" / RARE).mkdir(parents=True)
    for number in range(6):
        sketch = np.zeros((20, 30), np.uint8)
        sketch[4:16, number : number + 8] = 255
        Image.fromarray(sketch).save(place / "own" / RARE / f"{number}.png")
    return place


def trained(place: Path, runs: str, pairs: str | Path, **more: Any) -> Run:
    made = fit(place / "data", target_class=RARE, set=SMALL, pairs=pairs, runs=place / runs, device="cpu", **more)
    return Run(Path(made.run))


@pytest.fixture(scope="module")
def drawn(place: Path) -> Run:
    return trained(place, "drawn", "edges")


@pytest.fixture(scope="module")
def masked(place: Path) -> Run:
    return trained(place, "masked", place / "maps")


@pytest.fixture
def kept(place: Path) -> Iterator[Path]:
    """The place; its maps are put back after the test."""
    shutil.copytree(place / "maps", place / "kept")
    shutil.copytree(place / "own", place / "kept-own")
    yield place
    for folder, copy in (("maps", "kept"), ("own", "kept-own")):
        shutil.rmtree(place / folder, ignore_errors=True)
        (place / copy).rename(place / folder)


def test_edge_maps_stand_in_for_the_images_and_rows_name_these(drawn: Run, tmp_path: Path) -> None:
    sampler = load(drawn, device="cpu")
    train = RunData.open(drawn).images("train", None, Silent())
    sources = sampler.trained.sources
    assert sources is not None
    assert np.array_equal(sources.images.pixels, edge_maps(train.pixels))
    assert not drawn.maps_file.exists()
    export(drawn, out=tmp_path / "out", per_class=30, gate=False, device="cpu")
    rows = [row for row in metadata(tmp_path / "out") if row["synthetic"] and row["label"] == RARE]
    training = {row.path: row for row in Split.read(drawn.split_file).of("train")}
    for row in rows:
        source = training[row["source_path"]]
        assert (row["mode"], row["source_label"]) == ("translate", COMMON)
        assert (row["source_pixel_sha256"], row["source_group"]) == (source.pixel_sha256, source.group)
    assert regenerate(tmp_path / "out", device="cpu").different == []
    export(drawn, out=tmp_path / "varied", per_class={RARE: 30}, mode="vary", gate=False, device="cpu")
    varied = [row for row in metadata(tmp_path / "varied") if row["synthetic"]]
    assert {(row["mode"], row["source_label"]) for row in varied} == {("vary", RARE)}
    assert regenerate(tmp_path / "varied", device="cpu").equal == len(varied)


def test_maps_of_a_folder_are_noted_with_their_hashes_and_rows_name_them(masked: Run, place: Path) -> None:
    maps, images = Split.read(masked.maps_file), Split.read(masked.split_file)
    assert [row.path.removesuffix(".bmp") for row in maps.rows] == [i.path.removesuffix(".png") for i in images.rows]
    assert [row.split for row in maps.rows] == [row.split for row in images.rows]
    assert all(map_.pixel_sha256 != image.pixel_sha256 for map_, image in zip(maps.rows, images.rows, strict=True))
    sources = load(masked, device="cpu").trained.sources
    assert sources is not None
    assert set(np.unique(sources.images.pixels)) >= {0, 255}
    export(masked, out=place / "out", per_class=30, gate=False, device="cpu")
    rows = [row for row in metadata(place / "out") if row["synthetic"]]
    known = {row.path: row for row in maps.of("train")}
    assert all(known[row["source_path"]].pixel_sha256 == row["source_pixel_sha256"] for row in rows)
    assert regenerate(place / "out", device="cpu").equal == len(rows)


def test_a_map_that_is_missing_or_has_changed_is_named(kept: Path, masked: Run) -> None:
    out = kept / "out"
    number, row = next((n, row) for n, row in enumerate(metadata(out)) if row["synthetic"])
    file = kept / "maps" / row["source_path"]
    Image.fromarray(255 - np.asarray(Image.open(file))).save(file)
    for work in (
        lambda: regenerate(out, row=[number], device="cpu"),
        lambda: export(masked, out=kept / "again", per_class=30, gate=False, device="cpu"),
    ):
        with pytest.raises(SynthaugError, match="has changed") as changed:
            work()
        assert row["source_path"] in changed.value.message
    file.unlink()
    with pytest.raises(SynthaugError, match=r"is missing|is gone") as missing:
        regenerate(out, row=[number], device="cpu")
    assert row["source_path"] in missing.value.message
    shutil.rmtree(kept / "maps")
    with pytest.raises(SynthaugError, match=r"the folder .*maps' with the maps of the run .* is gone"):
        export(masked, out=kept / "again", per_class=30, gate=False, device="cpu")
    assert not list(kept.glob("*again*"))


def test_maps_of_the_user_are_painted_and_made_again(kept: Path, masked: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(masked, out=out, per_class={RARE: 30}, inputs=kept / "own", gate=False, device="cpu")
    rows = [row for row in metadata(out) if row["synthetic"]]
    assert {row["source_path"] for row in rows} == {f"{RARE}/{number}.png" for number in range(6)}
    assert {(row["mode"], row["source_label"], row["source_group"]) for row in rows} == {("inputs", RARE, "")}
    document = read_manifest(out / "manifest.json")
    assert document.mode is None
    assert document.inputs is not None
    assert (document.inputs.folder, len(document.inputs.maps)) == (kept / "own", 6)
    Image.new("L", (20, 20)).save(kept / "own" / RARE / "0new.png")  # changes nothing
    assert regenerate(out, device="cpu").equal == len(rows)
    shutil.rmtree(kept / "maps")  # not needed
    number = next(number for number, row in enumerate(metadata(out)) if row["synthetic"])
    assert regenerate(out, row=[number], device="cpu").equal == 1
    (kept / "own" / RARE / "3.png").unlink()
    with pytest.raises(SynthaugError, match=r"is missing|is gone") as raised:
        regenerate(out, device="cpu")
    assert f"{RARE}/3.png" in raised.value.message


def test_maps_of_the_user_stand_behind_no_training_image(
    place: Path, masked: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Gates compare with the training image behind a candidate: row 3 of the user's maps is not training image 3."""
    seen: list[object] = []
    measure = Gate.measure
    monkeypatch.setattr(Gate, "measure", lambda self, *given: (seen.append(given[2]), measure(self, *given))[1])
    monkeypatch.setattr("synthaug.pipelines.export.gate_of_run", lambda *a, **k: Gate.without_checks(CLASSES))
    export(masked, out=tmp_path / "own", per_class={RARE: 20}, inputs=place / "own", device="cpu")
    assert seen == [None]
    export(masked, out=tmp_path / "usual", per_class={RARE: 20}, device="cpu")
    assert isinstance(seen[1], np.ndarray)


def test_every_class_to_fill_needs_maps_of_its_own(place: Path, masked: Run, drawn: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(SynthaugError, match=f"2 classes to fill up without maps .*: '{COMMON}', '{OTHER}'") as raised:
        export(masked, out=out, per_class=40, inputs=place / "own", gate=False, device="cpu")
    assert f"--per-class '{RARE}=40'" in raised.value.hint
    with pytest.raises(SynthaugError, match="inside the data folder"):
        export(masked, out=place / "own" / "out", per_class={RARE: 30}, inputs=place / "own", device="cpu")
    assert list(tmp_path.iterdir()) == []
    export(drawn, out=out, per_class={RARE: 20}, inputs=place / "own" / RARE, gate=False, device="cpu")  # flat
    assert {row["source_label"] for row in metadata(out) if row["synthetic"]} == {RARE}


def test_each_map_is_drawn_a_limited_number_of_times(place: Path, masked: Run) -> None:
    usual = load(masked, device="cpu")
    count = sum(row.label == COMMON for row in Split.read(masked.split_file).of("train"))
    assert usual.most(RARE) == count * masked.config().model.draws_per_source  # type: ignore[attr-defined]


def test_an_interrupted_training_goes_on_exactly(masked: Run, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from synthaug.training import steps

    calls, step = 0, steps.STEPS.get("pix2pix")

    def interrupted(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 15:
            raise KeyboardInterrupt
        return step(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(steps.STEPS, "get", lambda name: interrupted)
        with pytest.raises(KeyboardInterrupt):
            trained(place, "resumed", place / "maps")
    resumed = trained(place, "resumed", place / "maps", resume="auto")
    assert len(list((place / "resumed").glob("0*"))) == 1
    ends = [sorted(run.checkpoints.iterdir())[-1] / "generator.safetensors" for run in (masked, resumed)]
    assert ends[0].read_bytes() == ends[1].read_bytes()


def test_a_run_is_not_continued_on_other_maps(kept: Path, masked: Run, tmp_path: Path) -> None:
    copy = Run(Path(shutil.copytree(masked.path, tmp_path / masked.name)))
    copy.set_status(state="interrupted")
    file = kept / "maps" / metadata(kept / "out")[-1]["source_path"]
    Image.fromarray(255 - np.asarray(Image.open(file))).save(file)
    with pytest.raises(SynthaugError, match="the maps of the images are not those"):
        fit(kept / "data", resume=copy.path, device="cpu")


def test_a_fold_has_its_maps(masked: Run, place: Path) -> None:
    """The runs of `evaluate --folds` have the run's configuration, and read their maps from the same folder."""
    config = leaves(_config(masked.config(), 2, 1).model_dump(mode="json"))
    made = Run(Path(fit(place / "data", target_class=RARE, set=config, runs=place / "fold", device="cpu").run))
    maps, images = Split.read(made.maps_file), Split.read(made.split_file)
    assert [row.split for row in maps.rows] == [row.split for row in images.rows]
    assert [row.split for row in maps.rows] != [row.split for row in Split.read(masked.maps_file).rows]
    assert load(made, device="cpu").sample(RARE, 2).shape == (2, 3, 16, 16)
