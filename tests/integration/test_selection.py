"""`export` with truncation and selection: what is chosen, what is written down, and that every image can be remade."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from export_material import CLASSES, Z_DIM, Painters, Smoothness, contents, make_run, metadata, save_images

from synthaug.errors import Interrupted, SynthaugError
from synthaug.exporters import synthetic
from synthaug.exporters.manifest import read_manifest
from synthaug.exporters.workspace import Workspace
from synthaug.models.inputs import CHUNK, noise
from synthaug.pipelines.export import export
from synthaug.pipelines.regenerate import regenerate
from synthaug.pipelines.samples import samples
from synthaug.runs import Run
from synthaug.sampling.critic import Critic
from synthaug.sampling.generate import load
from synthaug.sampling.trained import load_discriminator

DISC, RING, STRIPES = CLASSES
TRUNCATED = {"truncation": 0.6, "select": "top-k", "keep": 0.25, "gate": False}
REJECTION = {"select": "drs", "keep": 0.4}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """StyleGAN2 with nothing learnt; of the ring, nothing is held out."""
    root = tmp_path_factory.mktemp("selection")
    save_images(root / "data", {DISC: 80, RING: 12, STRIPES: 80})
    return make_run(root / "data", root / "runs", **{"model.family": "stylegan2"})


@pytest.fixture(scope="module")
def cache(run: Run) -> Path:
    return run.path.parent.parent / "cache"


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the images that the generator makes are rough, and the discriminator sees that."""
    monkeypatch.setattr("synthaug.sampling.generate.load_generator", Painters("rough"))
    monkeypatch.setattr("synthaug.pipelines.export.load_discriminator", lambda *_: Smoothness())


def made(out: Path, label: str | None = None) -> list[dict[str, Any]]:
    return [row for row in metadata(out) if row["synthetic"] and label in (None, row["label"])]


def rough(rows: list[dict[str, Any]]) -> float:
    """The share of images that are planted bad ones."""
    bad = [float(noise(row["seed"], row["class_index"], [row["sample_index"]], Z_DIM)[0, 0]) > 0 for row in rows]
    return sum(bad) / len(bad)


