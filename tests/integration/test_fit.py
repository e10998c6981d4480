"""`fit` on real digits: the run directory, budgets, exact resume after kill -9, interruption, refusals."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from export_material import contents
from listener import Listener
from PIL import Image
from safetensors.torch import load_file

import synthaug
from synthaug.documents import FitDocument
from synthaug.errors import SynthaugError
from synthaug.models.inputs import Inputs
from synthaug.pipelines import prepare
from synthaug.runs import Run, find
from synthaug.sampling.trained import load_generator
from synthaug.training import checkpoint

SMALL = (
    "data.resolution=16",
    "model.width=8",
    "model.discriminator_width=8",
    "training.batch_size=16",
    "monitor.samples_per_class=8",
    "training.augment=[color]",
)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from sklearn.datasets import load_digits

    data, root = load_digits(), tmp_path_factory.mktemp("digits")
    for label, count in ((0, 40), (1, 40), (2, 6)):
        folder = root / str(label)
        folder.mkdir()
        for i in np.flatnonzero(data.target == label)[:count]:
            Image.fromarray((data.images[i] * 255 / 16).astype(np.uint8)).save(folder / f"{i:04d}.png")
    return root


def fit(digits: Path, runs: Path, *sets: str, **options: Any) -> FitDocument:
    return synthaug.fit(
        digits,
        target_class="2",
        runs=runs,
        set=() if options.get("resume") not in (None, "auto") else (*SMALL, *sets),
        device="cpu",
        cache=runs / "cache",
        **options,
    )


def weights(run: Run, name: str) -> dict[str, torch.Tensor]:
    folder = run.checkpoints / name
    return {
        **load_file(folder / "generator.safetensors"),
        **{f"t.{k}": v for k, v in load_file(folder / "training.safetensors").items()},
    }


def assert_equal(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[k], theirs[k]) for k in ours)


@pytest.fixture(scope="module")
def document(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> FitDocument:
    return fit(digits, tmp_path_factory.mktemp("runs"), "training.budget=5kimg")


@pytest.fixture(scope="module")
def finished(document: FitDocument) -> Run:
    return Run(Path(document.run))


def test_the_run_directory_holds_what_the_design_promises(digits: Path, finished: Run) -> None:
    for name in (
        "config.yaml",
        "environment.json",
        "split.csv",
        "metrics.jsonl",
        "status.json",
        "log.txt",
        "samples",
        "checkpoints",
    ):
        assert (finished.path / name).exists(), name
    assert (finished.path.parent / "latest").resolve() == finished.path.resolve()
    assert finished.status()["state"] == "finished"
    facts = finished.facts()
    assert facts.classes == ["0", "1", "2"]
    assert facts.targets == ["2"]
    assert facts.channels == 1
    rows = finished.metrics()
    assert {row["kind"] for row in rows} == {"step", "monitor"}
    monitors = [row for row in rows if row["kind"] == "monitor"]
    assert monitors[0]["kimg"] <= 2
    assert monitors[-1]["kimg"] == 4.992  # 312 batches of 16
    assert any(row["best"] for row in monitors)
    with finished.split_file.open() as file:
        split = {(r["label"], r["split"]) for r in csv.DictReader(file)}
    assert ("2", "val") not in split  # six images are too few to give any to val
    grid = Image.open(sorted(finished.samples.iterdir())[-1])
    assert grid.height == 3 * 66 + 2  # 16 px, four times as large
    margin = grid.width - (10 * 66 + 2)  # the labels
    assert 10 < margin < 40
    assert (np.asarray(grid)[:, :margin] < 128).any()


def test_images_that_do_not_fit_are_gathered_from_the_memory_map_and_the_training_is_the_same_bit_for_bit(
    digits: Path, finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare, "free_memory", lambda device: 1000)
    run = Run(Path(fit(digits, tmp_path, "training.budget=2kimg").run))
    assert "training images in the memory map" in (run.path / "log.txt").read_text()
    assert "training images on the device" in (finished.path / "log.txt").read_text()
    first = checkpoint.names(finished)[0]
    assert_equal(weights(run, first), weights(finished, first))


def test_no_pickle_and_no_temporary_file_is_left(finished: Run) -> None:
    files = [p for p in finished.path.rglob("*") if p.is_file()]
    assert {p.suffix for p in files} <= {".yaml", ".json", ".csv", ".jsonl", ".txt", ".png", ".safetensors", ".lock"}
    assert not [p for p in finished.path.rglob("*") if ".tmp" in p.name]


def test_the_generator_can_be_loaded_and_conditions_on_the_class(finished: Run) -> None:
    trained = load_generator(finished, "last", "cpu", cache=None)
    z = torch.randn(8, trained.z_dim, generator=torch.Generator().manual_seed(0))
    images = trained.generate(Inputs(torch.zeros(8, dtype=torch.int64), z))
    assert images.shape == (8, 1, 16, 16)
    assert not torch.equal(images, trained.generate(Inputs(torch.ones(8, dtype=torch.int64), z)))
    with pytest.raises(SynthaugError, match="kimg999999"):
        load_generator(finished, "kimg999999", cache=None)


def test_what_fit_returns_can_be_loaded(document: FitDocument) -> None:
    assert synthaug.load(document, device="cpu").sample("2", 3).shape == (3, 1, 16, 16)


SCRIPT = """
import sys, synthaug
from pathlib import Path
sets = {sets!r}
synthaug.fit({digits!r}, target_class="2", runs=Path({runs!r}), set=sets, device="cpu",
    cache=Path({runs!r}) / "cache", resume={resume!r})
