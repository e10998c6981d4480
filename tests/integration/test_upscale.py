"""An upscaler from its training to the export: exact resume, folders, the look of files, regenerate, refusals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_material import CLASSES, contents, make_run, metadata, save_images, source_type
from PIL import Image

import synthaug
from synthaug.data.decode import open_image
from synthaug.data.run_data import RunData
from synthaug.documents import FitDocument
from synthaug.errors import SynthaugError
from synthaug.exporters.as_exported import AsExported
from synthaug.exporters.provenance import SOURCE_TYPE
from synthaug.pipelines.evaluate import evaluate
from synthaug.pipelines.export import export
from synthaug.pipelines.regenerate import regenerate
from synthaug.pipelines.samples import samples
from synthaug.pipelines.upscale import upscale
from synthaug.progress import Silent
from synthaug.runs import Run
from synthaug.sampling.generate import load
from synthaug.sampling.upscaling import load_upscaler

DISC, RING, STRIPES = CLASSES
SMALL = (
    "model.width=4", "model.blocks=1", "model.discriminator_width=4", "training.batch_size=8", "training.augment=[]",
    "training.budget=3kimg", "model.perceptual_start=0.9", "monitor.every_kimg=1", "training.keep_checkpoints=9",
)  # fmt: skip


def fit(data: Path, runs: Path, *sets: str, **options: Any) -> FitDocument:
    if "resume" not in options:
        options = {"family": "srgan", "scale": 2, "resolution": 16, "set": (*SMALL, *sets), **options}
    return synthaug.fit(data, runs=runs, device="cpu", cache=runs.parent / "cache", **options)


def write(image: Image.Image, stem: Path, number: int) -> Path:
    """Sizes that are no powers of two, wide and high, in three formats."""
    if stem.parent.name == DISC:
        image = image.resize((50, 40) if number % 2 else (40, 50))
        image.save(stem.with_suffix(".jpg"), quality=80)
    elif stem.parent.name == RING:
        image.resize((40, 40)).quantize(32).save(stem.with_suffix(".png"))
    else:
        image.resize((33, 33)).convert("L").save(stem.with_suffix(".png"))
    return stem


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("upscale") / "data"
    save_images(root, {DISC: 30, RING: 12, STRIPES: 30}, resolution=48, write=write)
    return root


@pytest.fixture(scope="module")
def trained(data: Path) -> FitDocument:
    return fit(data, data.parent / "runs", name="up")


@pytest.fixture(scope="module")
def generator(data: Path, trained: FitDocument) -> Run:
    return make_run(data, data.parent / "runs", **{"data.min_images_for_val": 50})


def planted(trained: FitDocument, folder: Path, better: bool) -> Run:
    """A copy of the upscaler's run whose scores are far better, or a little worse, than those of bicubic."""
    run = Run(folder / ("better" if better else "worse"))
    shutil.copytree(trained.run, run.path)
    rows = run.metrics()
    for row in rows:
        if row["kind"] == "monitor":
            scores = row["upscaling"]
            scores["distance"] = scores["bicubic_distance"] / 2
            scores["psnr"] = scores["bicubic_psnr"] + (2 if better else -0.1)
    run.replace_metrics(rows)
    return run


@pytest.fixture
def better(trained: FitDocument, tmp_path: Path) -> Run:
    return planted(trained, tmp_path, True)


def test_scores_of_held_out_images_are_in_the_run_and_the_document(trained: FitDocument) -> None:
    run, scores = Run(Path(trained.run)), trained.upscaling
    rows = [row for row in run.metrics() if row["kind"] == "monitor"]
    assert scores is not None
    assert scores.model_dump() in [row["upscaling"] for row in rows]
    assert scores == load_upscaler(run, device="cpu").scores
    assert scores.images >= 8
    steps = [row for row in run.metrics() if row["kind"] == "step"]
    assert {"loss_d" in row for row in steps if row["kimg"] < 2.6} == {False}
    assert {"loss_d" in row for row in steps if row["kimg"] > 2.8} == {True}
    picture = Image.open(run.samples / f"{trained.best_checkpoint}.png")
    assert picture.height == 4 * 66 + 2


def test_a_resumed_training_ends_as_an_uninterrupted_one(data: Path, trained: FitDocument, tmp_path: Path) -> None:
    whole, part = Run(Path(trained.run)), Run(tmp_path / "runs" / "00000-part")
    shutil.copytree(whole.path, part.path)
    first, *later = sorted(path for path in part.checkpoints.iterdir())
    for folder in later:
        shutil.rmtree(folder)
    part.set_status(state="interrupted", best_checkpoint=first.name, last_checkpoint=first.name)
    fit(data, tmp_path / "runs", resume=str(part.path))
    assert len(later) >= 2
    for name in (first.name, *(folder.name for folder in later)):
        for file in ("generator.safetensors", "training.safetensors"):
            assert (part.checkpoints / name / file).read_bytes() == (whole.checkpoints / name / file).read_bytes()


