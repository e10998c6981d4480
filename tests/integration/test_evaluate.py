"""evaluate on real digits: planted truths come out, leaks are refused, numbers do not depend on processes."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from synthaug import runs as run_directories
from synthaug.classifiers import CLASSIFIERS
from synthaug.classifiers.steps import draws
from synthaug.config import resolve
from synthaug.data.cache import LabelledImages
from synthaug.data.folder import scan
from synthaug.data.run_data import RunData
from synthaug.data.split import Split, split
from synthaug.documents import EvaluateDocument
from synthaug.errors import Interrupted, RunFailed, SynthaugError
from synthaug.evaluation.arms import choose_arms
from synthaug.evaluation.grid import Grid, Trial
from synthaug.evaluation.images import real_images
from synthaug.evaluation.trial import run_trials
from synthaug.features import self_trained
from synthaug.files import write_json
from synthaug.models.inputs import Inputs, InputSource, NoiseInputs
from synthaug.pipelines import evaluate as pipeline
from synthaug.pipelines import evaluated_folds, more_runs
from synthaug.pipelines.evaluate import evaluate
from synthaug.pipelines.export import export
from synthaug.pipelines.fit import fit
from synthaug.progress import Silent
from synthaug.runs import Run, RunFacts, StartedFrom
from synthaug.sampling.generate import SeededGenerator
from synthaug.tasks import Workers

CLASSES = ["3", "5", "8", "9"]
RARE = "8"
FAST: dict[str, Any] = {
    "classifier": "neighbours", "seeds": 5, "steps": 4, "arms": ["oversample", "synthetic"], "jobs": 1, "device": "cpu",
}  # fmt: skip


class Neighbours:
    """A classifier that takes milliseconds: the three nearest of the images that the steps drew."""

    uses_steps: ClassVar[bool] = True

    def __init__(self, *, device: str = "auto") -> None:
        self.device = device

    def fit(
        self, pixels: Any, labels: Any, draw_weights: Any, *, num_classes: int, steps: int, seed: int, **_: Any
    ) -> Neighbours:
        drawn = draws(draw_weights, steps, 64, seed).ravel()
        self.num_classes = num_classes
        self.model = KNeighborsClassifier(3).fit(pixels[drawn].reshape(len(drawn), -1), labels[drawn])
        return self

    def predict_proba(self, pixels: Any) -> Any:
        given = np.zeros((len(pixels), self.num_classes), np.float32)
        if len(pixels):
            given[:, self.model.classes_] = self.model.predict_proba(pixels.reshape(len(pixels), -1))
        return given


@pytest.fixture(autouse=True, scope="module")
def _plugged_in() -> Iterator[None]:
    """That classifier; and features of the run's own that take a few steps (they are tested in test_features.py)."""
    sys.modules.setdefault(__name__, sys.modules[Neighbours.__module__])
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(CLASSIFIERS._entries, "neighbours", f"{__name__}:Neighbours")
        patched.setitem(self_trained.train_features.__kwdefaults__, "steps", 10)
        yield


def write(folder: Path, images: np.ndarray) -> None:
    folder.mkdir(parents=True)
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i:03d}.png")


@dataclass
class Digits:
    """A data folder with train and test in which one digit is rare, its run, and folders of synthetic images."""

    root: Path
    run: Run
    spare: np.ndarray  # real images of the rare digit that are nowhere else

    @property
    def data(self) -> Path:
        return self.root / "data"

    def evaluate(self, **changes: Any) -> EvaluateDocument:
        arguments = FAST | {"cache": self.root / "cache", "out": self.root / "report"} | changes
        return evaluate(self.run.path, **arguments)


def make_run(root: Path, data: Path, **config: Any) -> Run:
    resolved = resolve(flags={"data.resolution": 16, "gate.steps": 10} | config)
    scanned = scan(data, group_by=resolved.config.data.group_by, cache=root / "cache")
    parts = split(scanned, resolved.config.data, 0)
    run = run_directories.create(root / "runs", "planted")
    facts = RunFacts(data=data, fingerprint=scanned.fingerprint, classes=scanned.classes, targets=[RARE], channels=1)
    parts.write(run.split_file)
    run.set_status(state="finished", kimg=0.0)
    run_directories.write_config(run, resolved, facts)
    return run


