"""A run with conditions, through all commands: fit, resume, samples, traverse, export, regenerate, check."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from export_material import CLASSES, metadata, save_images
from PIL import Image

from synthaug.data.run_data import stored_conditions
from synthaug.errors import SynthaugError
from synthaug.exporters.manifest import read_manifest
from synthaug.pipelines.check import check
from synthaug.pipelines.evaluate import evaluate
from synthaug.pipelines.export import export
from synthaug.pipelines.fit import fit
from synthaug.pipelines.regenerate import regenerate
from synthaug.pipelines.samples import samples
from synthaug.pipelines.traverse import traverse
from synthaug.runs import Run
from synthaug.sampling.generate import load

DISC, RARE, STRIPES = CLASSES
SMALL = {
    "model.width": 4, "model.discriminator_width": 4, "model.embed_dim": 4, "data.resolution": 16,
    "data.min_images_for_val": 20, "gate.steps": 24, "monitor.every_kimg": 0.3, "monitor.samples_per_class": 8,
    "training.budget": "0.6kimg", "training.precision": "32-true",
}  # fmt: skip
BLIND = {**SMALL, "model.discriminator": "unconditional", "training.auxiliary": {"acgan": 1.0}}


def described(folder: Path, counts: dict[str, int]) -> Path:
    """Images, of which every third is darkened and of camera b, with a table that says so."""
    save_images(folder, counts)
    lines = ["file_name,label,camera,dose,note"]
    for number, path in enumerate(sorted(folder.rglob("*.png"))):
        camera, dose = ("b", 0.3) if number % 3 == 0 else ("a", 1.0)
        image = Image.open(path)
        Image.fromarray((np.asarray(image) * dose).astype(np.uint8)).save(path)
        name = path.relative_to(folder).as_posix()
        lines.append(f"{name},{path.parent.name},{camera},{dose + number % 5 / 100:.2f},a {camera} picture of a cell")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("conditions")
    data = described(root / "data", {DISC: 36, RARE: 12, STRIPES: 36})
    columns = ["camera", "dose", "note"]
    return Run(Path(fit(data, target_class=RARE, condition=columns, set=SMALL, runs=root / "runs", device="cpu").run))


def test_the_run_keeps_its_conditions(run: Run) -> None:
    conditions = stored_conditions(run)
    assert conditions is not None
    assert [(column.name, column.kind) for column in conditions.columns] == [
        ("camera", "category"),
        ("dose", "number"),
        ("note", "text"),
    ]
    assert run.config().data.conditions == ["camera", "dose", "note"]
    assert any(row["loss_wrong"] > 0 for row in run.metrics() if row["kind"] == "step")


def interrupted(run: Run, runs: Path) -> Run:
    """A copy of the run, without its last checkpoint."""
    stopped = Run(shutil.copytree(run.path, runs / run.name, symlinks=True))
    shutil.rmtree(sorted(stopped.checkpoints.iterdir())[-1])
    stopped.set_status(state="interrupted")
    return stopped


def test_a_training_that_is_stopped_goes_on_bit_for_bit(run: Run, tmp_path: Path) -> None:
    stopped = interrupted(run, tmp_path)
    fit(run.facts().data, resume=stopped, device="cpu")
    one, other = (load(r, checkpoint="last", device="cpu").trained.sha256 for r in (run, stopped))
    assert one == other


def test_a_changed_table_is_not_the_same_training(run: Run, tmp_path: Path) -> None:
    data = shutil.copytree(run.facts().data, tmp_path / "data")
    table = data / "metadata.csv"
    table.write_text(table.read_text(encoding="utf-8").replace(",a,", ",c,"), encoding="utf-8")
    with pytest.raises(SynthaugError, match="the conditions of the images are not those"):
        fit(data, resume=interrupted(run, tmp_path), device="cpu")


def test_what_is_asked_for_reaches_the_images(run: Run, tmp_path: Path) -> None:
    dark, bright = (load(run, where={"camera": c, "dose": d}, device="cpu") for c, d in (("b", 0.3), ("a", 1.0)))
    assert not np.array_equal(dark.sample(RARE, 64), bright.sample(RARE, 64))
    made = samples(run, text="a b picture", class_=RARE, count=4, out=tmp_path / "out", device="cpu")
    assert made.where == {"note": "a b picture"}
    assert made.extrapolated == []
    assert samples(run, where={"dose": 7}, count=1, out=tmp_path / "far", device="cpu").extrapolated == [RARE]


def test_a_walk_changes_one_condition_alone(run: Run, tmp_path: Path) -> None:
    drawn = traverse(run, along="dose", class_=RARE, rows=2, steps=3, out=tmp_path / "walk.png", device="cpu")
    assert len(drawn.values) == 3
    assert float(drawn.values[0]) < float(drawn.values[2])
    assert traverse(run, along="camera", rows=1, out=tmp_path / "c.png", device="cpu").values == ["a", "b"]
    with pytest.raises(SynthaugError, match=r"--along note: .* no such condition to walk along"):
        traverse(run, along="note", out=tmp_path / "n.png", device="cpu")


def test_an_export_fills_up_combinations_and_is_made_again(run: Run, tmp_path: Path) -> None:
    done = export(run, per_class=40, balance=["camera"], gate=False, out=tmp_path / "out", device="cpu")
    found = {one.values["camera"]: one for one in done.per_class[RARE].combinations}
    assert sum(one.synthetic for one in found.values()) == done.per_class[RARE].synthetic
    assert found["b"].real < found["a"].real
    assert found["b"].wanted > found["a"].wanted
    assert all(abs(one.synthetic - one.wanted) <= 2 for one in found.values())
    rows = [row for row in metadata(tmp_path / "out") if row["label"] == RARE]
    synthetic = [row for row in rows if row["synthetic"]]
    assert Counter(row["combination"] for row in synthetic) == {
        f"camera={name}": one.synthetic for name, one in found.items()
    }
    assert all(row["conditions"].startswith(row["combination"]) for row in synthetic)
    assert all("dose=" in row["conditions"] for row in rows)
    card = (tmp_path / "out/README.md").read_text(encoding="utf-8")
    assert f"| {RARE} | b |" in card
    assert regenerate(tmp_path / "out", verify=True, device="cpu").equal == sum(
        one.synthetic for one in done.per_class.values()
    )


def test_an_export_of_one_condition_says_so(run: Run, tmp_path: Path) -> None:
    export(run, per_class=30, where={"camera": "b"}, gate=False, out=tmp_path / "out", device="cpu")
    manifest = read_manifest(tmp_path / "out/manifest.json")
    assert manifest.conditions is not None
    assert manifest.conditions.where == {"camera": "b"}
    rows = [row for row in metadata(tmp_path / "out") if row["synthetic"]]
    assert all("camera=b" in row["conditions"] for row in rows)
    assert regenerate(tmp_path / "out", verify=True, device="cpu").different == []


def test_extrapolated_images_are_marked_in_the_export_and_in_the_report(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(run, per_class=40, where={"dose": "9"}, gate=False, out=out, device="cpu")
    synthetic = Counter(row["label"] for row in metadata(out) if row["synthetic"] and row["extrapolated"])
    assert synthetic[RARE] > 0
    line = f"no training image of {', '.join(synthetic)} has dose=9: these images are extrapolated"
    assert line in read_manifest(out / "manifest.json").warnings
    judged = evaluate(
        run, synthetic=out, classifier="logistic", seeds=2, steps=4, arms=["classical", "synthetic+classical"],
        out=tmp_path / "report", jobs=1, device="cpu",
    )  # fmt: skip
    assert judged.extrapolated == {RARE: synthetic[RARE]}
    page = (tmp_path / "report/report.html").read_text(encoding="utf-8")
    assert f"conditions that no training image has: {RARE}: {synthetic[RARE]} images" in page
    assert any("(extrapolated)" in line for line in judged.warnings)


def test_check_says_which_conditions_act(run: Run) -> None:
    found = check(run, count=40, device="cpu").conditions
    assert {one.name.partition(":")[0] for one in found} == {"camera", "dose", "note"}
    assert all(one.acts in ("yes", "weakly", "no", "unknown") for one in found)


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        ({"condition": ["cameras"]}, "--condition cameras: no table in .* has this column"),
        ({"condition": ["camera", "camera"]}, "names a column twice"),
        ({"condition": ["camera"], "family": "lapgan"}, "has no conditions beside the class"),
        ({"condition": ["camera"], "set": BLIND}, "is told nothing"),
        ({"condition": []}, "--condition names no column"),
        (
            {"condition": ["camera"], "set": {**SMALL, "data.text_encoder": "wordllama"}},
            "data.text_encoder=wordllama is for texts, and no condition is one",
        ),
    ],
)
def test_bad_input(run: Run, tmp_path: Path, flags: dict[str, object], error: str) -> None:
    given = {"set": SMALL, "runs": tmp_path, "device": "cpu", "target_class": RARE, **flags}
    with pytest.raises(SynthaugError, match=error):
        fit(run.facts().data, **given)  # type: ignore[arg-type]
    assert not list(tmp_path.glob("0*"))


def test_selection_by_the_discriminator_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(SynthaugError, match="judges images by their camera, dose, note"):
        export(run, per_class=30, select="top-k", out=tmp_path / "out", device="cpu")


def test_it_starts_from_a_run_with_other_conditions(run: Run, tmp_path: Path) -> None:
    small = {**SMALL, "training.budget": "0.1kimg"}
    fit(
        run.facts().data,
        target_class=RARE,
        condition=["camera"],
        set=small,
        runs=tmp_path,
        from_=run.path,
        device="cpu",
    )