def test_a_folder_is_enlarged_with_names_formats_and_modes(trained: FitDocument, tmp_path: Path) -> None:
    folder, pixels = tmp_path / "in", np.random.default_rng(0).integers(80, 170, (9, 14, 3)).astype(np.uint8)
    (folder / "sub").mkdir(parents=True)
    colour = Image.fromarray(pixels)
    colour.save(folder / "a.png")
    colour.convert("L").save(folder / "sub/b.png")
    colour.quantize(16).save(folder / "sub/c.gif")
    colour.save(folder / "d.jpg", quality=95)
    (folder / "broken.png").write_bytes(b"not an image")
    (folder / "notes.txt").write_text("no image")
    made = upscale(trained.run, folder, out=tmp_path / "out", device="cpu")
    assert (made.images, made.scale, [file.path for file in made.unreadable]) == (4, 2, ["broken.png"])
    written = set(contents(tmp_path / "out"))
    assert written == {"a.png", "sub/b.png", "sub/c.gif", "d.jpg", "upscale.json"}
    assert json.loads((tmp_path / "out/upscale.json").read_text())["images"] == 4
    for name in written - {"upscale.json"}:
        with Image.open(tmp_path / "out" / name) as large, Image.open(folder / name) as small:
            assert large.size == (28, 18)
            assert (large.mode, large.format) == (small.mode, small.format)
        assert source_type(tmp_path / "out" / name) == SOURCE_TYPE
    large, small = open_image(tmp_path / "out/a.png"), np.asarray(colour, np.int16)
    again = np.asarray(large.resize((14, 9), Image.Resampling.LANCZOS), np.int16)
    assert np.abs(again - small).mean() <= 1  # reduced again, it is the given image


def test_an_export_uses_the_upscaler_and_can_be_made_again_bit_for_bit(
    generator: Run, better: Run, tmp_path: Path
) -> None:
    common: dict[str, Any] = {"per_class": 34, "gate": False, "seed": 3, "device": "cpu"}
    plain, out = tmp_path / "plain", tmp_path / "out"
    export(generator, out=plain, **common)
    made = export(generator, out=out, upscaler=better, **common)
    manifest = json.loads((out / "manifest.json").read_text())
    upscaler = load_upscaler(better, device="cpu")
    assert manifest["upscaler"]["used"]
    assert manifest["upscaler"]["checkpoint_sha256"] == upscaler.sha256
    assert upscaler.sha256 in (out / "README.md").read_text()
    assert made.upscaler is not None
    fakes = made.upscaler.on_fakes
    assert fakes is not None
    assert manifest["upscaler"]["on_fakes"] == fakes.model_dump()
    assert fakes.difference < 1  # by back-projection
    assert fakes.images >= 60
    assert fakes.text() in made.upscaler.text()
    rows, before = metadata(out), metadata(plain)
    synthetic = [number for number, row in enumerate(rows) if row["synthetic"]]
    assert len(synthetic) == sum(entry.synthetic for entry in made.per_class.values()) >= 20
    same = ("file_name", "width", "height", "sample_index", "look")
    assert [[row[key] for key in same] for row in rows] == [[row[key] for key in same] for row in before]
    assert all(rows[n]["pixel_sha256"] != before[n]["pixel_sha256"] for n in synthetic)
    again = regenerate(out, verify=True, out=tmp_path / "again", device="cpu")
    assert (again.rows, again.equal) == (len(synthetic), len(synthetic))
    assert contents(tmp_path / "again") == {
        rows[n]["file_name"]: (out / "train" / rows[n]["file_name"]).read_bytes() for n in synthetic
    }
    # the images that `evaluate` judges are those of the files
    sampler, data = load(generator, seed=3, device="cpu"), RunData.open(generator)
    seen = AsExported.of(data, CLASSES, Silent(), upscaler)
    row = next(rows[n] for n in synthetic if rows[n]["label"] == RING and rows[n]["width"] == 40)
    index = sampler.class_index(RING)
    image = data.images("train", None, Silent()).subset([0])
    image.pixels[0] = sampler.sample(RING, 1, row["sample_index"])[0]
    image.labels[0] = index
    judged = seen.read_back(image, np.array([row["sample_index"]]), 40, seed=3, progress=Silent())
    exported = np.asarray(open_image(out / "train" / row["file_name"]).convert("RGB")).transpose(2, 0, 1)
    assert np.array_equal(judged.pixels[0], exported)


def test_where_bicubic_is_better_it_is_exported_and_the_manifest_says_so(
    generator: Run, trained: FitDocument, tmp_path: Path
) -> None:
    common: dict[str, Any] = {"per_class": 30, "gate": False, "device": "cpu"}
    export(generator, out=tmp_path / "plain", **common)
    export(generator, out=tmp_path / "out", upscaler=planted(trained, tmp_path, False), **common)
    hashes = [[row["sha256"] for row in metadata(tmp_path / name)] for name in ("plain", "out")]
    assert hashes[0] == hashes[1]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["upscaler"]["used"] is False
    assert any("does not beat bicubic" in line for line in manifest["warnings"])
    assert regenerate(tmp_path / "out", verify=True, device="cpu").different == []