def make_digits(root: Path, rare: int = 3) -> Digits:
    loaded = load_digits()
    pixels = np.clip(loaded.images * 255 / 16, 0, 255).astype(np.uint8)
    spare = pixels[:0]
    for name in CLASSES:
        own = pixels[loaded.target == int(name)]
        count = rare if name == RARE else 40
        write(root / "data" / "test" / name, own[:70])
        write(root / "data" / "train" / name, own[70 : 70 + count])
        if name == RARE:
            spare = own[70 + count :]
    return Digits(root, make_run(root, root / "data"), spare)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    made = make_digits(tmp_path_factory.mktemp("digits"))
    write(made.root / "good" / RARE, made.spare)
    rng = np.random.default_rng(0)
    write(made.root / "noise" / RARE, rng.integers(0, 256, (100, 8, 8), dtype=np.uint8))
    wrong = load_digits()
    others = np.clip(wrong.images[wrong.target == 3][120:180] * 255 / 16, 0, 255).astype(np.uint8)
    write(made.root / "wrong" / RARE, others)
    return made


@pytest.fixture(autouse=True)
def _threads() -> Any:
    before = torch.get_num_threads()
    yield
    assert torch.get_num_threads() == before


def test_extra_real_images_help(digits: Digits) -> None:
    found = digits.evaluate(synthetic=digits.root / "good", shares=[0.8], arms=None, steps=8, seeds=8)
    assert found.verdict.overall == "helps", found.verdict.sentence
    assert found.verdict.missing_controls == []
    assert found.share_chosen_on == "user"
    assert found.arms["synthetic"].share == 0.8
    assert found.arms["synthetic"].steps == 8
    assert found.arms["oversample"].share == 0
    assert len(found.arms["oversample"].f1_per_seed[RARE]) == 8
    assert np.sum(found.arms["synthetic"].confusion) == 8 * 280
    report = json.loads((digits.root / "report" / "report.json").read_text(encoding="utf-8"))
    assert EvaluateDocument.model_validate(report).verdict == found.verdict
    changed = found.changed
    assert changed is not None
    assert (changed.before, changed.classifiers_before) == (found.verdict.best_control, 8)
    assert changed.right > changed.wrong
    best = changed.newly_right[0]
    assert (best.label, best.after, best.test.split("/")[-2]) == (RARE, RARE, RARE)
    assert best.right_before <= 4 < best.right_after
    page = (digits.root / "report" / "report.html").read_text(encoding="utf-8")
    assert page.count(f'alt="test image of {RARE}"') >= 1
    assert found.quality.reference == "test"
    assert set(found.quality.per_class) == {RARE}


def test_without_all_controls_nothing_is_said_to_help(digits: Digits) -> None:
    found = digits.evaluate(synthetic=digits.root / "good", shares=[0.8])
    assert found.verdict.contrasts["synthetic-oversample"].low > 0
    assert found.verdict.missing_controls == ["real", "class-weights", "classical"]
    assert found.verdict.overall == "no measurable effect"
    assert "may do as well, and was not trained" in found.verdict.sentence
    assert found.recommended[RARE].synthetic == 0


def test_another_class_under_the_rare_name_hurts(digits: Digits) -> None:
    found = digits.evaluate(synthetic=digits.root / "wrong", shares=[0.8], seeds=4)
    assert found.verdict.overall == "hurts", found.verdict.sentence
    assert any("only 4 seeds" in line for line in found.warnings)


def test_noise_does_not_help_and_fail_under_says_so_after_the_report(digits: Digits, tmp_path: Path) -> None:
    with pytest.raises(RunFailed) as caught:
        digits.evaluate(synthetic=digits.root / "noise", shares=[0.9], seeds=3, fail_under=0.01, out=tmp_path / "r")
    assert caught.value.exit_status == 1
    assert "below 0.01" in caught.value.message
    report = json.loads((tmp_path / "r" / "report.json").read_text(encoding="utf-8"))
    assert report["verdict"]["overall"] != "helps"


@dataclass
class FakeTrained:
    """A generator that returns real images which nothing else has seen."""

    run: Run
    images: np.ndarray
    classes: list[str] = field(default_factory=lambda: CLASSES)
    targets: list[str] = field(default_factory=lambda: [RARE])
    channels: int = 1
    resolution: int = 16
    z_dim: int = 2
    seed: int = 0
    kimg: float = 1.0
    sha256: str = "0" * 64
    checkpoint: str = "kimg000001"
    sources: None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def inputs(self, seed: int) -> InputSource:
        return NoiseInputs(seed, self.z_dim)

    def generate(self, inputs: Inputs) -> torch.Tensor:
        assert inputs.z is not None
        chosen = (inputs.z[:, 0].abs() * 1e6).long() % len(self.images)
        images = torch.from_numpy(self.images)[chosen].float()[:, None].repeat_interleave(2, 2).repeat_interleave(2, 3)
        return images / 127.5 - 1


