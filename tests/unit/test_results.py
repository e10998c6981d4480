"""What the Python functions return: short text, HTML with verdict and samples, images, and a run for what follows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from export_material import CLASSES, Painters, make_run, save_images
from PIL import Image
from report_material import evaluation

import synthaug
from synthaug.documents import EvaluateDocument, FitDocument, NextStep
from synthaug.errors import SynthaugError
from synthaug.requests import ExportRequest
from synthaug.results.images import Images
from synthaug.results.trained import EvaluateResult, FitResult
from synthaug.runs import Run

COUNTS = dict(zip(CLASSES, (30, 8, 30), strict=True))
RARE = CLASSES[1]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("results")
    save_images(root / "data", COUNTS)
    run = make_run(root / "data", root / "runs")
    run.samples.mkdir()
    Image.new("RGB", (4, 4)).save(run.samples / f"{run.status()['best_checkpoint']}.png")
    return run


@pytest.fixture
def fitted(run: Run, monkeypatch: pytest.MonkeyPatch) -> FitResult:
    monkeypatch.setattr("synthaug.sampling.generate.load_generator", Painters())
    document = FitDocument(
        run=str(run.path), kimg=12.5, seconds=60.0, images_per_second=208.0, best_checkpoint="kimg000001",
        targets=[RARE], split={"train": COUNTS, "val": {}, "test": {}}, monitor={},
    )  # fmt: skip
    return FitResult.of(document)


def evaluated(run: Run | None) -> EvaluateResult:
    document = evaluation(list(CLASSES), [RARE])
    document.run = None if run is None else str(run.path)
    document.next = NextStep(sentence="Export <it>.", command="synthaug export --recommended --out DIR")
    return EvaluateResult.of(document)


def test_a_training_prints_its_run_and_shows_its_samples(fitted: FitResult, run: Run) -> None:
    assert repr(fitted) == str(fitted) == f"trained 12.5 kimg for {RARE}: {run.path}"
    shown = fitted._repr_html_()
    assert 'src="data:image/png;base64,' in shown
    assert f"<td>{RARE}</td><td>8</td><td>0</td>" in shown
    assert fitted.model_dump() == FitDocument(**dict(fitted)).model_dump()


def test_samples_are_pictures_and_arrays(fitted: FitResult) -> None:
    images = fitted.samples(RARE, 6)
    assert (len(images), images.pixels.shape) == (6, (6, 3, 16, 16))
    assert all(image.size == (16, 16) for image in images)
    assert np.array_equal(np.asarray(images)[2], np.asarray(images[2]))
    assert np.array_equal(np.asarray(images[2:4]), np.asarray(fitted.samples(RARE, 2, 2)))
    assert images._repr_png_().startswith(b"\x89PNG")  # type: ignore[union-attr]
    assert Images(images.pixels[:, :1])[0].mode == "L"
    with pytest.raises(SynthaugError, match="no class 'nothing'"):
        fitted.samples("nothing")
    with pytest.raises(SynthaugError, match="no class 3\nhint: choices: "):  # a traceback shows the hint
        fitted.samples(3)  # type: ignore[arg-type]


def test_an_evaluation_begins_with_the_verdict_and_ends_with_what_to_do(run: Run) -> None:
    lines = str(evaluated(run)).splitlines()
    assert lines[0].startswith("Yes: ")
    assert any(line.startswith(f"F1 of {RARE}: ") and " → " in line for line in lines)
    assert "next: Export <it>." in lines
    shown = evaluated(run)._repr_html_()
    assert shown.startswith("<p><b>Yes: ")
    assert "<p>Export &lt;it&gt;.</p><pre>synthaug export --recommended --out DIR</pre>" in shown
    assert "<img " in shown
    assert "<img " not in evaluated(None)._repr_html_()
    with pytest.raises(SynthaugError, match="not made by a run"):
        evaluated(None).samples(RARE)


def test_a_result_stands_for_its_run(fitted: FitResult, run: Run) -> None:
    assert isinstance(evaluated(run), EvaluateDocument)
    for result in (fitted, evaluated(run)):
        assert ExportRequest(run=result).run == str(run.path)
        assert synthaug.load(result).trained.run.path == run.path


def test_a_look_at_a_folder(run: Run, tmp_path: Path) -> None:
    found = synthaug.inspect(run.facts().data, cache=tmp_path)
    assert f"rare: {RARE} (8)" in str(found)
    assert f"<td>{RARE}</td><td>8</td><td>11.8%</td><td>rare</td>" in found._repr_html_()


def test_a_look_at_a_folder_with_a_test_set_counts_training_images(tmp_path: Path) -> None:
    for kind, (name, counts) in enumerate({"common": (9, 2), "rare": (3, 6)}.items()):
        for split, count in zip(("train", "test"), counts, strict=True):
            for number in range(count):
                file = tmp_path / "data" / split / name / f"{number}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                pixels = np.random.default_rng([kind, number, count]).integers(256, size=(16, 16), dtype=np.uint8)
                Image.fromarray(pixels).save(file)
    found = synthaug.inspect(tmp_path / "data", cache=tmp_path / "cache")
    assert "rare: rare (3)" in str(found)
    assert "<th>train</th><th>test</th><th>rare</th>" in found._repr_html_()
    assert "<td>rare</td><td>9</td><td>45.0%</td><td>3</td><td>6</td><td>rare</td>" in found._repr_html_()


def test_the_package_lists_all_names_and_each_can_be_imported() -> None:
    listed = "import synthaug, sys; print(*dir(synthaug)); print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", listed], capture_output=True, text=True, check=True)
    names, imported = done.stdout.splitlines()
    assert set(names.split()) == set(synthaug.__all__)
    assert imported == "False False"
    for name in synthaug.__all__:
        assert name == "__version__" or getattr(synthaug, name).__doc__
    assert "\n    budget (10min|90s|200kimg): How long to train." in str(synthaug.fit.__doc__)
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        synthaug.fitt
