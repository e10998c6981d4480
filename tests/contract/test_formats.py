"""Every format of the table holds every image of the export, byte for byte, and is written the same each time."""

from __future__ import annotations

import importlib
import json
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from types import ModuleType

import pytest
from export_material import CLASSES, Painters, contents, make_run, metadata, save_images

from synthaug.errors import SynthaugError
from synthaug.exporters import FORMATS
from synthaug.exporters.manifest import read_manifest
from synthaug.pipelines.export import export
from synthaug.pipelines.regenerate import regenerate
from synthaug.runs import Run
from synthaug.sampling.generate import SeededGenerator

GUIDE = Path(__file__).parents[2] / "docs" / "extending.md"
COUNTS = dict(zip(CLASSES, (10, 6, 10), strict=True))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("formats")
    save_images(root / "data", COUNTS)
    return make_run(root / "data", root / "runs")


@pytest.fixture(scope="module")
def reference(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reference") / "out"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("synthaug.sampling.generate.load_generator", Painters())
        export(run, out=out, per_class=12, gate=False, with_heldout=True, device="cpu")
    return out


def _folder(out: Path, side: str) -> dict[str, bytes]:
    return {row["sha256"]: (out / side / row["file_name"]).read_bytes() for row in metadata(out, side)}


def _webdataset(out: Path, side: str) -> dict[str, bytes]:
    found = {}
    for shard in sorted((out / side).glob("*.tar")):
        with tarfile.open(shard) as tar:
            samples: dict[str, dict[str, bytes]] = {}
            for member in tar:
                stem, _, suffix = member.name.partition(".")
                file = tar.extractfile(member)
                assert file is not None
                samples.setdefault(stem, {})[suffix] = file.read()
        for sample in samples.values():
            row = json.loads(sample["json"])
            assert int(sample["cls"]) == row["class_index"]
            found[row["sha256"]] = sample["png"]
    return found


def _parquet(out: Path, side: str) -> dict[str, bytes]:
    parquet = pytest.importorskip("pyarrow.parquet")
    name = {"train": "train", "val": "validation", "test": "test"}[side]
    found = {}
    for shard in sorted((out / "data").glob(f"{name}-*.parquet")):
        for row in parquet.read_table(shard).to_pylist():
            found[row["sha256"]] = row["image"]["bytes"]
    return found


READERS: dict[str, Callable[[Path, str], dict[str, bytes]]] = {
    "folder": _folder,
    "webdataset": _webdataset,
    "parquet": _parquet,
}


@pytest.mark.parametrize("name", FORMATS.names())
def test_a_format_holds_every_image(name: str, run: Run, reference: Path, tmp_path: Path) -> None:
    for out in (tmp_path / "out", tmp_path / "again"):
        export(run, out=out, format=name, per_class=12, gate=False, with_heldout=True, device="cpu")
    out = tmp_path / "out"
    assert contents(out) == contents(tmp_path / "again")
    assert read_manifest(out / "manifest.json").format == name
    for side in ("train", "test"):
        assert READERS[name](out, side) == _folder(reference, side)
    assert not any(p.is_dir() for p in (out / "train").iterdir()) or name == "folder"
    result = regenerate(out / "manifest.json", verify=True, device="cpu")
    assert result.equal == result.rows > 10


@pytest.fixture
def zipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The format of docs/extending.md."""
    section = GUIDE.read_text(encoding="utf-8").partition("## An export format\n")[2]
    (tmp_path / "zipped.py").write_text(section.partition("```python\n")[2].partition("```")[0], encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(FORMATS._entries, "zipped", "zipped:FORMAT")
    yield importlib.import_module("zipped")
    del sys.modules["zipped"]


def test_the_format_of_the_guide_holds_every_image(
    zipped: ModuleType, run: Run, reference: Path, tmp_path: Path
) -> None:
    export(run, out=tmp_path / "out", format="zipped", per_class=12, gate=False, with_heldout=True, device="cpu")
    for side in ("train", "test"):
        with zipfile.ZipFile(tmp_path / "out" / side / "images.zip") as archive:
            held = {sha256(archive.read(name)).hexdigest() for name in archive.namelist()}
        assert held == _folder(reference, side).keys()


def test_a_format_can_refuse_before_anything_is_generated(
    zipped: ModuleType, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generated: list[object] = []
    monkeypatch.setattr(SeededGenerator, "chunk", lambda *a, **k: generated.append(a))
    monkeypatch.setattr(zipped, "MOST", 35)
    with pytest.raises(SynthaugError, match="36 images are more than one zip file holds: 35"):
        export(run, out=tmp_path / "out", format="zipped", per_class=12, gate=False, device="cpu")
    assert not generated
    assert not list(tmp_path.glob("*out*"))


@pytest.mark.parametrize(("name", "files"), [("webdataset", "train/*.tar"), ("parquet", "data/train-*.parquet")])
def test_hugging_face_reads_it(
    name: str, files: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    out = tmp_path / "out"
    export(run, out=out, format=name, per_class=12, gate=False, device="cpu")
    found = datasets.load_dataset(name, data_files={"train": str(out / files)}, cache_dir=str(tmp_path / "cache"))
    train = found["train"]
    assert len(train) == 36
    assert len(datasets.load_dataset(str(out), split="train", cache_dir=str(tmp_path / "card"))) == 36
    image = "png" if name == "webdataset" else "image"
    assert train[0][image].size == (16, 16)
    if name == "parquet":
        assert train.features["label"] == datasets.ClassLabel(names=sorted(CLASSES))
    rows = [row["json"] for row in train] if name == "webdataset" else list(train)
    assert sum(row["synthetic"] for row in rows) == sum(row["synthetic"] for row in metadata(out))


def test_large_exports_are_cut_into_shards(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("webdataset", "parquet"):
        monkeypatch.setattr(f"synthaug.exporters.{name}.SHARD_BYTES", 5000)
        export(run, out=tmp_path / name, format=name, per_class=12, gate=False, device="cpu")
        assert len(list(tmp_path.glob(f"{name}/*/*.tar")) + list(tmp_path.glob(f"{name}/data/*"))) > 2
        assert len(READERS[name](tmp_path / name, "train")) == 36


@pytest.fixture(autouse=True)
def _painter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthaug.sampling.generate.load_generator", Painters())