def test_fresh_samples_of_a_run_at_the_default_share(digits: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = FakeTrained(digits.run, digits.spare)
    asked: dict[str, Any] = {}

    def load(run: Run, **arguments: Any) -> SeededGenerator:
        asked.update(arguments)
        return SeededGenerator(trained, arguments["seed"])  # type: ignore[arg-type]

    monkeypatch.setattr(evaluated_folds, "load", load)
    found = digits.evaluate(seeds=2, arms=None)
    assert found.run == str(digits.run.path)  # not its name: a result of Python stands for its run, wherever it is
    assert asked["seed"] != 0  # other images than the export's
    assert found.share_chosen_on == "default"
    assert found.arms["synthetic"].share == 0.25
    assert list(found.arms) == choose_arms(None, "neighbours")[0]
    assert found.arms["longer"].steps == 8
    assert any("have no validation images" in line or "has no validation images" in line for line in found.warnings)
    assert found.generator_quality is not None
    assert found.quality.gated
    assert not found.generator_quality.gated


def test_a_mix_of_all_classes_gives_each_its_own_images(digits: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every class has images; quality is of the targets; all of it is recommended, or none."""
    trained = FakeTrained(digits.run, digits.spare)
    monkeypatch.setattr(evaluated_folds, "load", lambda run, **more: SeededGenerator(trained, more["seed"]))  # type: ignore[arg-type]
    grids = []
    run_trials_as_it_is = run_trials

    def seen(grid: Grid, *arguments: Any) -> Any:
        grids.append(grid)
        return run_trials_as_it_is(grid, *arguments)

    monkeypatch.setattr(pipeline, "run_trials", seen)
    found = digits.evaluate(seeds=2, mix="all", gate=False)
    (grid,) = grids
    assert np.bincount(grid.pool.labels).tolist() == [2 * grid.per_seed] * len(CLASSES)  # each seed has its own
    assert not any("the seeds share some" in line for line in found.warnings)
    assert found.mix == "all"
    assert found.arms["synthetic"].share == 0.5
    assert list(found.quality.per_class) == [RARE]
    assert set(found.recommended) == set(CLASSES)
    assert len({advice.synthetic > 0 for advice in found.recommended.values()}) == 1
    assert any(
        "every class’s draws" in text
        for text in (digits.root / "report").joinpath("report.html").read_text().split("<")
    )


def test_a_folder_with_some_of_the_classes_leaves_the_others_as_they_are(digits: Digits, tmp_path: Path) -> None:
    write(tmp_path / "made" / RARE, digits.spare)
    write(tmp_path / "made" / "3", digits.spare)
    found = digits.evaluate(synthetic=tmp_path / "made", mix="all", seeds=2)
    assert any("has no synthetic images of 5, 9: these classes stay as they are" in line for line in found.warnings)
    assert not any("no target classes" in line for line in found.warnings)


def test_val_chooses_the_share_where_every_target_has_val_images(tmp_path: Path) -> None:
    made = make_digits(tmp_path, rare=30)
    made = Digits(tmp_path, make_run(tmp_path, made.data, **{"data.min_images_for_val": 20}), made.spare)
    write(tmp_path / "good" / RARE, made.spare)
    found = made.evaluate(synthetic=tmp_path / "good", shares=[0.2, 0.6], seeds=2)
    assert found.share_chosen_on == "val"
    assert found.arms["synthetic"].share in (0.2, 0.6)
    assert found.split["val"][RARE] > 0


def test_val_chooses_the_best_control_which_is_trained_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthaug.evaluation.best_control.LEAST_VAL_GROUPS", 2)
    made = make_digits(tmp_path, rare=30)
    made = Digits(tmp_path, make_run(tmp_path, made.data, **{"data.min_images_for_val": 20}), made.spare)
    write(tmp_path / "good" / RARE, made.spare)
    found = made.evaluate(synthetic=tmp_path / "good", shares=[0.8], arms=None)
    verdict = found.verdict
    assert verdict.best_control_chosen_on == "val"
    assert {detail.best_control for detail in verdict.details.values()} == {verdict.best_control}
    assert verdict.longer is not None
    assert verdict.longer.control == verdict.best_control
    assert found.arms["longer"].steps == 8
    f1 = {arm: np.mean(found.arms[arm].f1_per_seed[RARE]) for arm in found.arms}
    assert verdict.longer.gain.mean == pytest.approx(f1["longer"] - f1[verdict.best_control])
    assert verdict.longer.against["synthetic"].mean == pytest.approx(f1["synthetic"] - f1["longer"])
    assert f"{verdict.best_control} for 2 times the steps" in verdict.sentence
    report = (tmp_path / "report" / "report.html").read_text()
    assert "chosen on the validation images" in report


def test_any_number_of_processes_gives_the_same_numbers(digits: Digits) -> None:
    rng = np.random.default_rng(0)

    def images(n: int) -> LabelledImages:
        labels = np.arange(n) % 2
        return LabelledImages(
            rng.integers(0, 256, (n, 1, 16, 16), dtype=np.uint8), labels, ["a", "b"], [str(i) for i in range(n)]
        )

    train, pool = images(40), images(10)
    grid = Grid("cnn", 4, "cpu", train, np.arange(40), pool, train.pixels[:5], train.pixels[5:9], 10)
    trials = [Trial("synthetic", 0.25, 0), Trial("classical", 0.0, 1), Trial("synthetic", 0.25, 1)]
    alone, together = (run_trials(grid, trials, Silent(), Workers(jobs)) for jobs in (1, 2))
    for trial in trials:
        assert np.array_equal(alone[trial].test, together[trial].test)
        assert np.array_equal(alone[trial].val, together[trial].val)


def test_logistic_has_no_steps(digits: Digits) -> None:
    arms = ["real", "oversample", "smote", "synthetic"]
    found = digits.evaluate(synthetic=digits.root / "good", classifier="logistic", seeds=2, arms=arms)
    assert all(arm.steps is None for arm in found.arms.values())
    assert list(found.arms) == arms
    real = found.arms["real"]
    assert real.macro_f1.per_seed[0] == real.macro_f1.per_seed[1]  # nothing to redraw


# --- leaks and bad input -------------------------------------------------------------------------------------------


def test_a_test_image_copied_into_train_is_refused(tmp_path: Path) -> None:
    made = make_digits(tmp_path)
    leaked = made.data / "test" / "5" / "007.png"
    Image.open(leaked).save(made.data / "train" / "5" / "holiday.bmp")  # other bytes, other name, the same pixels
    run = make_run(tmp_path, made.data)
    with pytest.raises(SynthaugError) as caught:
        evaluate(run.path, **FAST, synthetic=tmp_path / "none", cache=tmp_path / "cache")
    assert "007.png" in caught.value.message
    assert "holiday.bmp" in caught.value.message
    assert not (run.path / "evaluation").exists()


def test_a_training_image_in_another_test_folder_is_refused(digits: Digits, tmp_path: Path) -> None:
    write(tmp_path / "test" / RARE, digits.spare[:5])
    seen = digits.data / "train" / RARE / "002.png"
    (tmp_path / "test" / RARE / "copy.png").write_bytes(seen.read_bytes())
    with pytest.raises(SynthaugError) as caught:
        digits.evaluate(test=tmp_path / "test", synthetic=digits.root / "good")
    assert str(tmp_path / "test" / RARE / "copy.png") in caught.value.message
    assert str(seen) in caught.value.message


def begun_from(digits: Digits, before: Run) -> Run:
    run = run_directories.create(digits.root / "runs", "tuned")
    start = StartedFrom(run=before.path, checkpoint="x", sha256="")
    digits_facts = digits.run.facts().model_copy(update={"started_from": start})
    Split.read(digits.run.split_file).write(run.split_file)
    run_directories.write_config(run, resolve(flags={"data.resolution": 16}), digits_facts)
    return run


def test_images_that_only_the_run_before_has_seen_are_refused_as_test_images(digits: Digits, tmp_path: Path) -> None:
    """`fit --from` a run of another seed: its training images are among this run's test images."""
    before = run_directories.create(tmp_path / "runs", "before")
    rows = Split.read(digits.run.split_file).rows
    Split([dataclasses.replace(row, split="train") for row in rows]).write(before.split_file)
    run_directories.write_config(before, resolve(flags={"data.resolution": 16}), digits.run.facts())
    arguments: dict[str, Any] = FAST | {"cache": digits.root / "cache", "out": tmp_path / "report"}
    with pytest.raises(SynthaugError, match="from which its weights came") as caught:
        evaluate(begun_from(digits, before).path, **arguments, synthetic=digits.root / "good")
    assert "--seed" in str(caught.value.hint)
    Split.read(digits.run.split_file).write(before.split_file)  # the same seed: the same images are kept apart
    run = begun_from(digits, before)
    assert not real_images(RunData.open(run), None, cache=digits.root / "cache", progress=Silent()).warnings
    before.split_file.unlink()
    document = evaluate(run.path, **arguments, synthetic=digits.root / "good")
    assert any("may have seen the test images" in line and before.name in line for line in document.warnings)


def test_a_checkpoint_of_another_run_is_refused(digits: Digits, small_run: Digits, tmp_path: Path) -> None:
    (other,) = [p for p in small_run.run.checkpoints.iterdir() if (p / "state.json").exists()][:1]
    copied = tmp_path / "checkpoints" / other.name
    shutil.copytree(other, copied)
    with pytest.raises(SynthaugError, match="does not belong to the run"):
        evaluate(small_run.run.path, **FAST, checkpoint=copied, out=tmp_path / "report")


def test_patients_of_the_training_images_are_counted_in_another_test_folder(digits: Digits, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name in CLASSES:
        source = digits.data / "train" / name
        for number, file in enumerate(sorted(source.iterdir())):
            place = data / name / f"p{name}{number}-a.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, place)
    by = "(p[0-9]+)-"
    run = make_run(tmp_path, data, **{"data.group_by": by, "data.test_fraction": 0.0, "data.val_fraction": 0.0})
    write(tmp_path / "test" / RARE, digits.spare[:2])
    (tmp_path / "test" / RARE / "000.png").rename(tmp_path / "test" / RARE / "p80-b.png")
    (tmp_path / "test" / RARE / "001.png").rename(tmp_path / "test" / RARE / "p99999-b.png")
    real = real_images(RunData.open(run), tmp_path / "test", cache=tmp_path / "cache", progress=Silent())
    assert real.alike == 1


def test_test_images_among_the_synthetic_ones_are_refused(digits: Digits, tmp_path: Path) -> None:
    write(tmp_path / "synthetic" / RARE, digits.spare[:5])
    (tmp_path / "synthetic" / RARE / "x.png").write_bytes((digits.data / "test" / RARE / "001.png").read_bytes())
    with pytest.raises(SynthaugError, match="among the test images"):
        digits.evaluate(synthetic=tmp_path / "synthetic")


def test_an_export_of_ours_gives_its_synthetic_rows_only(digits: Digits, tmp_path: Path) -> None:
    train = tmp_path / "export" / "train"
    write(train / RARE, digits.spare[:6])
    real = digits.data / "train" / RARE / "000.png"
    (train / RARE / "real.png").write_bytes(real.read_bytes())
    rows = [{"file_name": f"{RARE}/{i:03d}.png", "label": RARE, "synthetic": True} for i in range(6)]
    rows.append({"file_name": f"{RARE}/real.png", "label": RARE, "synthetic": False})
    (train / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    found = digits.evaluate(synthetic=tmp_path / "export", seeds=2)
    assert found.quality.per_class[RARE].n_synthetic == 6
    assert not any("copies of training images" in line for line in found.warnings)
    assert any("it is unknown whether" in line for line in found.warnings)  # what made them
    write_json(tmp_path / "export" / "manifest.json", {"run": {"path": str(digits.run.path)}})
    found = digits.evaluate(synthetic=tmp_path / "export", seeds=2)
    assert not any("it is unknown whether" in line for line in found.warnings)


def test_another_test_folder_is_judged_on(digits: Digits, tmp_path: Path) -> None:
    for name in CLASSES[:3]:
        images = digits.spare[-40:-20] if name == RARE else None
        if images is None:
            source = [np.asarray(Image.open(p)) for p in sorted((digits.data / "test" / name).iterdir())[:12]]
            images = np.stack(source)
        write(tmp_path / "test" / name, images)
    found = digits.evaluate(test=tmp_path / "test", synthetic=digits.root / "noise", seeds=2)
    assert found.split["test"] == {"3": 12, "5": 12, RARE: 20, "9": 0}
    assert "9" not in found.arms["oversample"].per_class
    assert any("no test images of 9" in line for line in found.warnings)
    assert any("only 20 test images" in line for line in found.warnings)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"arms": ["oversampel"]}, "no arm 'oversampel'"),
        ({"shares": [0.2, 0.4]}, "val cannot choose among the shares 0.2, 0.4"),
        ({"out": "DATA/report"}, "lies inside the data folder"),
        ({"synthetic": "DATA/test"}, "among the test images"),
        ({"synthetic": "EMPTY"}, "EMPTY"),
        ({"test": "EMPTY"}, "EMPTY"),
        ({"synthetic": "OTHER"}, "which the run '00000-planted' does not have"),
        ({"test": "OTHER"}, "which the run '00000-planted' does not have"),
        ({"synthetic": "LACKS"}, f"no synthetic image of the target class '{RARE}'"),
        ({"test": "LACKS"}, f"no test images of the target class '{RARE}'"),
    ],
)
def test_bad_input_is_named_before_any_work(digits: Digits, tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    (tmp_path / "EMPTY").mkdir()
    write(tmp_path / "OTHER" / "7", digits.spare[:3])
    write(tmp_path / "LACKS" / "9", digits.spare[:3])

    def placed(value: Any) -> Any:
        if not isinstance(value, str) or not value.startswith(("DATA", "EMPTY", "OTHER", "LACKS")):
            return value
        return digits.root / value.replace("DATA", "data") if value.startswith("DATA") else tmp_path / value

    arguments = {"synthetic": digits.root / "good"} | {k: placed(v) for k, v in changes.items()}
    with pytest.raises(SynthaugError, match=said) as caught:
        digits.evaluate(**arguments, **({} if "out" in changes else {"out": tmp_path / "out"}))
    assert caught.value.hint
    assert not (tmp_path / "out").exists()


SCRIPT = """
import numpy as np
from synthaug.data.cache import LabelledImages
from synthaug.evaluation.grid import Grid, Trial
from synthaug.evaluation.trial import run_trials
from synthaug.progress import Silent
from synthaug.tasks import Workers

images = LabelledImages(np.zeros((8, 1, 16, 16), np.uint8), np.arange(8) % 2, ["a", "b"], [str(i) for i in range(8)])
grid = Grid("cnn", 10**6, "cpu", images, np.arange(8), images, images.pixels, images.pixels, 10)
run_trials(grid, [Trial("oversample", 0.0, seed) for seed in range(4)], Silent(), Workers(2))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for processes in /proc")
def test_ctrl_c_leaves_no_worker_behind() -> None:
    """The signal reaches the whole group, as from a terminal: only the parent says anything, and all are gone."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 240
        while len(busy(process.pid)) < 2 and time.monotonic() < deadline:
            time.sleep(0.5)
        time.sleep(1)
        os.killpg(process.pid, signal.SIGINT)
        errors = process.communicate(timeout=120)[1]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGINT
    assert errors.count("Traceback") == 1
    assert busy(process.pid) == []


def busy(group: int) -> list[int]:
    """Workers of a process group that have computed for some seconds."""
    found = []
    for place in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = place.read_text().rpartition(")")[2].split()
            seconds = int(fields[11]) / os.sysconf("SC_CLK_TCK")
            if int(fields[2]) == group and fields[0] != "Z" and b"loky" in (place.parent / "cmdline").read_bytes():
                found += [int(place.parent.name)] if seconds > 4 else []
    return found


# --- folds, and no run at all --------------------------------------------------------------------------------------

TINY = {
    "data.resolution": 16, "gate.steps": 5, "training.budget": "0.2kimg", "training.batch_size": 16,
    "model.width": 4, "model.discriminator_width": 4, "model.z_dim": 8, "monitor.every_kimg": 1.0,
    "monitor.samples_per_class": 8, "monitor.features": "own",
}  # fmt: skip


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Digits:
    """A trained generator of a folder without any split, 12 images of the rare digit."""
    root = tmp_path_factory.mktemp("small")
    loaded = load_digits()
    pixels = np.clip(loaded.images * 255 / 16, 0, 255).astype(np.uint8)
    for name in CLASSES:
        write(root / "data" / name, pixels[loaded.target == int(name)][: 12 if name == RARE else 30])
    made = fit(root / "data", target_class=RARE, set=TINY, runs=root / "runs", device="cpu", cache=root / "cache")
    return Digits(root, Run(Path(made.run)), pixels[:0])


def test_with_folds_every_image_is_tested_once_by_what_has_not_seen_it(
    small_run: Digits, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments: dict[str, Any] = {"folds": 2, "seeds": 2, "arms": None, "gate": False}
    found = small_run.evaluate(**arguments)
    assert found.folds == 2
    assert found.split["test"] == {"3": 30, "5": 30, RARE: 12, "9": 30}
    assert np.sum(found.arms["synthetic"].confusion) == 2 * 102
    assert found.arms["synthetic"].shares == [0.25, 0.25]
    assert "overlapping" in found.verdict.caveats[0]
    assert found.changed is not None
    images = {row.path: row.label for row in Split.read(small_run.run.split_file).rows}
    assert all(images[i.test] == i.label for i in (*found.changed.newly_right, *found.changed.newly_wrong))
    tested: list[str] = []
    for name in found.fold_runs:
        fold = Run(small_run.run.path / name)
        assert fold.status()["state"] == "finished"
        assert fold.config().training == small_run.run.config().training
        rows = Split.read(fold.split_file)
        seen = {row.pixel_sha256 for side in ("train", "val") for row in rows.of(side)}  # type: ignore[arg-type]
        assert not seen & {row.pixel_sha256 for row in rows.of("test")}
        tested += [row.path for row in rows.of("test")]
    assert sorted(tested) == sorted(row.path for row in Split.read(small_run.run.split_file).rows)

    def again(*_: Any, **__: Any) -> None:
        raise AssertionError("a finished fold was trained again")

    monkeypatch.setattr(more_runs, "fit", again)
    repeated = small_run.evaluate(**arguments)
    assert repeated.verdict == found.verdict


def test_an_interrupted_fold_goes_on_from_its_checkpoint(small_run: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def stopped(*given: Any, **arguments: Any) -> Any:
        calls.append(arguments["resume"])
        if len(calls) == 2:
            raise Interrupted("interrupted at 0.1 kimg; the state is saved", "continue with: synthaug fit", 143)
        return fit(*given, **arguments)

    monkeypatch.setattr(more_runs, "fit", stopped)
    with pytest.raises(Interrupted) as caught:
        small_run.evaluate(folds=3, seeds=2, gate=False)
    assert caught.value.exit_status == 143
    assert caught.value.message.startswith("fold 2 of 3")
    assert f"synthaug evaluate {small_run.run.path} --folds 3" in caught.value.hint
    assert small_run.evaluate(folds=3, seeds=2, gate=False).folds == 3
    assert calls == ["auto"] * 4  # the first was not trained again


def test_several_generators_are_replicates_of_one_split(small_run: Digits, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments: dict[str, Any] = {"seeds": 2, "arms": None, "gate": False}
    alone = small_run.evaluate(**arguments)
    assert "One generator was judged" in alone.verdict.sentence
    found = small_run.evaluate(generators=2, **arguments)
    assert "One generator was judged" not in found.verdict.sentence
    first, second = (Run(Path(path)) for path in found.generators)
    assert first.path == small_run.run.path
    assert second.config().seed == first.config().seed + 1
    assert Split.read(second.split_file).rows == Split.read(first.split_file).rows
    assert found.arms["oversample"].confusion == alone.arms["oversample"].confusion  # trained once
    assert np.sum(found.arms["synthetic"].confusion) == 2 * np.sum(alone.arms["synthetic"].confusion)
    assert len(found.arms["synthetic"].f1_per_seed[RARE]) == 2
    assert found.changed is not None
    assert (found.changed.classifiers_before, found.changed.classifiers_after) == (2, 4)

    def again(*_: Any, **__: Any) -> None:
        raise AssertionError("a finished generator was trained again")

    monkeypatch.setattr(more_runs, "fit", again)
    given = small_run.evaluate(replicates=[str(second.path)], **arguments)
    assert given.verdict == found.verdict
    with pytest.raises(SynthaugError, match="is given twice"):
        small_run.evaluate(replicates=[str(first.path)], **arguments)
    with pytest.raises(SynthaugError, match="contradict each other"):
        small_run.evaluate(replicates=[str(second.path)], folds=2, **arguments)


def test_export_follows_what_the_evaluation_recommends(small_run: Digits, tmp_path: Path) -> None:
    """Nothing, as 200 images have taught nothing; and five images, once the report says so."""
    small_run.evaluate(seeds=2, gate=False, out=None)
    report = small_run.run.path / "evaluation" / "report.json"
    found = EvaluateDocument.model_validate_json(report.read_text(encoding="utf-8"))
    advice = found.recommended[RARE]
    real = Split.read(small_run.run.split_file).counts()["train"]
    assert (advice.real, advice.synthetic) == (real[RARE], 0)

    def exported(name: str) -> dict[str, tuple[int, int, int]]:
        made = export(
            small_run.run, recommended=True, gate=False, out=tmp_path / name, device="cpu", cache=tmp_path / "cache"
        )
        train = tmp_path / name / "train"
        rows = [json.loads(line) for line in (train / "metadata.jsonl").read_text(encoding="utf-8").splitlines()]
        for label, counted in made.per_class.items():
            own = [row["synthetic"] for row in rows if row["label"] == label]
            assert (own.count(False), own.count(True)) == (counted.real, counted.synthetic)
            assert len(list((train / label).iterdir())) == counted.asked
        return {label: (c.asked, c.real, c.synthetic) for label, c in made.per_class.items()}

    assert exported("none") == {label: (count, count, 0) for label, count in real.items()}
    changed = advice.model_copy(update={"synthetic": 5, "share": 5 / (5 + advice.real), "reason": "best on val"})
    write_json(report, found.model_copy(update={"recommended": {RARE: changed}}).model_dump(mode="json"))
    five = {label: (count, count, 0) for label, count in real.items()} | {RARE: (real[RARE] + 5, real[RARE], 5)}
    assert exported("five") == five


def test_images_of_any_origin_are_judged_without_a_run(digits: Digits) -> None:
    arguments = FAST | {
        "data": digits.data, "synthetic": digits.root / "good", "target_class": RARE, "shares": [0.8],
        "resolution": 16, "cache": digits.root / "cache",
        "out": digits.root / "without", "arms": None,
    }  # fmt: skip
    found = evaluate(**arguments)
    assert found.run is None
    assert found.targets == [RARE]
    assert found.verdict == digits.evaluate(synthetic=digits.root / "good", shares=[0.8], arms=None).verdict
    assert any("it is unknown whether" in line for line in found.warnings)
    assert found.generator_quality is None
    assert (digits.root / "without" / "report.html").is_file()


def test_test_images_that_look_like_training_images_are_counted(digits: Digits, tmp_path: Path) -> None:
    """A photograph saved again, one grey level brighter: no pixel is equal, and it is the same picture."""
    rng = np.random.default_rng(0)
    smooth = np.kron(rng.integers(0, 250, (6, 6)), np.ones((8, 8))).astype(np.uint8)
    data = tmp_path / "data"
    for name in CLASSES:
        write(data / name, np.stack([np.asarray(Image.fromarray(rng.integers(0, 250, (6, 6)).astype(np.uint8)).resize(
            (48, 48), Image.Resampling.BICUBIC)) for _ in range(12)]))  # fmt: skip
    Image.fromarray(smooth).save(data / RARE / "known.png")
    run = make_run(tmp_path, data, **{"data.test_fraction": 0.0})
    others = [np.asarray(Image.fromarray(rng.integers(0, 250, (6, 6)).astype(np.uint8)).resize(
        (48, 48), Image.Resampling.BICUBIC)) for _ in range(5)]  # fmt: skip
    write(tmp_path / "test" / RARE, np.stack([smooth + 1, *others]))
    real = real_images(RunData.open(run), tmp_path / "test", cache=tmp_path / "cache", progress=Silent())
    assert real.alike == 1


def test_changed_copies_of_training_images_are_listed_and_left_out_of_a_second_verdict(tmp_path: Path) -> None:
    """A third of the rare class's test images are its training images, mirrored, turned or moved."""
    made = make_digits(tmp_path, rare=30)
    train, test = made.data / "train" / RARE, made.data / "test" / RARE
    changes = (
        lambda x: x.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        lambda x: x.rotate(5, Image.Resampling.BICUBIC),
        lambda x: Image.fromarray(np.pad(np.asarray(x), ((0, 0), (1, 0)))[:, :8]),
    )
    for k, file in enumerate(sorted(train.iterdir())):
        changes[k % 3](Image.open(file)).save(test / f"leak-{k:03d}.png")
    leaky = Digits(tmp_path, make_run(tmp_path, made.data), made.spare)
    write(tmp_path / "good" / RARE, made.spare)
    found = leaky.evaluate(synthetic=tmp_path / "good", seeds=2, out=tmp_path / "leaky")
    assert found.leaks is not None
    planted = {s.test for s in found.leaks.suspects if "leak" in s.test and s.source == "train"}
    assert len(planted) >= 27
    assert len(found.leaks.suspects) - len(planted) <= 8
    right = [s for s in found.leaks.suspects if "leak" in s.test and int(s.like[-7:-4]) == int(s.test[-7:-4])]
    assert len(right) >= 26
    assert found.leaks.verdict is not None
    assert found.leaks.verdict.contrasts != found.verdict.contrasts
    assert any("look like copies" in line for line in found.warnings)
    page = (tmp_path / "leaky" / "report.html").read_text(encoding="utf-8")
    assert "Copies among the test images" in page
    assert "leak-000.png" in page
    assert "### Copies among the test images" in (tmp_path / "leaky" / "report.md").read_text(encoding="utf-8")


def test_synthetic_copies_of_test_images_are_listed(digits: Digits, tmp_path: Path) -> None:
    """The generator has seen the test images: its images are these, mirrored and turned."""
    files = sorted((digits.data / "test" / RARE).iterdir())[:20]
    copies = [
        Image.open(f).transpose(Image.Transpose.FLIP_LEFT_RIGHT).rotate(4, Image.Resampling.BICUBIC) for f in files
    ]
    write(tmp_path / "stolen" / RARE, np.stack([np.asarray(x) for x in copies]))
    found = digits.evaluate(synthetic=tmp_path / "stolen", seeds=2, out=tmp_path / "report")
    assert found.leaks is not None
    stolen = {s.test for s in found.leaks.suspects if s.source == "synthetic"}
    assert len(stolen & {f"test/{RARE}/{f.name}" for f in files}) >= 16
