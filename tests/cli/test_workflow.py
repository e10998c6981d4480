"""The commands one after the other on a folder with spaces and letters of many alphabets in its names."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from synthaug import documents
from synthaug.documents import Document

Synthaug = Callable[..., Any]
CLASSES = {"красная кошка": 9, "Straßen-Hund": 16, "猫 & co": 16}
TARGET = "красная кошка"
DATA = "meine Bilder ü"
SMALL = [
    *("--resolution", "16", "--set", "model.width=4"),
    *("--set", "model.discriminator_width=4", "--set", "gate.steps=20"),
]


@pytest.fixture(scope="module")
def synthaug(synthaug: Synthaug) -> Synthaug:
    """All commands are forks of one process, but for those that get a signal: half of their time would be imports."""
    return partial(synthaug, forked=True)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, synthaug: Synthaug) -> Path:
    """A folder with data, and a run on it."""
    place = tmp_path_factory.mktemp("work") / "a place"
    rng = np.random.default_rng(0)
    for kind, (name, count) in enumerate(CLASSES.items()):
        (place / DATA / name).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 200, (16, 16, 3), dtype=np.uint8)
            pixels[4 * kind : 4 * kind + 4] += 55
            Image.fromarray(pixels).save(place / DATA / name / f"bild {number} é.png")
    done = synthaug("fit", DATA, "--target-class", TARGET, "--budget", "0.2kimg", *SMALL, cwd=place)
    assert done.status == 0, done.stderr
    assert done.stdout.count("target") >= 1
    commands = re.findall(r"^(?:next:|     ) (synthaug .*)$", done.stdout, flags=re.MULTILINE)
    assert [shlex.split(command)[1] for command in commands] == ["samples", "evaluate", "export"]
    assert TARGET in shlex.split(commands[0])
    return place


def document(done: Any, kind: type[Document]) -> Any:
    """The one JSON document on stdout, read by its model."""
    assert done.status == 0, done.stderr
    return kind.model_validate_json(done.stdout)


def test_inspect(place: Path, synthaug: Synthaug) -> None:
    found = document(synthaug("inspect", DATA, "--json", cwd=place), documents.InspectDocument)
    assert {name: c.count for name, c in found.classes.items()} == CLASSES
    assert shlex.split(found.command)[:2] == ["synthaug", "fit"]
    text = synthaug("inspect", DATA, cwd=place).stdout
    assert all(name in text for name in CLASSES)
    assert f"next: {found.command}" in text


def test_runs(place: Path, synthaug: Synthaug) -> None:
    listed = document(synthaug("runs", "ls", "--json", cwd=place), documents.RunsDocument)
    assert [run.state for run in listed.runs] == ["finished"]
    shown = document(synthaug("runs", "show", "0", "--json", cwd=place), documents.RunDocument)
    assert shown.targets == [TARGET]
    assert shown.checkpoints
    kept = document(synthaug("runs", "prune", "--json", cwd=place), documents.PruneDocument)
    assert kept.runs == []


def test_dry_run_writes_nothing(place: Path, synthaug: Synthaug, listing: Callable[[Path], Any]) -> None:
    before = listing(place)
    done = synthaug(
        "fit", DATA, "--set", "training.batch_size=16", *SMALL, "--budget", "1kimg", "--dry-run", "--json", cwd=place
    )
    plan = document(done, documents.FitPlan)
    assert plan.origins["training.batch_size"] == "--set"
    assert plan.config["training.budget"] == "1kimg"
    assert plan.estimated_seconds > 0
    assert (plan.memory_megabytes or 0) > 0 or sys.platform != "linux"
    guess = plan.guess_for_gpu
    assert guess is not None  # there is no GPU, and what one would need is said to be a guess
    assert guess.seconds == pytest.approx(1000 / guess.images_per_second, rel=0.1)
    assert listing(place) == before


def test_samples(place: Path, synthaug: Synthaug) -> None:
    made = document(
        synthaug("samples", "--class", TARGET, "--count", "3", "--out", "ein paar", "--json", cwd=place),
        documents.SamplesDocument,
    )
    files = [place / "ein paar" / name for name in made.per_class[TARGET]]
    assert len(files) == 3
    assert all(Image.open(file).size == (16, 16) for file in files)


def test_traverse(place: Path, synthaug: Synthaug) -> None:
    codes = ["--set", "model.continuous_codes=1", "--set", "training.auxiliary={infogan: 1.0}"]
    trained = synthaug("fit", DATA, "--budget", "0.2kimg", *SMALL, *codes, "--runs", "mit Codes", cwd=place)
    assert trained.status == 0, trained.stderr
    arguments = ["--code", "0", "--class", TARGET, "--rows", "2", "--steps", "3", "--out", "größer.png"]
    drawn = synthaug("traverse", *arguments, "--runs", "mit Codes", "--json", cwd=place)
    made = document(drawn, documents.TraverseDocument)
    assert made.label == TARGET
    assert made.codes == {"0": [-0.98, 0.0, 0.98]}
    assert Image.open(place / "größer.png").size == (3 * 66 + 2, 2 * 66 + 2)
    (place / "größer.png").unlink()


def test_walks(place: Path, synthaug: Synthaug) -> None:
    arguments = ["--rows", "2", "--steps", "4", "--json", "--class", TARGET]
    noises = synthaug("traverse", "--along", "noise", "--out", "n.png", *arguments, cwd=place)
    made = document(noises, documents.TraverseDocument)
    assert (made.along, made.to, made.codes) == ("noise", None, {})
    assert made.places == [0.0, 0.333333, 0.666667, 1.0]
    assert Image.open(place / "n.png").size == (4 * 66 + 2, 2 * 66 + 2)
    classes = ["traverse", "--along", "classes", "--to", "猫 & co", "--out", "c.png"]
    made = document(synthaug(*classes, *arguments, cwd=place), documents.TraverseDocument)
    assert (made.label, made.to, made.rows) == (TARGET, "猫 & co", 2)
    assert (
        f"{TARGET} to 猫 & co: 2 rows"
        in synthaug(*classes, "--overwrite", *arguments[:4], "--class", TARGET, cwd=place).stdout
    )
    for name in ("n.png", "c.png"):
        (place / name).unlink()


def test_truncated_and_selected_images_are_remade(place: Path, synthaug: Synthaug) -> None:
    options = ["--truncation", "0.6", "--select", "top-k", "--keep", "0.5", "--no-gate"]
    done = synthaug("export", "--per-class", f"{TARGET}=70", *options, "--out", "gewählt", "--json", cwd=place)
    made = document(done, documents.ExportDocument)
    exported = made.per_class[TARGET]
    assert exported.rejected["discriminator"] >= 32
    manifest = json.loads((place / "gewählt" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["truncation"] == 0.6
    assert (manifest["selection"]["method"], manifest["selection"]["keep"]) == ("top-k", 0.5)
    rows = [
        json.loads(line) for line in (place / "gewählt/train/metadata.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    scores = {row["gate"]["discriminator_score"] for row in rows if row["synthetic"]}
    assert len(scores) > 1
    remade = document(synthaug("regenerate", "gewählt", "--verify", "--json", cwd=place), documents.RegenerateDocument)
    assert remade.rows == remade.equal == exported.synthetic
    few = synthaug(
        "samples", "--class", TARGET, "--count", "2", "--truncation", "0.5", "--out", "mitte", "--json", cwd=place
    )
    assert document(few, documents.SamplesDocument).truncation == 0.5


def test_export_and_regenerate(place: Path, synthaug: Synthaug) -> None:
    data_before = {p: p.stat().st_mtime_ns for p in (place / DATA).rglob("*")}
    done = synthaug("export", "--per-class", f"{TARGET}=12", "--no-gate", "--out", "größer", "--json", cwd=place)
    made = document(done, documents.ExportDocument)
    exported = made.per_class[TARGET]
    assert exported.asked == 12
    assert exported.real + exported.synthetic == 12
    folders = [p for p in (place / "größer" / "train").iterdir() if p.is_dir()]
    assert len(folders) == 3
    assert sum(len(list(folder.iterdir())) for folder in folders) == sum(
        c.real + c.synthetic for c in made.per_class.values()
    )
    assert {p: p.stat().st_mtime_ns for p in (place / DATA).rglob("*")} == data_before
    remade = document(
        synthaug("regenerate", "größer/train/metadata.jsonl", "--verify", "--json", cwd=place),
        documents.RegenerateDocument,
    )
    assert (remade.rows, remade.equal) == (exported.synthetic, exported.synthetic)
    assert "equal bit for bit" in synthaug("regenerate", "größer", cwd=place).stdout


QUICK = ["--classifier", "logistic", "--seeds", "2", "--arms", "oversample,synthetic", "--jobs", "1"]


def test_evaluate_with_folds(place: Path, synthaug: Synthaug) -> None:
    """Without --gate: what 200 images have taught looks like no class at all."""
    command = ["evaluate", "--folds", "2", *QUICK, "--no-gate", "--out", "zwei Hälften"]
    done = synthaug(*command, "--json", cwd=place)
    found = document(done, documents.EvaluateDocument)
    assert found.folds == 2
    assert found.split["test"] == CLASSES  # every image is a test image once
    assert sum(map(sum, found.arms["synthetic"].confusion)) == found.seeds * sum(CLASSES.values())
    run = (place / "runs" / "latest").resolve()
    states = [json.loads((run / name / "status.json").read_text())["state"] for name in found.fold_runs]
    assert states == ["finished", "finished"]
    assert {"report.html", "report.md", "report.json"} <= {p.name for p in (place / "zwei Hälften").iterdir()}
    trained = "training its generator"
    assert done.stderr.count(trained) == 2
    again = synthaug(*command, cwd=place)
    assert again.status == 0, again.stderr
    assert trained not in again.stderr
    assert "tested on all images in 2 folds" in " ".join(again.stdout.split())
    assert f"verdict: {found.verdict.overall}." in again.stdout


def test_evaluate_images_of_any_origin_without_a_run(place: Path, synthaug: Synthaug, tmp_path: Path) -> None:
    (tmp_path / "fremd" / TARGET).mkdir(parents=True)
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 256, (20, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "fremd" / TARGET / f"{number}.png")
    before = {p: p.stat().st_mtime_ns for p in (place / DATA).rglob("*")}
    done = synthaug(
        "evaluate", "--data", place / DATA, "--synthetic", "fremd", "--target-class", TARGET, "--resolution", "16",
        *QUICK, "--json", cwd=tmp_path,
    )  # fmt: skip
    found = document(done, documents.EvaluateDocument)
    assert (found.run, found.data, found.synthetic) == (None, str(place / DATA), "fremd")
    assert found.targets == [TARGET]
    assert found.quality.per_class[TARGET].n_synthetic == 12
    assert found.generator_quality is None
    assert found.report == str(tmp_path / "evaluation" / "report.html")
    assert Path(found.report).is_file()
    assert {p.name for p in tmp_path.iterdir()} == {"fremd", "evaluation"}  # no run is made
    assert {p: p.stat().st_mtime_ns for p in (place / DATA).rglob("*")} == before


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_go_on(number: signal.Signals, status: int, place: Path, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("synthaug")), "fit", str(place / DATA), "--target-class", TARGET]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    with subprocess.Popen(
        [*command, "--budget", "1000kimg", *SMALL],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            log = tmp_path / "runs" / "latest" / "metrics.jsonl"
            while not (log.exists() and log.stat().st_size):  # the test's own time limit ends this where it hangs
                assert running.poll() is None, running.communicate()
                time.sleep(0.2)
            running.send_signal(number)
            stdout, stderr = running.communicate()
        finally:
            running.kill()
    assert running.returncode == status, stderr
    assert stdout == ""
    (hint,) = [line for line in stderr.splitlines() if line.startswith("hint: ")]
    assert len([line for line in stderr.splitlines() if line.startswith("error: ")]) == 1
    assert "--resume" in hint
    assert "stopping after this step" in stderr
    status_file = json.loads((tmp_path / "runs" / "latest" / "status.json").read_text())
    assert status_file["state"] == "interrupted"
    assert status_file["kimg"] > 0
    assert any((tmp_path / "runs" / "latest" / "checkpoints").iterdir())
