"""`croissant.json` is valid, and `mlcroissant` yields the images and classes of an export by it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from export_material import CLASSES, Painters, make_run, metadata, save_images
from PIL import Image

from synthaug.data.decode import pixel_sha256
from synthaug.exporters import FORMATS
from synthaug.pipelines.export import export
from synthaug.runs import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Of files in several formats, in folders whose names need care."""
    root = tmp_path_factory.mktemp("croissant")

    def write(image: Image.Image, path: Path, number: int) -> Path:
        target = path.with_suffix([".png", ".PNG", ".bmp"][number % 3])
        image.save(target)
        return target

    save_images(root / "data ü", dict(zip(CLASSES, (10, 6, 10), strict=True)), write=write)
    return make_run(root / "data ü", root / "runs")


@pytest.fixture(autouse=True)
def _painter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthaug.sampling.generate.load_generator", Painters())


@pytest.fixture(scope="module")
def mlcroissant(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("CROISSANT_CACHE", str(tmp_path_factory.mktemp("cache")))  # it is read once, at the import
        return pytest.importorskip("mlcroissant")


def _records(dataset: Any, name: str) -> list[dict[str, Any]]:
    """Records with short names of fields, and with text in the place of bytes."""
    rows = [{key.partition("/")[2]: value for key, value in row.items()} for row in dataset.records(name)]
    return [{key: v.decode() if isinstance(v, bytes) else v for key, v in row.items()} for row in rows]


@pytest.mark.parametrize("name", ["folder", "webdataset", "parquet"])
def test_images_and_classes(name: str, run: Run, tmp_path: Path, mlcroissant: Any) -> None:
    out = tmp_path / "out"
    export(run, out=out, format=name, per_class=12, gate=False, with_heldout=True, device="cpu")
    dataset = mlcroissant.Dataset(out / "croissant.json")  # raises where it is not valid
    assert not dataset.metadata.ctx.issues.errors
    rows = {side: metadata(out, side) for side in ("train", "test")}
    for side, records in (("train", "metadata"), ("test", "metadata_test")):
        found = _records(dataset, records)
        assert [(r["file_name"], r["label"], r["synthetic"]) for r in found] == [
            (r["file_name"], r["label"], r["synthetic"]) for r in rows[side]
        ]
    classes = {row["index"]: row["label"] for row in _records(dataset, "classes")}
    images = []
    if name == "webdataset":
        for side, after in (("train", ""), ("test", "_test")):
            labels = {row["sample"]: classes[row["class_index"]] for row in _records(dataset, f"labels{after}")}
            images += [{**r, "label": labels[r["sample"]], "split": side} for r in _records(dataset, f"images{after}")]
    else:
        images = _records(dataset, "images")
    if name == "parquet":
        images = [{**r, "label": classes[r["label"]]} for r in images]
    wanted = Counter((side, r["label"], r["pixel_sha256"]) for side in rows for r in rows[side])
    assert Counter((r["split"], r["label"], pixel_sha256(r["image"].convert("RGB"))) for r in images) == wanted
    if name == "parquet":
        assert sum(r["synthetic"] for r in images) == sum(r["synthetic"] for r in rows["train"])


def test_every_format_is_described_and_no_file_is_forgotten(run: Run, tmp_path: Path) -> None:
    for name in FORMATS.names():
        out = tmp_path / name
        export(run, out=out, format=name, per_class=12, gate=False, device="cpu")
        document = json.loads((out / "croissant.json").read_text(encoding="utf-8"))
        named = {part.get("contentUrl") for part in document["distribution"]}
        files = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.suffix in (".tar", ".parquet", ".jsonl")}
        assert files <= named
        assert str(tmp_path) not in json.dumps(document)
