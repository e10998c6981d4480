"""`regenerate`: a manifest is enough to make every synthetic image again, in another process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_material import CLASSES, contents, make_run, metadata, save_images, source_type
from PIL import Image

from synthaug.data.decode import open_image, pixel_sha256
from synthaug.errors import RunFailed, SynthaugError
from synthaug.exporters.provenance import SOURCE_TYPE
from synthaug.pipelines.export import export
from synthaug.pipelines.regenerate import regenerate
from synthaug.runs import Run

DISC, RING, STRIPES = CLASSES


def _write(image: Image.Image, stem: Path, number: int) -> Path:
    """Two sizes of JPEG, palettes, and large PNG: all that the post-processing has to repeat."""
    if stem.parent.name == DISC:
        image.resize((40, 30) if number % 2 else (30, 40)).save(stem.with_suffix(".jpg"), quality=80)
    elif stem.parent.name == RING:
        image.quantize(32).save(stem.with_suffix(".png"))
    else:
        image.resize((24, 24)).save(stem.with_suffix(".png"))
    return stem


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("regenerate")
    save_images(root / "data", {DISC: 12, RING: 8, STRIPES: 12}, write=_write)
    return make_run(root / "data", root / "runs")


@pytest.fixture(scope="module")
def exported(run: Run) -> Path:
    out = run.path.parent.parent / "out"
    export(run, out=out, per_class=90, gate=False, seed=3, device="cpu")
    return out


@pytest.fixture
def copied(exported: Path, tmp_path: Path) -> Path:
    shutil.copytree(exported, tmp_path / "copy")
    return tmp_path / "copy"


def edit(out: Path, change: Callable[[dict[str, Any]], None]) -> int:
    """Change the first synthetic row, and return its number."""
    rows = metadata(out)
    number = next(n for n, row in enumerate(rows) if row["synthetic"])
    change(rows[number])
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (out / "train" / "metadata.jsonl").write_text(text, encoding="utf-8")
    return number


def test_a_fresh_process_makes_every_image_again(exported: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from synthaug.pipelines.regenerate import regenerate;"
        "print(regenerate(Path(sys.argv[1]), verify=True, device='cpu').model_dump_json())"
    )
    root = Path(__file__).parents[2]
    search = os.pathsep.join([str(root), str(root / "recipes")])
    done = subprocess.run(
        [sys.executable, "-c", code, str(exported / "manifest.json")],
        env={**os.environ, "PYTHONPATH": search},
        cwd=tmp_path,  # the manifest knows where its run is
        capture_output=True,
        text=True,
        check=True,
    )
    result = json.loads(done.stdout)
    assert result["rows"] == sum(row["synthetic"] for row in metadata(exported)) >= 200
    assert result["equal"] == result["rows"]
    assert result["different"] == []
    assert list(tmp_path.iterdir()) == []


def test_rows_are_written_as_they_were_exported(exported: Path, tmp_path: Path) -> None:
    rows = metadata(exported)
    numbers = [n for n, row in enumerate(rows) if row["synthetic"]][::29]
    result = regenerate(exported / "train/metadata.jsonl", row=numbers, out=tmp_path / "again", device="cpu")
    assert (result.rows, result.equal) == (len(numbers), len(numbers))
    again = contents(tmp_path / "again")
    assert again == {rows[n]["file_name"]: (exported / "train" / rows[n]["file_name"]).read_bytes() for n in numbers}
    assert all(source_type(tmp_path / "again" / name) == SOURCE_TYPE for name in again)
    assert [p.name for p in tmp_path.iterdir()] == ["again"]


def test_an_export_of_before_the_rule_of_sides_is_made_again(run: Run, tmp_path: Path) -> None:
    """Cropped images had mirrored sides, and no key in the manifest said so. Here the sides are made by hand."""
    cropped = tmp_path / "runs" / run.path.name
    shutil.copytree(run.path, cropped)
    config = cropped / "config.yaml"
    config.write_text(config.read_text(encoding="utf-8").replace("fit: pad", "fit: crop"), encoding="utf-8")
    out = tmp_path / "out"
    export(Run(cropped), out=out, per_class={STRIPES: 70}, gate=False, seed=3, size="model", device="cpu")
    document = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert document.pop("sides") == "cut"
    document["looks"][STRIPES][0] |= {"width": 24, "height": 16}  # the generator's 16 px, and 4 on each side
    (out / "manifest.json").write_text(json.dumps(document), encoding="utf-8")
    rows = metadata(out)
    for row in rows:
        if row["synthetic"]:
            image = np.asarray(open_image(out / "train" / row["file_name"]))
            wide = np.concatenate([image[:, 3::-1], image, image[:, :-5:-1]], axis=1)
            row["pixel_sha256"] = pixel_sha256(Image.fromarray(wide))
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (out / "train" / "metadata.jsonl").write_text(text, encoding="utf-8")
    found = regenerate(out, verify=True, device="cpu")
    assert found.equal == found.rows > 50


def test_an_image_that_is_not_the_generators_is_found(copied: Path) -> None:
    def change(row: dict[str, Any]) -> None:
        path = copied / "train" / row["file_name"]
        image = np.asarray(open_image(path)).copy()
        Image.fromarray(255 - image).save(path)
        row["pixel_sha256"] = "0" * 64

    number = edit(copied, change)
    with pytest.raises(RunFailed, match=rf"1 of \d+ images could not be made again: row {number} .*grey levels"):
        regenerate(copied / "manifest.json", verify=True, device="cpu")


def test_within_one_grey_level_is_close(copied: Path) -> None:
    # another device: the hash differs, the pixels hardly
    rows = metadata(copied)
    number = next(n for n, row in enumerate(rows) if row["synthetic"] and row["label"] == STRIPES)
    path = copied / "train" / rows[number]["file_name"]
    image = np.asarray(open_image(path)).astype(int)
    Image.fromarray(np.where(image < 255, image + 1, image).astype(np.uint8)).save(path)
    rows[number]["pixel_sha256"] = "0" * 64
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (copied / "train" / "metadata.jsonl").write_text(text, encoding="utf-8")
    result = regenerate(copied, row=[number], verify=True, device="cpu")
    assert (result.equal, result.close, result.different) == (0, 1, [])


def test_real_rows_cannot_be_made_again(exported: Path) -> None:
    with pytest.raises(SynthaugError, match=r"row 0 .* is a real image"):
        regenerate(exported / "manifest.json", row=[0], device="cpu")


def test_a_row_that_is_not_there(exported: Path) -> None:
    with pytest.raises(SynthaugError, match="no row 9999") as caught:
        regenerate(exported / "manifest.json", row=[9999], device="cpu")
    assert "from 0 to 269" in caught.value.hint


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("checkpoint_sha256", "0" * 64, "does not fit the manifest"),
        ("look", 99, "does not fit the manifest"),
        ("class_index", 2, "does not fit the manifest"),
        ("seed", 4, "does not fit the manifest"),
        ("label", "../escape", "class name '../escape'"),
        ("sample_index", -1, "is damaged: sample_index"),
        ("sample_index", 2**50, "is damaged: sample_index"),
        ("look", None, "is damaged: look"),
    ],
)
def test_rows_that_do_not_fit_are_refused(copied: Path, tmp_path: Path, key: str, value: Any, said: str) -> None:
    edit(copied, lambda row: row.update({key: value}))
    before = contents(tmp_path)
    with pytest.raises(SynthaugError, match=said):
        regenerate(copied / "manifest.json", out=tmp_path / "again", device="cpu")
    assert contents(tmp_path) == before


def test_a_file_name_cannot_escape(copied: Path, tmp_path: Path) -> None:
    edit(copied, lambda row: row.update(file_name="../../escaped.jpg"))
    regenerate(copied / "manifest.json", out=tmp_path / "again", device="cpu")
    assert not list(tmp_path.rglob("../escaped.jpg"))
    assert [p.name for p in (tmp_path / "again" / DISC).iterdir() if p.name == "escaped.jpg"]


def test_rows_of_one_file_are_refused(copied: Path, tmp_path: Path) -> None:
    first = edit(copied, lambda row: row.update(file_name=f"{DISC}/../{DISC}/same.png"))
    rows = metadata(copied)
    rows[first + 1]["file_name"] = f"{DISC}/same.png"
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (copied / "train" / "metadata.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(SynthaugError, match=rf"rows {first} and {first + 1} of .* are of one file"):
        regenerate(copied / "manifest.json", out=tmp_path / "again", device="cpu")
    assert not (tmp_path / "again").exists()


def test_another_checkpoint_is_refused(copied: Path) -> None:
    document = json.loads((copied / "manifest.json").read_text(encoding="utf-8"))
    document["run"]["checkpoint_sha256"] = "0" * 64
    (copied / "manifest.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(SynthaugError, match="its hash differs"):
        regenerate(copied / "manifest.json", device="cpu")


def test_a_run_that_has_moved_is_found_with_runs(copied: Path, run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.path.parent, tmp_path / "moved", symlinks=True)
    document = json.loads((copied / "manifest.json").read_text(encoding="utf-8"))
    document["run"]["path"] = "/nowhere"
    (copied / "manifest.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(SynthaugError, match="no run"):
        regenerate(copied / "manifest.json", runs=tmp_path, device="cpu")
    result = regenerate(copied / "manifest.json", runs=tmp_path / "moved", device="cpu")
    assert result.equal == result.rows


@pytest.mark.parametrize("text", ["", "{", "[]", '{"tool": "other"}', '{"tool": "synthaug", "format_version": 7}'])
def test_what_is_no_manifest(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(SynthaugError, match=r"manifest\.json"):
        regenerate(tmp_path / "manifest.json", device="cpu")


def test_a_damaged_manifest_names_the_key(copied: Path) -> None:
    document = json.loads((copied / "manifest.json").read_text(encoding="utf-8"))
    document["looks"][DISC][0]["width"] = 60_000
    document["looks"][DISC][0]["height"] = 60_000
    (copied / "manifest.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(SynthaugError, match="looks"):
        regenerate(copied / "manifest.json", device="cpu")


def test_an_existing_output_is_not_touched(exported: Path, run: Run, tmp_path: Path) -> None:
    with pytest.raises(SynthaugError, match="exists already"):
        regenerate(exported / "manifest.json", out=tmp_path, device="cpu")
    for inside in (exported / "train" / "new", run.facts().data / "new"):
        with pytest.raises(SynthaugError, match="lies inside the data folder"):
            regenerate(exported / "manifest.json", out=inside, device="cpu")
        assert not inside.exists()
    assert list(tmp_path.iterdir()) == []


def test_one_step_of_another_seed_is_noticed(copied: Path) -> None:
    # the planted fault behind all of this: a generator that gives other images must not verify
    document = json.loads((copied / "manifest.json").read_text(encoding="utf-8"))
    document["seed"] = 4
    (copied / "manifest.json").write_text(json.dumps(document), encoding="utf-8")
    rows = metadata(copied)
    for row in rows:
        if row["synthetic"]:
            row["seed"] = 4
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (copied / "train" / "metadata.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(RunFailed, match="could not be made again"):
        regenerate(copied / "manifest.json", verify=True, device="cpu")
