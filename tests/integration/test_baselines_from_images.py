"""cyclegan, cut and dagan through the commands: fit, samples, export, regenerate, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
from export_material import CLASSES, metadata, save_images
from listener import Listener

from synthaug.errors import RunFailed, SynthaugError
from synthaug.pipelines.check import check
from synthaug.pipelines.export import export
from synthaug.pipelines.fit import fit
from synthaug.pipelines.plan_fit import plan_fit
from synthaug.pipelines.regenerate import regenerate
from synthaug.pipelines.traverse import traverse
from synthaug.progress import Silent
from synthaug.requests import FitRequest
from synthaug.runs import Run
from synthaug.sampling.gated_samples import gated_samples
from synthaug.sampling.generate import load

RARE = CLASSES[1]
SMALL = {
    "model.width": 8, "model.discriminator_width": 8, "model.embed_dim": 8, "data.resolution": 16,
    "data.min_images_for_val": 20, "monitor.every_kimg": 1, "monitor.samples_per_class": 8,
    "training.budget": "0.1kimg", "training.batch_size": 8, "training.precision": "32-true",
}  # fmt: skip
OTHERS = {"model.source_classes": [CLASSES[0], CLASSES[2]]}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("data")
    save_images(place / "images", {CLASSES[0]: 30, RARE: 10, CLASSES[2]: 30})
    return place / "images"


def trained(data: Path, runs: Path, family: str, progress: Silent = Silent(), **settings: object) -> Run:
    chosen = {} if family == "dagan" else OTHERS
    values = {"model.family": family, **SMALL, **chosen, **settings}
    return Run(Path(fit(data, target_class=RARE, set=values, runs=runs, device="cpu", progress=progress).run))


@pytest.mark.parametrize(("family", "mode"), [("cyclegan", "translate"), ("cut", "translate"), ("dagan", "vary")])
def test_from_fit_to_regenerate(family: str, mode: str, data: Path, tmp_path: Path) -> None:
    run = trained(data, tmp_path / "runs", family)
    export(run, out=tmp_path / "out", per_class=20, gate=False, device="cpu")
    rows = [row for row in metadata(tmp_path / "out") if row["synthetic"]]
    assert {row["mode"] for row in rows} == {mode}
    assert {row["source_label"] == RARE for row in rows if row["label"] == RARE} == {mode == "vary"}
    document = regenerate(tmp_path / "out", device="cpu")
    assert document.equal == document.rows == len(rows) > 0
    for other in {"translate", "vary", "both"} - {mode}:
        with pytest.raises(SynthaugError, match=f"--mode {other} is not for {family}"):
            load(run, mode=other, device="cpu")


def test_the_plan_of_a_training_says_what_it_costs_and_writes_nothing(data: Path, tmp_path: Path) -> None:
    plan = plan_fit(FitRequest(data=data, set={"model.family": "cut", **SMALL, **OTHERS}, runs=tmp_path), Silent())
    assert plan.estimated_seconds > 0
    assert list(tmp_path.iterdir()) == []


def test_without_noise_one_source_gives_one_image(data: Path, tmp_path: Path) -> None:
    run = trained(data, tmp_path, "cyclegan")
    sampler = load(run, device="cpu")
    sources = sum(len(part) for part in sampler.trained.sources.images.rows[1])  # type: ignore[union-attr]
    assert sampler.most(RARE) == sources
    assert check(run, device="cpu").per_class[RARE].n_synthetic == sources
    with pytest.raises(RunFailed, match=f"{sources} of 200 images .*source used up {64 - sources % 64}") as short:
        gated_samples(sampler, None, RARE, 200)
    assert "ask for fewer" in short.value.hint
    assert "--no-gate" not in short.value.hint
    with pytest.raises(SynthaugError, match="this run's family has none"):
        load(run, truncation=0.5, device="cpu")
    with pytest.raises(SynthaugError, match="no noise to walk through"):
        traverse(run, along="noise", out=tmp_path / "walk.png", device="cpu")
    assert not (tmp_path / "walk.png").exists()
    traverse(run, along="classes", class_=CLASSES[0], to=RARE, out=tmp_path / "walk.png", device="cpu")
    assert (tmp_path / "walk.png").exists()


def test_dagan_says_where_its_evidence_ends_and_its_discriminator_judges_pairs(data: Path, tmp_path: Path) -> None:
    heard = Listener()
    run = trained(data, tmp_path / "runs", "dagan", heard)
    assert any("below about 100 classes, and here are 3" in warning for warning in heard.warnings)
    with pytest.raises(SynthaugError, match="judges an image beside its source"):
        export(run, out=tmp_path / "out", per_class=20, select="top-k", keep=0.5, gate=False, device="cpu")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("family", ["cyclegan", "cut"])
def test_a_target_without_a_class_to_start_from_is_an_error(family: str, data: Path, tmp_path: Path) -> None:
    with pytest.raises(SynthaugError, match="is the target class itself"):
        trained(data, tmp_path, family, **{"model.source_classes": [RARE]})
    assert list(tmp_path.iterdir()) == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("synthaug.sampling.sources.NEAR", 0.0)
        with pytest.raises(SynthaugError, match=f"no class resembles '{RARE}' enough") as caught:
            trained(data, tmp_path, family, **{"model.source_classes": []})
    assert "--source-classes" in caught.value.hint
    assert list(tmp_path.iterdir()) == []