"""


def launch(digits: Path, runs: Path, resume: str | None) -> subprocess.Popen[str]:
    sets = [*SMALL, "training.budget=5kimg"]
    code = SCRIPT.format(sets=sets, digits=str(digits), runs=str(runs), resume=resume)
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, env={**os.environ})


def wait_for_checkpoint(runs: Path, number: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        if len(list(runs.glob("0*/checkpoints/kimg*/state.json"))) >= number:
            return
        time.sleep(0.05)
    errors = process.stderr.read() if process.poll() is not None and process.stderr else "timeout"
    raise AssertionError(f"no checkpoint {number}: {errors}")


def test_kill_9_and_resume_is_the_uninterrupted_run_bit_for_bit(digits: Path, finished: Run, tmp_path: Path) -> None:
    process = launch(digits, tmp_path, None)
    wait_for_checkpoint(tmp_path, 2, process)
    with pytest.raises(SynthaugError, match=rf"is in use by process {process.pid} on .*, since 20"):
        fit(digits, tmp_path, "training.budget=5kimg", resume="auto")
    process.send_signal(signal.SIGKILL)
    process.wait()
    killed = find(None, tmp_path)
    assert killed.status()["state"] == "running"
    resumed = launch(digits, tmp_path, "auto")
    assert resumed.wait(timeout=300) == 0, resumed.stderr.read() if resumed.stderr else ""
    assert [p.name for p in sorted(tmp_path.glob("0*"))] == [killed.name]  # it went on, no new run
    last = sorted(p.name for p in finished.checkpoints.iterdir())[-1]
    assert_equal(weights(killed, last), weights(finished, last))
    noisy = {"images_per_second"}
    rows = [
        [{k: v for k, v in row.items() if k not in noisy} for row in run.metrics() if row["kind"] == "monitor"]
        for run in (killed, finished)
    ]
    assert rows[0] == rows[1]
    assert killed.status()["best_checkpoint"] == finished.status()["best_checkpoint"]


def unfinished_copy(finished: Run, place: Path) -> Run:
    copied = Run(place / finished.name)
    shutil.copytree(finished.path, copied.path)
    copied.set_status(state="interrupted")
    return copied


def cut(folder: Path) -> None:
    file = folder / "training.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def flip_a_bit(folder: Path) -> None:
    file = folder / "training.safetensors"
    content = bytearray(file.read_bytes())
    content[-100] ^= 1
    file.write_bytes(content)


def lose_the_state(folder: Path) -> None:
    (folder / "state.json").unlink()


def list_as_state(folder: Path) -> None:
    (folder / "state.json").write_text('{"counters": [1], "architecture": {}}')


@pytest.mark.parametrize("damage", [cut, flip_a_bit, lose_the_state, list_as_state])
def test_damage_is_noticed_and_nothing_is_lost(finished: Run, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    run = unfinished_copy(finished, tmp_path)
    whole = checkpoint.names(run)
    for name in whole[-2:]:
        damage(run.checkpoints / name)
    left = {name: contents(run.checkpoints / name) for name in whole[-2:]}
    assert len(checkpoint.set_damaged_aside(run)) == 2
    assert checkpoint.names(run) == whole[:-2]
    assert {p.name: contents(p) for p in (run.path / "set-aside").iterdir()} == left
    assert checkpoint.set_damaged_aside(run) == []


def test_a_damaged_newest_checkpoint_is_kept_and_the_one_before_is_continued(
    digits: Path, finished: Run, tmp_path: Path
) -> None:
    run, said = unfinished_copy(finished, tmp_path), Listener()
    *_, before, last = checkpoint.names(run)
    flip_a_bit(run.checkpoints / last)
    left = contents(run.checkpoints / last)
    fit(digits, tmp_path, "training.budget=5kimg", resume="auto", progress=said)
    assert contents(run.path / "set-aside" / last) == left
    assert any("damaged" in line and last in line and "set-aside" in line for line in said.warnings)
    assert f"continuing from {before}" in said.warnings
    assert_equal(weights(run, last), weights(finished, last))


def test_a_training_goes_back_to_a_checkpoint_and_keeps_the_newer_ones(
    digits: Path, finished: Run, tmp_path: Path
) -> None:
    run = unfinished_copy(finished, tmp_path)
    *_, before, last = checkpoint.names(run)
    with pytest.raises(SynthaugError, match="no checkpoint 'kimg999999'"):
        fit(digits, tmp_path, resume=str(run.path), checkpoint="kimg999999")
    fit(digits, tmp_path, resume=str(run.path), checkpoint=before)
    assert [p.name for p in (run.path / "set-aside").iterdir()] == [last]
    assert run.status()["state"] == "finished"
    assert_equal(weights(run, last), weights(finished, last))
    with pytest.raises(SynthaugError, match="was given without a run"):
        fit(digits, tmp_path, checkpoint=before)


def test_a_best_checkpoint_that_is_gone_is_not_replaced_in_silence(finished: Run, tmp_path: Path) -> None:
    run = unfinished_copy(finished, tmp_path)
    shutil.rmtree(run.checkpoints / run.status()["best_checkpoint"])
    with pytest.raises(SynthaugError, match=r"names the best checkpoint .* which is gone") as caught:
        load_generator(run, "best", cache=None)
    assert "--checkpoint: last" in caught.value.hint


def test_a_time_budget_becomes_images_once(digits: Path, tmp_path: Path) -> None:
    made = fit(digits, tmp_path, "training.budget=4s")
    run = Run(Path(made.run))
    state = json.loads(
        (run.checkpoints / sorted(p.name for p in run.checkpoints.iterdir())[-1] / "state.json").read_text()
    )
    assert state["counters"]["total"] == state["counters"]["images"]
    assert made.kimg >= 1.0


def test_refusals(digits: Path, finished: Run, tmp_path: Path) -> None:
    root = finished.path.parent
    with pytest.raises(SynthaugError, match="finished"):
        fit(digits, root, resume=finished.name)
    with pytest.raises(SynthaugError, match="budget"):
        synthaug.fit(digits, runs=root, resume=finished.name, budget="9kimg")
    with pytest.raises(SynthaugError, match="shirt") as caught:
        synthaug.fit(digits, target_class="shirt", runs=tmp_path, cache=tmp_path / "cache")
    assert "choices" in caught.value.hint
    with pytest.raises(SynthaugError, match="'dcgn'") as caught:
        synthaug.fit(digits, runs=tmp_path, set=["model.family=dcgn"])
    assert "dcgan" in caught.value.hint
    assert not list(tmp_path.glob("0*"))


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (["model.family=mlp", "model.spectral_norm=false"], "spectral_norm"),
        (["model.family=mlp", "training.auxiliary={acgan: 1}"], "shows no features"),
        (["model.discriminator=unconditional"], "ignores labels"),
    ],
)
def test_parts_that_do_not_go_together_leave_no_run(
    digits: Path, tmp_path: Path, sets: list[str], message: str
) -> None:
    with pytest.raises(SynthaugError, match=message):
        fit(digits, tmp_path / "runs", "training.budget=1kimg", "monitor.features=own", *sets)
    assert not list((tmp_path / "runs").glob("0*"))


def test_a_damaged_or_foreign_checkpoint_is_refused(digits: Path, finished: Run, tmp_path: Path) -> None:
    import shutil

    copy = Run(tmp_path / finished.name)
    shutil.copytree(finished.path, copy.path)
    name = sorted(p.name for p in copy.checkpoints.iterdir())[-1]
    config = copy.config_file.read_text()
    copy.config_file.write_text(config.replace("  width: 8", "  width: 12"))
    with pytest.raises(SynthaugError, match="another architecture"):
        load_generator(copy, name, cache=None)
    copy.config_file.write_text(config)
    (copy.checkpoints / name / "generator.safetensors").write_bytes(b"nonsense")
    with pytest.raises(SynthaugError, match="damaged"):
        load_generator(copy, name, cache=None)


def test_nothing_is_written_into_the_data_folder(digits: Path, finished: Run) -> None:
    assert {p.suffix for p in digits.rglob("*") if p.is_file()} == {".png"}
    assert not list(digits.rglob(".*"))


def test_auto_compiles_where_it_pays_and_a_resumed_run_keeps_to_it(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from synthaug.training import compilation

    compiled: list[str] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: compiled.append(type(self).__name__))
    never = {"cpu": compilation.Gain(seconds=60, speedup=1.0)}
    monkeypatch.setattr(compilation, "MEASURED", never)
    fit(digits, tmp_path, "training.budget=2kimg")
    assert compiled == []
    at_once = {"cpu": compilation.Gain(seconds=1e-6, speedup=2.0)}
    monkeypatch.setattr(compilation, "MEASURED", at_once)
    run = Run(Path(fit(digits, tmp_path, "training.budget=3kimg").run))
    assert compiled == ["DCGANGenerator", "ProjectionDiscriminator"]
    state = json.loads((run.checkpoints / "kimg000003" / "state.json").read_text())
    assert state["counters"]["compiled"] is True
    fit(digits, tmp_path, "training.budget=0.1kimg", "training.compile=false")
    assert len(compiled) == 2
    fit(digits, tmp_path, "training.budget=0.1kimg", "training.compile=true")
    assert len(compiled) == 4
    monkeypatch.setattr(compilation, "MEASURED", never)  # a decision that was taken stays
    for folder in sorted(run.checkpoints.iterdir())[1:]:
        shutil.rmtree(folder)
    run.set_status(state="interrupted")
    fit(digits, tmp_path, resume=str(run.path))
    assert len(compiled) == 6
