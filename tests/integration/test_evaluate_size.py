"""`evaluate --size`: classifiers see what `export` writes, and the blur of enlarging does not count as help."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from export_material import CLASSES as PAINTED
from export_material import Painters, metadata, save_images
from export_material import make_run as make_painted_run
from PIL import Image
from sklearn.datasets import load_digits

from synthaug.classifiers import CLASSIFIERS
from synthaug.classifiers.steps import draws
from synthaug.config import resolve
from synthaug.data.cache import load_images
from synthaug.data.folder import scan
from synthaug.data.split import split
from synthaug.documents import EvaluateDocument
from synthaug.errors import SynthaugError
from synthaug.evaluation.arms import DOWN_UP, needed_controls
from synthaug.evaluation.grid import Grid
from synthaug.evaluation.trial import run_trials
from synthaug.evaluation.trial_cache import key
from synthaug.pipelines import evaluate as pipeline
from synthaug.pipelines.evaluate import evaluate
from synthaug.pipelines.export import export
from synthaug.runs import Run, RunFacts, create, write_config
from synthaug.seeds import evaluation_seed

CLASSES, RARE = ["3", "5", "8", "9"], "8"
SIDE, GENERATOR = 32, 16
RING = PAINTED[1]


class Centroids:
    """The nearest mean of the drawn images. The mean of few images is noisy, so that blur makes it better."""

    uses_steps: ClassVar[bool] = True
    native_side: ClassVar[int] = SIDE

    def __init__(self, *, device: str = "auto") -> None:
        self.device = device

    def fit(
        self, pixels: Any, labels: Any, draw_weights: Any, *, num_classes: int, steps: int, seed: int, **_: Any
    ) -> Centroids:
        drawn = draws(draw_weights, steps, 64, seed).ravel()
        flat, truth = pixels[drawn].reshape(len(drawn), -1) / 255, labels[drawn]
        self.means = np.stack([flat[truth == k].mean(axis=0) for k in range(num_classes)])
        return self

    def predict_proba(self, pixels: Any) -> Any:
        flat = pixels.reshape(len(pixels), int(np.prod(pixels.shape[1:]))) / 255
        distances = ((flat[:, None] - self.means[None]) ** 2).sum(-1)
        return (distances == distances.min(axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(autouse=True, scope="module")
def _plugged_in() -> Iterator[None]:
    CLASSIFIERS._entries["centroids"] = f"{__name__}:Centroids"
    sys.modules.setdefault(__name__, sys.modules[Centroids.__module__])
    yield
    del CLASSIFIERS._entries["centroids"]


@pytest.fixture
def grids(monkeypatch: pytest.MonkeyPatch) -> list[Grid]:
    """What classifiers were given."""
    seen: list[Grid] = []

    def watched(grid: Grid, *arguments: Any) -> Any:
        seen.append(grid)
        return run_trials(grid, *arguments)

    monkeypatch.setattr(pipeline, "run_trials", watched)
    return seen


# --- digits of 32 px with grain, and a generator of 16 px ------------------------------------------------------------


@dataclass
class Grainy:
    root: Path
    run: Run

    def evaluate(self, synthetic: str, **changes: Any) -> EvaluateDocument:
        arguments: dict[str, Any] = {
            "classifier": "centroids", "seeds": 5, "steps": 6, "jobs": 1, "device": "cpu", "shares": [0.5],
            "cache": self.root / "cache", "out": self.root / "report", "synthetic": self.root / synthetic,
        }  # fmt: skip
        return evaluate(self.run.path, **(arguments | changes))


def write(folder: Path, images: np.ndarray) -> None:
    folder.mkdir(parents=True)
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i:03d}.png")


def make_grainy(root: Path, rare: int, grain: float) -> Grainy:
    """Training images of which `rare` are of the rare digit, and two folders: more real ones, and these down and up."""
    loaded, rng = load_digits(), np.random.default_rng(0)
    large = np.kron(loaded.images * 8, np.ones((4, 4))) + 60
    pixels = np.clip(large + rng.normal(0, grain, large.shape), 0, 255).astype(np.uint8)
    for name in CLASSES:
        own = pixels[loaded.target == int(name)]
        count = rare if name == RARE else 40
        write(root / "data" / "test" / name, own[:70])
        write(root / "data" / "train" / name, own[70 : 70 + count])
        if name == RARE:
            write(root / "more" / name, own[70 + count :])
            down = [Image.fromarray(x).resize((GENERATOR,) * 2, Image.Resampling.LANCZOS) for x in own[70:][:count]]
            up = np.stack([np.asarray(x.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for x in down])
            write(root / "blurred" / name, np.concatenate([up] * (90 // count)))
    resolved = resolve(flags={"data.resolution": GENERATOR})
    scanned = scan(root / "data", cache=root / "cache")
    run = create(root / "runs", "grainy")
    split(scanned, resolved.config.data, 0).write(run.split_file)
    run.set_status(state="finished", kimg=0.0)
    facts = RunFacts(data=root / "data", fingerprint=scanned.fingerprint, classes=CLASSES, targets=[RARE], channels=1)
    write_config(run, resolved, facts)
    return Grainy(root, run)


@pytest.fixture(scope="module")
def grainy(tmp_path_factory: pytest.TempPathFactory) -> Grainy:
    """So much grain that a smooth copy is better than its original."""
    return make_grainy(tmp_path_factory.mktemp("grainy"), rare=6, grain=60)


@pytest.fixture(scope="module")
def scarce(tmp_path_factory: pytest.TempPathFactory) -> Grainy:
    """Two images of the rare digit, which more of its kind can only help."""
    return make_grainy(tmp_path_factory.mktemp("scarce"), rare=2, grain=25)


def test_a_planted_blur_beats_every_other_control_and_is_not_said_to_help(grainy: Grainy) -> None:
    found = grainy.evaluate("blurred", size="native")
    details = found.verdict.details[RARE]
    gained = found.arms["synthetic"].per_class[RARE].f1
    assert details.contrasts["synthetic-oversample"].low > 0.05
    assert all(gained > found.arms[name].per_class[RARE].f1 + 0.05 for name in needed_controls("centroids"))
    assert found.verdict.overall == found.verdict.per_target[RARE] == "no measurable effect"
    assert found.verdict.best_control in DOWN_UP
    assert "down-up" in details.reason
    assert found.verdict.missing_controls == []
    assert found.sharpness[RARE].told_apart
    report = (grainy.root / "report" / "report.html").read_text(encoding="utf-8")
    assert report.index("Sharpness alone tells") < report.index("make no measurable difference")
    page = (grainy.root / "report" / "report.md").read_text(encoding="utf-8")
    assert page.index("Sharpness alone tells") < page.index("make no measurable difference")


def test_without_the_arms_of_reduced_images_nothing_is_said_to_help(grainy: Grainy) -> None:
    found = grainy.evaluate(
        "blurred", size="native", arms=[*needed_controls("centroids"), "synthetic", "synthetic+classical"]
    )
    assert found.verdict.contrasts["synthetic-oversample"].low > 0.05
    assert found.verdict.missing_controls == list(DOWN_UP)
    assert found.verdict.overall == "no measurable effect"
    assert "down-up, down-up+classical may do as well, and was not trained" in found.verdict.sentence


def test_more_sharp_images_help_at_native_size(scarce: Grainy) -> None:
    found = scarce.evaluate("more", size="native")
    assert found.verdict.overall == "helps", found.verdict.sentence
    assert not found.sharpness[RARE].told_apart


def test_the_size_stands_everywhere(scarce: Grainy) -> None:
    found = scarce.evaluate("more", size="native")
    assert found.size is not None
    assert found.size.model_dump() == {
        "asked": "native", "pixels": SIDE, "generator": GENERATOR, "real": SIDE, "enlarged": 2.0,
        "upscaler": None,
    }  # fmt: skip
    said = "At native size (synthetic images of 16 px enlarged 2.0 times, all read at 32 px), the synthetic images help"
    assert found.verdict.sentence.startswith(said)
    stored = json.loads((scarce.root / "report" / "report.json").read_text(encoding="utf-8"))
    assert stored["size"]["pixels"] == SIDE
    assert "were all read at 32 px" in (scarce.root / "report" / "report.html").read_text(encoding="utf-8")
    model = scarce.evaluate("more", arms=["oversample", "synthetic"], seeds=2)
    assert model.verdict.sentence.startswith("At 16 px, the generator's size, the synthetic images")
    assert "To judge them at that size: --size native" in model.verdict.caveats[-1]
    assert set(model.arms) == {"oversample", "synthetic"}


def test_classifiers_see_one_size_and_quality_another(grainy: Grainy, grids: list[Grid]) -> None:
    few: dict[str, Any] = {"arms": ["oversample", "synthetic"], "seeds": 2}
    for size in ("model", 24, "native"):
        found = grainy.evaluate("blurred", size=size, **few)
    sides = [{g.train.pixels.shape[-1], g.pool.pixels.shape[-1], g.val.shape[-1], g.test.shape[-1]} for g in grids]
    assert sides == [{GENERATOR}, {24}, {SIDE}]
    assert len({key(grid) for grid in grids}) == 3
    model = grainy.evaluate("blurred", **few)
    assert found.quality.per_class == model.quality.per_class
    assert grids[0].down_up is None
    for grid in grids[1:3]:
        assert grid.down_up is not None
        assert np.array_equal(grid.down_up.labels, grid.pool.labels)
        assert grid.down_up.pixels.shape == grid.pool.pixels.shape


def test_the_arms_of_reduced_images_do_not_exist_at_the_generators_size(grainy: Grainy) -> None:
    with pytest.raises(SynthaugError, match="the arm 'down-up' reduces real images to the generator's size") as caught:
        grainy.evaluate("more", arms=["oversample", "synthetic", "down-up"])
    assert "--size native" in caught.value.hint


# --- painted pictures of several sizes and formats, and a generator that paints at 16 px -----------------------------


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Run:
    def save(image: Image.Image, stem: Path, number: int) -> None:
        size = (60, 44) if number % 3 else (40, 52)
        if number % 2:
            image.resize(size).save(stem.with_suffix(".jpg"), quality=60)
        else:
            image.resize(size).save(stem.with_suffix(".png"))

    root = tmp_path_factory.mktemp("painted")
    save_images(root / "data", dict.fromkeys(PAINTED, 40) | {RING: 24}, write=save)
    return make_painted_run(root / "data", root / "runs")


@pytest.mark.parametrize("gate", [False, True])
def test_the_pool_is_what_an_export_of_the_same_seed_writes(
    painted: Run, gate: bool, grids: list[Grid], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("synthaug.sampling.generate.load_generator", Painters())
    common: dict[str, Any] = {"gate": gate, "device": "cpu", "cache": tmp_path / "cache"}
    evaluate(
        painted, classifier="centroids", size=28, seeds=2, steps=4, jobs=1, arms=["oversample", "synthetic"],
        out=tmp_path / "report", **common,
    )  # fmt: skip
    (grid,) = grids
    seed = evaluation_seed(painted.config().seed)
    export(painted, out=tmp_path / "export", per_class={RING: len(grid.pool)}, synthetic_only=True, seed=seed, **common)
    rows = sorted((row for row in metadata(tmp_path / "export")), key=lambda row: row["sample_index"])
    assert {(row["width"], row["height"]) for row in rows} == {(60, 44), (40, 52)}

    @dataclass(frozen=True)
    class File:
        path: str
        label: str
        pixel_sha256: str

    files = [File(row["file_name"], row["label"], row["pixel_sha256"]) for row in rows]
    read = load_images(
        tmp_path / "export" / "train", files, grid.train.classes, resolution=28, channels=3, fit="pad",
        cache=tmp_path / "cache",
    )  # fmt: skip
    assert np.array_equal(read.pixels, grid.pool.pixels)