def test_another_checkpoint_of_the_upscaler_is_refused(generator: Run, better: Run, tmp_path: Path) -> None:
    export(generator, out=tmp_path / "out", upscaler=better, per_class=30, gate=False, device="cpu")
    best = load_upscaler(better, device="cpu").checkpoint
    other = next(path for path in sorted(better.checkpoints.iterdir()) if path.name != best)
    shutil.copytree(other, better.checkpoints / best, dirs_exist_ok=True)
    with pytest.raises(SynthaugError, match="its hash differs"):
        regenerate(tmp_path / "out", verify=True, device="cpu")


def test_an_upscaler_that_does_not_fit_is_refused_and_nothing_is_written(
    data: Path, generator: Run, trained: FitDocument, better: Run, tmp_path: Path
) -> None:
    def refused(upscaler: Run | str, **options: Any) -> SynthaugError:
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(SynthaugError) as raised:
            export(options.pop("run", generator), out=tmp_path / "x", upscaler=upscaler, device="cpu", **options)
        assert raised.value.hint
        assert sorted(tmp_path.rglob("*")) == before
        return raised.value

    assert "is no upscaler: its family is dcgan" in refused(generator).message
    assert "--size native" in refused(better, size="model").message
    larger = make_run(data, tmp_path / "runs", **{"data.resolution": 32, "data.min_images_for_val": 50})
    assert "enlarges 16 px to 32 px, but the generator makes 32 px" in refused(better, run=larger).message
    other = make_run(data, tmp_path / "runs", seed=5, **{"data.min_images_for_val": 50})
    assert "held out from the generator" in refused(better, run=other).message
    with pytest.raises(SynthaugError, match="lies inside the data folder"):
        upscale(trained.run, data, out=data / "x", device="cpu")
    with pytest.raises(SynthaugError, match="is no upscaler"):
        upscale(generator, data, out=tmp_path / "x", device="cpu")
    with pytest.raises(SynthaugError, match="is an upscaler, which only enlarges"):
        samples(trained.run, out=tmp_path / "x", device="cpu")
    with pytest.raises(SynthaugError, match="is an upscaler, which only enlarges"):
        evaluate(trained.run, out=tmp_path / "x", device="cpu")
    assert not (tmp_path / "x").exists()


def test_images_that_are_too_small_are_not_learnt_from(data: Path, tmp_path: Path) -> None:
    with pytest.raises(SynthaugError, match="have 64 px or more") as raised:
        fit(data, tmp_path / "runs", scale=4)
    assert "--scale 2" in raised.value.hint
    assert not (tmp_path / "runs").exists()


def test_where_the_real_images_are_as_small_as_the_generators_there_is_nothing_to_enlarge(
    better: Run, tmp_path: Path
) -> None:
    save_images(tmp_path / "data", {DISC: 12, RING: 8, STRIPES: 12})
    small = make_run(tmp_path / "data", tmp_path / "runs")
    with pytest.raises(SynthaugError, match="no real image is larger than the 16 px"):
        export(small, out=tmp_path / "x", upscaler=better, device="cpu")
    assert not (tmp_path / "x").exists()


def test_an_upscaler_of_grey_images(generator: Run, tmp_path: Path) -> None:
    save_images(tmp_path / "data", {DISC: 24, RING: 24}, channels=1, resolution=48)
    made = fit(tmp_path / "data", tmp_path / "runs", "training.budget=0.2kimg", name="grey")
    grey = load_upscaler(Run(Path(made.run)), device="cpu")
    assert grey.enlarge(np.full((1, 7, 5), 90, np.uint8)).shape == (1, 14, 10)
    assert np.abs(grey.enlarge(np.full((1, 7, 5), 90, np.uint8)).astype(int) - 90).max() <= 2
    (tmp_path / "in").mkdir()
    Image.new("RGB", (8, 8), (10, 200, 30)).save(tmp_path / "in/a.png")
    with pytest.raises(SynthaugError, match="has colours"):
        upscale(made.run, tmp_path / "in", out=tmp_path / "out", device="cpu")
    with pytest.raises(SynthaugError, match="is for images of 1 channel, but the generator makes 3"):
        export(generator, out=tmp_path / "out", upscaler=made.run, device="cpu")
    assert not (tmp_path / "out").exists()


def test_evaluate_judges_enlarged_images_and_says_so(
    generator: Run, better: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, used = AsExported.read_back, []

    def read_back(self: AsExported, *arguments: Any, **named: Any) -> Any:
        used.append(self.upscaler)
        return original(self, *arguments, **named)

    monkeypatch.setattr(AsExported, "read_back", read_back)
    document = evaluate(
        generator, size=40, upscaler=better, classifier="logistic", seeds=2, steps=5, gate=False, jobs=1,
        arms=("oversample", "synthetic"), out=tmp_path / "report", device="cpu",
    )  # fmt: skip
    wanted = load_upscaler(better, device="cpu")
    assert [upscaler and upscaler.sha256 for upscaler in used] == [wanted.sha256] * 2  # synthetic ones, and down-up
    assert document.size.upscaler == wanted.reference()
    assert f"with the upscaler {better.name}" in document.verdict.sentence
