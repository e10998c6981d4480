"""`export`, whole: exact totals, what readers see, interruptions, and what must not happen."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import export_material
import numpy as np
import pytest
from command_line import requested
from export_material import CLASSES, Painters, contents, make_run, metadata, save_images, source_type
from PIL import Image

from synthaug.data.decode import open_image, pixel_sha256
from synthaug.data.split import Split
from synthaug.errors import Interrupted, RunFailed, SynthaugError
from synthaug.exporters import destination, folder, synthetic
from synthaug.exporters.manifest import read_manifest
from synthaug.exporters.provenance import SOURCE_TYPE
from synthaug.exporters.workspace import Workspace
from synthaug.pipelines.export import export
from synthaug.pipelines.samples import samples
from synthaug.progress.terminal import LineProgress
from synthaug.requests import ExportRequest
from synthaug.runs import Run

DISC, RING, STRIPES = CLASSES
COUNTS = {DISC: 40, RING: 12, STRIPES: 40}
KEYS = {
    "file_name", "label", "synthetic", "width", "height", "sha256", "pixel_sha256", "seed", "sample_index",
    "class_index", "checkpoint_sha256", "look", "origin_path", "gate", "mode", "source_path",
    "source_pixel_sha256", "source_label", "source_group", "conditions", "combination", "extrapolated",
}  # fmt: skip
GATE_KEYS = {"discriminator_score", "agreement", "nearest_real_distance", "nearest_real_path"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("export")
    save_images(root / "data", COUNTS)
    return make_run(root / "data", root / "runs")


@pytest.fixture(scope="module")
def cache(run: Run) -> Path:
    return run.path.parent.parent / "cache"


@pytest.fixture(autouse=True)
def painter(monkeypatch: pytest.MonkeyPatch) -> Painters:
    painters = Painters()
    monkeypatch.setattr("synthaug.sampling.generate.load_generator", painters)
    return painters


@pytest.fixture(scope="module")
def gated(run: Run, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("gated") / "out"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("synthaug.sampling.generate.load_generator", Painters())
        export(run, out=out, per_class=70, with_heldout=True, device="cpu", cache=cache)
    return out


def counted(out: Path) -> dict[str, int]:
    return {p.name: len(list(p.iterdir())) for p in sorted((out / "train").iterdir()) if p.is_dir()}


def parts(run: Run) -> dict[str, dict[str, int]]:
    return Split.read(run.split_file).counts()


def test_every_class_ends_with_its_total(gated: Path, run: Run) -> None:
    assert counted(gated) == dict.fromkeys(sorted(CLASSES), 70)
    rows = metadata(gated)
    assert len(rows) == 210
    for label, real in parts(run)["train"].items():
        own = [row for row in rows if row["label"] == label]
        assert [row["synthetic"] for row in own] == [False] * real + [True] * (70 - real)
    manifest = read_manifest(gated / "manifest.json")
    for label, done in manifest.export.per_class.items():
        assert (done.asked, done.real, done.short) == (70, parts(run)["train"][label], 0)
        assert done.real + done.synthetic == 70


def test_each_row_is_true(gated: Path, run: Run) -> None:
    data = run.facts().data
    for side in ("train", "val", "test"):
        for row in metadata(gated, side):
            path = gated / side / row["file_name"]
            image = open_image(path)
            assert set(row) == KEYS
            assert (row["width"], row["height"]) == image.size
            assert row["pixel_sha256"] == pixel_sha256(image)
            assert row["class_index"] == sorted(CLASSES).index(row["label"])
            assert path.parent.name == row["label"]
            if row["synthetic"]:
                assert side == "train"
                assert source_type(path) == SOURCE_TYPE
                assert set(row["gate"]) == GATE_KEYS
                assert 0 < row["gate"]["agreement"] <= 1
                assert row["gate"]["nearest_real_distance"] > 0
                assert (data / row["gate"]["nearest_real_path"]).parent.name == row["label"]
            else:
                assert path.read_bytes() == (data / row["origin_path"]).read_bytes()
                assert (row["seed"], row["sample_index"], row["checkpoint_sha256"]) == (-1, -1, "")
                assert set(row["gate"]) == GATE_KEYS


def test_held_out_images_are_those_of_the_split(gated: Path, run: Run) -> None:
    split = Split.read(run.split_file)
    for side in ("train", "val", "test"):
        real = {row["origin_path"] for row in metadata(gated, side) if not row["synthetic"]}
        assert real == {row.path for row in split.rows if row.split == side}


def test_no_accepted_image_repeats_another_or_a_real_one(gated: Path) -> None:
    assert len({row["pixel_sha256"] for row in metadata(gated)}) == 210


def test_torchvision_reads_it(gated: Path) -> None:
    from torchvision.datasets import ImageFolder

    found = ImageFolder(str(gated / "train"))
    assert found.classes == sorted(CLASSES)
    assert Counter(found.targets) == dict.fromkeys(range(3), 70)
    assert found[0][0].size == (16, 16)


def test_hugging_face_reads_it(gated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    found = datasets.load_dataset("imagefolder", data_dir=str(gated), cache_dir=str(tmp_path))
    assert set(found) == {"train", "validation", "test"}
    train = found["train"]
    assert {"image", "label", "synthetic", "gate", "origin_path"} <= set(train.column_names)
    assert Counter(train["label"]) == dict.fromkeys(CLASSES, 70)
    by_hash = {row["sha256"]: row for row in metadata(gated)}
    for row in train:
        assert row["synthetic"] == by_hash[row["sha256"]]["synthetic"]
        assert pixel_sha256(row["image"]) == row["pixel_sha256"]


def test_the_hub_reads_the_card_and_labels_are_class_labels(
    gated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub, datasets = pytest.importorskip("huggingface_hub"), pytest.importorskip("datasets")
    about = hub.DatasetCard.load(gated / "README.md").data
    assert about.pretty_name == "data, with synthetic images"
    assert about.task_categories == ["image-classification"]
    assert [config["config_name"] for config in about.configs] == ["default", "metadata"]
    found = datasets.load_dataset(str(gated), cache_dir=str(tmp_path))
    assert set(found) == {"train", "validation", "test"}
    for side in found.values():  # `push_to_hub` refuses splits with different features
        assert side.features["label"] == datasets.ClassLabel(names=sorted(CLASSES))
    assert Counter(found["train"]["label"]) == dict.fromkeys(range(3), 70)
    assert found["train"][0]["image"].size == (16, 16)
    rows = datasets.load_dataset(str(gated), "metadata", split="train", cache_dir=str(tmp_path))
    assert sum(rows["synthetic"]) == sum(row["synthetic"] for row in metadata(gated))


def test_the_manifest_and_the_card(gated: Path, run: Run) -> None:
    manifest = read_manifest(gated / "manifest.json")
    assert manifest.data.fingerprint == run.facts().fingerprint
    assert manifest.config == run.config().model_dump(mode="json")
    assert manifest.gates is not None
    assert set(manifest.gates.limits) == set(CLASSES)
    assert manifest.gates.features is not None
    assert manifest.gates.features.startswith("agreement@")
    card = (gated / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\npretty_name:")
    assert f"| {RING} | 70 |" in card


def test_the_same_export_is_the_same_folder_anywhere(gated: Path, run: Run, cache: Path, tmp_path: Path) -> None:
    export(run, out=tmp_path / "elsewhere", per_class=70, with_heldout=True, device="cpu", cache=cache)
    assert contents(tmp_path / "elsewhere") == contents(gated)
    assert [p.name for p in tmp_path.iterdir()] == ["elsewhere"]


def test_a_smaller_export_is_the_beginning_of_a_larger_one(gated: Path, run: Run, cache: Path, tmp_path: Path) -> None:
    export(run, out=tmp_path / "small", per_class=45, device="cpu", cache=cache)
    larger = {row["file_name"]: row for row in metadata(gated)}
    assert all(larger[row["file_name"]] == row for row in metadata(tmp_path / "small"))


def test_the_data_folder_is_untouched(run: Run, tmp_path: Path) -> None:
    data = run.facts().data
    before = {p: (p.stat().st_mtime_ns, p.stat().st_nlink) for p in data.rglob("*")}
    export(run, out=tmp_path / "out", per_class=45, gate=False, device="cpu")
    assert {p: (p.stat().st_mtime_ns, p.stat().st_nlink) for p in data.rglob("*")} == before


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"per_class": 50}, {DISC: 50, RING: 50, STRIPES: 50}),
        ({"per_class": {RING: 33}}, {DISC: "train", RING: 33, STRIPES: "train"}),
        ({}, {DISC: "largest", RING: "largest", STRIPES: "largest"}),
        ({"per_class": 20}, {DISC: "train", RING: 20, STRIPES: "train"}),
        ({"per_class": 20, "cap": True}, {DISC: 20, RING: 20, STRIPES: 20}),
        ({"per_class": 20, "synthetic_only": True}, {DISC: 20, RING: 20, STRIPES: 20}),
        ({"per_class": 40, "strategy": "minority"}, {DISC: "train", RING: 40, STRIPES: "train"}),
    ],
)
def test_totals(run: Run, tmp_path: Path, options: dict[str, Any], expected: dict[str, Any]) -> None:
    train = parts(run)["train"]
    document = export(run, out=tmp_path / "out", gate=False, device="cpu", **options)
    wanted = {
        label: train[label] if n == "train" else max(train.values()) if n == "largest" else n
        for label, n in expected.items()
    }
    assert counted(tmp_path / "out") == wanted
    assert {label: c.real + c.synthetic for label, c in document.per_class.items()} == wanted
    if options.get("synthetic_only"):
        assert all(row["synthetic"] for row in metadata(tmp_path / "out"))


def test_synthetic_files_look_like_the_real_ones_of_their_class(tmp_path: Path, painter: Painters) -> None:
    def write(image: Image.Image, stem: Path, number: int) -> Path:
        if stem.parent.name == DISC:
            path = stem.with_suffix(".jpg")
            image.resize((48, 36) if number % 2 else (36, 48)).save(path, quality=71)
        elif stem.parent.name == RING:
            path = stem.with_suffix(".webp")
            image.resize((20, 20)).save(path, lossless=True)
        else:
            path = stem.with_suffix(".PNG")
            image.convert("L").resize((10, 10)).save(path)
        return path

    save_images(tmp_path / "data", COUNTS, write=write)
    run = make_run(tmp_path / "data", tmp_path / "runs")
    out = tmp_path / "out"
    export(run, out=out, per_class=80, gate=False, device="cpu")
    for label in CLASSES:
        real, made = set(), set()
        for row in metadata(out):
            if row["label"] == label:
                with Image.open(out / "train" / row["file_name"]) as image:
                    quality = tuple(map(tuple, getattr(image, "quantization", {}).values()))
                    look = (image.format, image.mode, image.size, quality, Path(row["file_name"]).suffix)
                    (made if row["synthetic"] else real).add(look)
        assert made == real
    export(run, out=tmp_path / "model", per_class=80, gate=False, size="model", device="cpu")
    assert {(r["width"], r["height"]) for r in metadata(tmp_path / "model") if r["synthetic"]} == {(16, 16)}


def test_an_enlargement_is_said_in_all_places(
    tmp_path: Path, painter: Painters, capsys: pytest.CaptureFixture[str]
) -> None:
    def write(image: Image.Image, stem: Path, number: int) -> None:
        size = {DISC: (120, 90), RING: (40, 30), STRIPES: (16, 16)}[stem.parent.name]
        image.resize(size).save(stem.with_suffix(".png"))

    save_images(tmp_path / "data", COUNTS, write=write)
    run = make_run(tmp_path / "data", tmp_path / "runs", **{"data.fit": "crop"})
    document = export(run, out=tmp_path / "out", per_class=60, gate=False, device="cpu", progress=LineProgress())
    said = "have 16 px and are enlarged 1.0 to 5.6 (by class) times to the size of the real ones"
    assert capsys.readouterr().err.count(said) == 1
    assert {label: c.enlarged for label, c in document.per_class.items()} == {DISC: 5.625, RING: 1.875, STRIPES: 1.0}
    manifest = read_manifest(tmp_path / "out" / "manifest.json")
    assert said in " ".join(manifest.warnings)
    assert manifest.export.per_class == document.per_class
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert said in card
    assert "| 5.6 × |" in card
    assert "synthetic images are squares of the shorter side" in card
    sizes = {row["label"]: (row["width"], row["height"]) for row in metadata(tmp_path / "out") if row["synthetic"]}
    assert sizes == {DISC: (90, 90), RING: (30, 30), STRIPES: (16, 16)}
    whole = export(run, out=tmp_path / "model", per_class=60, gate=False, size="model", device="cpu")
    assert {c.enlarged for c in whole.per_class.values()} == {1.0}
    assert read_manifest(tmp_path / "model" / "manifest.json").warnings == []


def test_links(run: Run, tmp_path: Path) -> None:
    export(run, out=tmp_path / "out", per_class=45, gate=False, link=True, device="cpu")
    row = next(row for row in metadata(tmp_path / "out") if not row["synthetic"])
    source = run.facts().data / row["origin_path"]
    assert (tmp_path / "out/train" / row["file_name"]).samefile(source)
    shutil.rmtree(tmp_path / "out")
    assert source.stat().st_nlink == 1


# --- faulty generators ---------------------------------------------------------------------------------------------


def test_a_class_that_cannot_be_filled(run: Run, cache: Path, tmp_path: Path, painter: Painters) -> None:
    painter.mode = "one"
    with pytest.raises(RunFailed, match=r"cannot be filled: \d+ of \d+ .*duplicate \d+") as caught:
        export(run, out=tmp_path / "a" / "out", per_class={RING: 14}, device="cpu", cache=cache)
    assert "--allow-short" in caught.value.hint
    assert list(tmp_path.iterdir()) == []
    document = export(run, out=tmp_path / "out", per_class={RING: 14}, allow_short=True, device="cpu", cache=cache)
    ring = document.per_class[RING]
    assert ring.short > 0
    assert ring.real + ring.synthetic + ring.short == ring.asked == 14
    assert ring.rejected["duplicate"] > 100
    assert "instead of" in read_manifest(tmp_path / "out/manifest.json").warnings[0]
    assert "instead of" in (tmp_path / "out/README.md").read_text(encoding="utf-8")


# --- interruptions -------------------------------------------------------------------------------------------------


def _start(run: Run, out: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, export_material.__file__, str(run.path), str(out), "70", *options]
    root = Path(__file__).parents[2]
    search = os.pathsep.join([str(root), str(root / "recipes"), str(root / "tests")])
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": search}, cwd=out.parent)


def _journal(out: Path) -> int:
    """Pieces of work in the journals, whole or not."""
    return sum(file.read_bytes().count(b'{"kind"') for file in Workspace(out).path.glob("classes/*/journal.jsonl"))


@pytest.mark.slow
def test_a_killed_export_goes_on_to_the_same_folder(run: Run, gated: Path, tmp_path: Path) -> None:
    out, seen = tmp_path / "out", 0
    for entries in (3, 10):  # some real images; then all of them and chunks of synthetic ones
        process = _start(run, out)
        while process.poll() is None and _journal(out) < entries:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not out.exists()
        assert _journal(out) >= max(seen, 1)
        seen = _journal(out)
    journal = Workspace(out).journal(DISC).file
    journal.write_bytes(journal.read_bytes() + b'{"kind": "synth')  # as if it had been killed within a line
    (Workspace(out).tree / "train" / DISC / "synthetic_009999.png").write_bytes(b"written, but not in the journal")
    assert _start(run, out).wait() == 0
    assert contents(out) == contents(gated)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def _interrupt_after(monkeypatch: pytest.MonkeyPatch, images: int, error: BaseException) -> None:
    original, left = synthetic.write_synthetic, [images]

    def write(*arguments: Any, **more: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise error
        return original(*arguments, **more)

    monkeypatch.setattr(synthetic, "write_synthetic", write)


def test_ctrl_c_keeps_the_work(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(run, out=tmp_path / "whole", per_class=150, gate=False, device="cpu")
    with monkeypatch.context() as patched:
        _interrupt_after(patched, 130, KeyboardInterrupt())
        with pytest.raises(Interrupted, match="interrupted") as caught:
            export(run, out=tmp_path / "out", per_class=150, gate=False, device="cpu")
    assert not (tmp_path / "out").exists()
    asked = ExportRequest(run=run, out=tmp_path / "out", per_class=150, gate=False, device="cpu")
    assert requested(caught.value.hint.removeprefix("continue with: ")) == asked
    assert sum(1 for _ in Workspace(tmp_path / "out").tree.rglob("synthetic_*")) >= 100
    export(run, out=tmp_path / "out", per_class=150, gate=False, device="cpu")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "whole"]


@pytest.fixture
def forks(monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux forks")
    monkeypatch.setattr("synthaug.pipelines.export.worth_forking", lambda total: True)
    monkeypatch.setattr("synthaug.data.parallel.workers", lambda: 2)


@pytest.mark.usefixtures("forks")
def test_forked_processes_make_the_same_export(run: Run, gated: Path, cache: Path, tmp_path: Path) -> None:
    export(run, out=tmp_path / "out", per_class=70, with_heldout=True, device="cpu", cache=cache)
    assert contents(tmp_path / "out") == contents(gated)


@pytest.mark.usefixtures("forks")
def test_a_killed_worker_is_an_error_and_the_next_call_goes_on(
    run: Run, gated: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = synthetic.write_synthetic

    def write(path: Path, *arguments: Any, **more: Any) -> Any:
        if path.parent.name == STRIPES:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(path, *arguments, **more)

    arguments: dict[str, Any] = {"per_class": 70, "with_heldout": True, "device": "cpu", "cache": cache}
    with monkeypatch.context() as patched:
        patched.setattr(synthetic, "write_synthetic", write)
        with pytest.raises(RunFailed, match="a process that worked on images died"):
            export(run, out=tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()
    export(run, out=tmp_path / "out", **arguments)
    assert contents(tmp_path / "out") == contents(gated)


def test_work_of_other_settings_is_not_mixed_in(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export(run, out=tmp_path / "whole", per_class=60, seed=1, gate=False, device="cpu")
    with monkeypatch.context() as patched:
        _interrupt_after(patched, 70, KeyboardInterrupt())
        with pytest.raises(Interrupted):
            export(run, out=tmp_path / "out", per_class=150, gate=False, device="cpu")
    export(run, out=tmp_path / "out", per_class=60, seed=1, gate=False, device="cpu")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_file_damaged_after_the_interruption_is_made_again(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(run, out=tmp_path / "whole", per_class=150, gate=False, device="cpu")
    with monkeypatch.context() as patched:
        _interrupt_after(patched, 200, KeyboardInterrupt())
        with pytest.raises(Interrupted):
            export(run, out=tmp_path / "out", per_class=150, gate=False, device="cpu")
    tree = Workspace(tmp_path / "out").tree
    (tree / "train" / DISC / "synthetic_000003.png").write_bytes(b"")
    export(run, out=tmp_path / "out", per_class=150, gate=False, device="cpu")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_two_exports_to_one_place(run: Run, tmp_path: Path) -> None:
    other = Workspace(tmp_path / "out")
    other.open({})
    before = contents(tmp_path)
    with pytest.raises(SynthaugError, match="is in use by process"):
        export(run, out=tmp_path / "out", per_class=45, gate=False, device="cpu")
    assert contents(tmp_path) == before
    other.discard()


# --- what must not happen ------------------------------------------------------------------------------------------


def test_an_existing_folder_is_not_touched(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(SynthaugError, match="exists already"):
        export(run, out=tmp_path / "out", per_class=45, gate=False, device="cpu")
    with pytest.raises(SynthaugError, match="not an earlier export"):
        export(run, out=tmp_path / "out", per_class=45, gate=False, overwrite=True, device="cpu")
    assert contents(tmp_path) == {"out/mine.txt": b"mine"}


def test_an_earlier_export_is_replaced_as_a_whole(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    export(run, out=out, per_class=60, gate=False, device="cpu")
    before = contents(out)
    with monkeypatch.context() as patched:
        _interrupt_after(patched, 10, OSError(errno.ENOSPC, "No space left on device"))
        with pytest.raises(RunFailed):
            export(run, out=out, per_class=45, gate=False, overwrite=True, device="cpu")
    assert contents(out) == before
    export(run, out=out, per_class=45, gate=False, overwrite=True, device="cpu")
    assert counted(out)[RING] == 45
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_crash_while_replacing_gives_the_old_export_back(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out"
    export(run, out=out, per_class=45, gate=False, device="cpu")
    before = contents(out)
    workspace = Workspace(out)
    out.rename(workspace.replaced)
    workspace.open({"other": "settings"})
    workspace.discard()
    assert contents(out) == before


def test_a_full_disk_leaves_nothing(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        _interrupt_after(patched, 20, OSError(errno.ENOSPC, "No space left on device"))
        with pytest.raises(RunFailed, match="is full") as caught:
            export(run, out=tmp_path / "new" / "out", per_class=60, gate=False, device="cpu")
    assert caught.value.exit_status == 1
    assert "free some space" in caught.value.hint
    with monkeypatch.context() as patched:
        patched.setattr(Workspace, "finish", full)
        with pytest.raises(RunFailed, match="is full"):
            export(run, out=tmp_path / "out", per_class=60, gate=False, device="cpu")
    assert list(tmp_path.iterdir()) == []


def test_too_little_space_is_noticed_before_the_work(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(destination.shutil, "disk_usage", lambda _: usage._replace(free=100_000))
    monkeypatch.setattr(folder, "write_synthetic", None)
    with pytest.raises(RunFailed, match=r"needs about [\d.]+ MB, and .* has 0\.1 MB free"):
        export(run, out=tmp_path / "out", per_class=500, gate=False, device="cpu")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("inside", ["", "sub", "sub/deep"])
def test_nothing_is_written_into_the_data_folder(run: Run, inside: str) -> None:
    data = run.facts().data
    before = contents(data)
    with pytest.raises(SynthaugError, match="inside the data folder"):
        export(run, out=data / inside, per_class=45, gate=False, overwrite=True, device="cpu")
    assert contents(data) == before


def test_a_folder_that_holds_the_data_is_not_replaced(run: Run) -> None:
    with pytest.raises(SynthaugError, match="holds the data or the run"):
        export(run, out=run.path.parent.parent, per_class=45, gate=False, overwrite=True, device="cpu")


@pytest.mark.parametrize("fault", ["changed", "missing", "truncated", "gone"])
def test_source_images_that_are_not_as_they_were(tmp_path: Path, fault: str) -> None:
    save_images(tmp_path / "data", {DISC: 8, RING: 6, STRIPES: 8})
    run = make_run(tmp_path / "data", tmp_path / "runs")
    victim = next(row for row in Split.read(run.split_file).rows if row.split == "train")
    path = tmp_path / "data" / victim.path
    if fault == "changed":
        Image.fromarray(np.asarray(Image.open(path)) ^ 1).save(path)
    elif fault == "missing":
        path.unlink()
    elif fault == "truncated":
        path.write_bytes(path.read_bytes()[:100])
    else:
        shutil.rmtree(tmp_path / "data")
    before = contents(tmp_path)
    with pytest.raises(SynthaugError) as caught:
        export(run, out=tmp_path / "out", per_class=20, gate=False, device="cpu")
    assert (victim.path if fault != "gone" else "data") in caught.value.message
    assert caught.value.exit_status == 2
    assert contents(tmp_path) == before


def test_a_run_that_points_out_of_its_data_folder(tmp_path: Path) -> None:
    save_images(tmp_path / "data", {DISC: 8, RING: 6, STRIPES: 8})
    run = make_run(tmp_path / "data", tmp_path / "runs")
    secret = tmp_path / "secret.png"
    Image.new("RGB", (8, 8)).save(secret)
    lines = run.split_file.read_text().splitlines()
    first = next(i for i, line in enumerate(lines) if line.endswith(",train"))
    cells = lines[first].split(",")
    lines[first] = ",".join(["../secret.png", *cells[1:]])
    run.split_file.write_text("\n".join(lines) + "\n")
    with pytest.raises(SynthaugError, match=r"\.\./secret\.png.*outside"):
        export(run, out=tmp_path / "out", per_class=20, gate=False, device="cpu")


def test_a_place_that_cannot_be_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SynthaugError, match="cannot write"):
        export(run, out=tmp_path / "file" / "out", per_class=45, gate=False, device="cpu")
    assert contents(tmp_path) == {"file": b""}


def test_the_document_is_what_the_manifest_holds(run: Run, tmp_path: Path) -> None:
    document = export(run, out=tmp_path / "out", per_class=45, gate=False, device="cpu")
    assert document.images_per_second is not None
    assert Path(document.manifest).is_file()
    stored = json.loads(Path(document.manifest).read_text(encoding="utf-8"))["export"]
    relative = {"out": ".", "manifest": "manifest.json", "images_per_second": None}
    assert type(document).model_validate(stored) == document.model_copy(update=relative)


# --- samples -------------------------------------------------------------------------------------------------------


def test_samples_are_files_and_a_grid(run: Run, tmp_path: Path) -> None:
    made = samples(run, class_=DISC, count=20, out=tmp_path / "s", device="cpu")
    assert made.per_class == {DISC: [f"{DISC}/{i:06d}.png" for i in range(20)]}
    assert open_image(tmp_path / "s" / made.per_class[DISC][7]).size == (16, 16)
    assert source_type(tmp_path / "s" / made.per_class[DISC][0]) == SOURCE_TYPE
    assert min(Image.open(tmp_path / "s" / made.grid).size) > 200
    with pytest.raises(SynthaugError, match="exists already"):
        samples(run, class_=DISC, out=tmp_path / "s", device="cpu")
    assert samples(run, out=tmp_path / "s", count=3, overwrite=True, device="cpu").per_class.keys() == {RING}
    assert sorted(p.name for p in (tmp_path / "s").iterdir()) == ["grid.png", RING, "samples.json"]