def test_truncated_and_selected_images_are_remade_from_the_manifest(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    document = export(run, out=out, per_class=90, seed=3, device="cpu", **TRUNCATED)
    manifest = read_manifest(out / "manifest.json")
    assert manifest.truncation == 0.6
    assert manifest.selection is not None
    assert (manifest.selection.method, manifest.selection.keep) == ("top-k", 0.25)
    critic = Critic(load_discriminator(run, device="cpu"))
    assert manifest.selection.discriminator_sha256 == critic.sha256
    assert manifest.gates is None
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "multiplied by 0.6" in card
    assert "the best of every 64" in card
    again = regenerate(out, verify=True, device="cpu")
    assert again.rows == again.equal == len(made(out)) > 100
    # what was taken is the best of each chunk, and its score is what the discriminator says
    sampler = load(run, seed=3, truncation=0.6, device="cpu")
    for label in CLASSES:
        rows = made(out, label)
        for chunk in {row["sample_index"] // CHUNK for row in rows}:
            scores = critic.scores(sampler.chunk(label, chunk), sampler.class_index(label))
            own = {r["sample_index"] % CHUNK: r for r in rows if r["sample_index"] // CHUNK == chunk}
            best = sorted(np.argsort(-scores, kind="stable")[:16])
            assert list(own) == best[: len(own)]
            assert all(row["gate"]["discriminator_score"] == round(scores[k], 6) for k, row in own.items())
        assert document.per_class[label].rejected["discriminator"] > 0


def test_images_without_the_truncation_of_the_manifest_are_found_out(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(run, out=out, per_class={RING: 40}, device="cpu", **TRUNCATED)
    file = out / "manifest.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"truncation": 0.6', '"truncation": 1.0'))
    assert len(regenerate(out, out=tmp_path / "again", device="cpu").different) == len(made(out))


def test_truncated_samples_are_less_varied(run: Run, tmp_path: Path) -> None:
    def spread(psi: float) -> float:
        found = samples(run, class_=DISC, count=30, truncation=psi, out=tmp_path / str(psi), device="cpu")
        assert found.truncation == psi
        images = load(run, truncation=psi, device="cpu").sample(DISC, 30).astype(np.float32)
        return float(torch.pdist(torch.from_numpy(images).flatten(1)).mean())

    assert spread(0.3) < 0.7 * spread(1.0)
    assert (tmp_path / "0.3" / "grid.png").read_bytes() != (tmp_path / "1.0" / "grid.png").read_bytes()


def test_an_export_without_them_says_nothing_of_them(run: Run, tmp_path: Path) -> None:
    export(run, out=tmp_path / "out", per_class={RING: 20}, gate=False, device="cpu")
    assert {row["gate"]["discriminator_score"] for row in metadata(tmp_path / "out")} == {None}
    manifest = read_manifest(tmp_path / "out" / "manifest.json")
    assert (manifest.truncation, manifest.selection) == (1.0, None)


@pytest.mark.usefixtures("planted")
@pytest.mark.parametrize("gate", [True, False])
def test_rejection_sampling_turns_planted_images_away(run: Run, cache: Path, tmp_path: Path, gate: bool) -> None:
    out = tmp_path / "out"
    export(run, out=tmp_path / "all", per_class=60, synthetic_only=True, gate=False, device="cpu", cache=cache)
    assert 0.4 < rough(made(tmp_path / "all")) < 0.6
    export(run, out=out, per_class=60, synthetic_only=True, gate=gate, device="cpu", cache=cache, **REJECTION)
    assert rough(made(out, DISC)) < 0.1
    assert rough(made(out)) < 0.25
    manifest = read_manifest(out / "manifest.json")
    assert (manifest.gates is not None) == gate
    assert manifest.selection is not None
    assert manifest.selection.slope is not None
    assert manifest.selection.slope > 0
    assert {label: set(limits) for label, limits in manifest.selection.limits.items()} == {
        label: {"largest_logit", "gamma"} for label in CLASSES
    }
    assert regenerate(out, verify=True, device="cpu").equal == 180


@pytest.mark.usefixtures("planted")
@pytest.mark.parametrize("options", [REJECTION, {"select": "top-k"}], ids=["drs", "top-k"])
def test_the_same_images_however_many_and_however_made(
    run: Run, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    arguments: dict[str, Any] = {"with_heldout": True, "device": "cpu", "cache": cache, **options}
    export(run, out=tmp_path / "whole", per_class=150, **arguments)
    export(run, out=tmp_path / "small", per_class=100, **arguments)
    larger = {row["file_name"]: row for row in metadata(tmp_path / "whole")}
    assert all(larger[row["file_name"]] == row for row in metadata(tmp_path / "small"))

    original, left = synthetic.write_synthetic, [130]

    def write(*given: Any, **more: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return original(*given, **more)

    with monkeypatch.context() as patched:
        patched.setattr(synthetic, "write_synthetic", write)
        with pytest.raises(Interrupted):
            export(run, out=tmp_path / "out", per_class=150, **arguments)
    with monkeypatch.context() as patched:  # and goes on with forked workers
        if sys.platform == "linux":
            patched.setattr("synthaug.pipelines.export.worth_forking", lambda total: True)
            patched.setattr("synthaug.data.parallel.workers", lambda: 2)
        export(run, out=tmp_path / "out", per_class=150, **arguments)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.usefixtures("planted")
def test_work_of_another_share_is_not_mixed_in(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(run, out=tmp_path / "whole", per_class=100, gate=False, select="top-k", keep=0.5, device="cpu")
    with monkeypatch.context() as patched:
        patched.setattr(Workspace, "finish", lambda self: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(Interrupted):
            export(run, out=tmp_path / "out", per_class=100, gate=False, select="top-k", keep=0.2, device="cpu")
    export(run, out=tmp_path / "out", per_class=100, gate=False, select="top-k", keep=0.5, device="cpu")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.usefixtures("planted")
def test_hugging_face_reads_scores(run: Run, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    out = tmp_path / "out"
    export(run, out=out, per_class=70, with_heldout=True, gate=False, select="top-k", device="cpu", cache=cache)
    found = datasets.load_dataset("imagefolder", data_dir=str(out), cache_dir=str(tmp_path / "cache"))
    for side in found.values():
        assert side.features["gate"]["discriminator_score"].dtype == "float64"
        for row in side.select_columns(["synthetic", "gate"]):
            assert (row["gate"]["discriminator_score"] == -1) or row["synthetic"]


def test_no_held_out_images_leave_nothing_behind(tmp_path: Path) -> None:
    save_images(tmp_path / "data", {DISC: 12, RING: 12, STRIPES: 12})
    run = make_run(tmp_path / "data", tmp_path / "runs")
    with pytest.raises(SynthaugError, match="held-out images to calibrate on, and the run has 0 in val"):
        export(run, out=tmp_path / "a" / "out", per_class=45, gate=False, select="drs", device="cpu")
    assert not (tmp_path / "a").exists()


def test_a_checkpoint_without_its_discriminator(tmp_path: Path) -> None:
    save_images(tmp_path / "data", {DISC: 12, RING: 12, STRIPES: 12})
    run = make_run(tmp_path / "data", tmp_path / "runs")
    file = run.checkpoints / "kimg000001" / "training.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(SynthaugError, match=r"damaged: training.safetensors"):
        export(run, out=tmp_path / "a" / "out", per_class=45, gate=False, select="top-k", device="cpu")
    assert not (tmp_path / "a").exists()
    export(run, out=tmp_path / "out", per_class=20, gate=False, device="cpu")  # all that this needs is there
