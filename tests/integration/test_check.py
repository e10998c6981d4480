"""`check` on a run: whose images are judged, against which, and what is left in the run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from listener import Listener
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from synthaug.config import resolve
from synthaug.data.folder import scan
from synthaug.data.split import Split, SplitRow
from synthaug.documents import CheckDocument
from synthaug.errors import SynthaugError
from synthaug.pipelines import check as pipeline
from synthaug.pipelines import monitor_net
from synthaug.runs import Run, RunFacts, create, write_config

DIGITS = load_digits()
CLASSES = ["one", "three"]
NUMBERS = [1, 3]
ORDER = np.random.default_rng(0).permutation(len(DIGITS.target))


def images(label: int, first: int, last: int) -> NDArray[np.uint8]:
    rows = ORDER[DIGITS.target[ORDER] == NUMBERS[label]][first:last]
    return np.kron(DIGITS.images[rows] * 15, np.ones((2, 2))).astype(np.uint8)


class Endless:
    """Starts from noise, so that there is no end to its images."""

    classes = CLASSES

    def most(self, label: str) -> float:
        return math.inf


class RealImages(Endless):
    """A perfect generator: unseen real images, in order."""

    def __init__(self, first: int) -> None:
        self.first = first

    def sample(self, label: str, count: int, start: int = 0) -> NDArray[np.uint8]:
        found = images(CLASSES.index(label), self.first, self.first + 70)
        return found[np.arange(start, start + count) % len(found)][:, None]


class Copier(Endless):
    """Gives the training images, mirrored."""

    def sample(self, label: str, count: int, start: int = 0) -> NDArray[np.uint8]:
        found = images(CLASSES.index(label), 0, 30)[:, None, :, ::-1]
        return found[np.arange(start, start + count) % len(found)]


class GreyLevels:
    name, sha256, dim, identity = "pixels", "0" * 64, 64, "pixels@000000000000"

    def __call__(self, pixels: NDArray[np.uint8], *, batch_size: int | None = None) -> NDArray[np.float32]:
        return pixels[:, 0, ::2, ::2].reshape(len(pixels), -1).astype(np.float32)


def save(label: int, first: int, last: int, folder: Path) -> None:
    (folder / CLASSES[label]).mkdir(parents=True, exist_ok=True)
    for i, pixels in enumerate(images(label, first, last), start=first):
        Image.fromarray(pixels).save(folder / CLASSES[label] / f"{i:03d}.png")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run trained on images 0 to 29 of each class; 30 to 69 are its test images."""
    data = tmp_path / "data"
    for label in (0, 1):
        save(label, 0, 70, data)
    found = scan(data, cache=tmp_path / "cache")
    rows = [
        SplitRow(i.path, i.pixel_sha256, i.label, i.path, "train" if int(Path(i.path).stem) < 30 else "test")
        for i in found.images
    ]
    made = create(tmp_path / "runs", "digits")
    facts = RunFacts(data=data, classes=CLASSES, targets=["three"], channels=1, fingerprint="x")
    write_config(made, resolve(flags={"data.resolution": 16}), facts)
    Split(rows).write(made.split_file)
    monkeypatch.setattr(pipeline, "load", lambda *_, **__: RealImages(100))
    monkeypatch.setattr(monitor_net, "features_for", lambda *_, **__: GreyLevels())
    return made


def check(run: Run, **more: Any) -> CheckDocument:
    return pipeline.check(run.path, count=70, cache=run.path.parent.parent / "cache", **more)


def test_a_run_is_judged_against_its_test_images(run: Run) -> None:
    found = check(run)
    assert (found.reference, found.gated, found.features) == ("test", False, "pixels@000000000000")
    for q in found.per_class.values():
        assert (q.n_real, q.n_synthetic) == (40, 70)
        assert (q.collapse, q.memorisation) == ("healthy", "clear")
    assert type(found).model_validate(json.loads((run.path / "check.json").read_text())) == found
    assert found == check(run)


def test_a_copier_is_caught(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "load", lambda *_, **__: Copier())
    found = check(run)
    assert [q.memorisation for q in found.per_class.values()] == ["copying", "copying"]
    assert found.worst_pairs[0].mirrored
    assert found.worst_pairs[0].distance == pytest.approx(0, abs=1e-2)


def test_without_held_out_images_the_training_images_are_used_and_said_so(run: Run) -> None:
    split = Split.read(run.split_file)
    Split(split.of("train")).write(run.split_file)
    speaker = Listener()
    found = check(run, progress=speaker)
    assert found.reference == "train"
    assert "copies get too good a score" in speaker.warnings[0]
    assert {q.memorisation for q in found.per_class.values()} == {"insufficient held-out data"}


def test_a_reference_of_ones_own_loses_what_the_run_has_seen(run: Run, tmp_path: Path) -> None:
    for label in (0, 1):
        save(label, 20, 60, tmp_path / "other")
    speaker = Listener()
    found = check(run, reference=tmp_path / "other", progress=speaker)
    assert found.reference == "folder"
    assert {q.n_real for q in found.per_class.values()} == {30}
    assert any("left out 20 reference images" in line for line in speaker.warnings)
    for label in (0, 1):
        save(label, 0, 30, tmp_path / "seen")
    with pytest.raises(SynthaugError, match="the run has seen every image of"):
        check(run, reference=tmp_path / "seen")


def test_data_that_is_gone_is_an_error(run: Run) -> None:
    (run.path.parent.parent / "data").rename(run.path.parent.parent / "elsewhere")
    with pytest.raises(SynthaugError, match="is gone"):
        check(run)
