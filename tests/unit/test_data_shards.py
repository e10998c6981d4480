"""WebDataset and Parquet folders as DATA: read like an image folder, whatever lies in them."""

from __future__ import annotations

import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_material import CLASSES, Painters, contents, make_run, metadata, save_images
from PIL import Image

from synthaug.data import shards
from synthaug.data.cache import load_images
from synthaug.data.decode import header_size
from synthaug.data.folder import Scan, scan
from synthaug.data.parquet import ParquetShard
from synthaug.data.roles import marked_real, scan_synthetic, synthetic_images
from synthaug.data.webdataset import TarShard
from synthaug.errors import SynthaugError
from synthaug.pipelines.export import export
from synthaug.pipelines.regenerate import regenerate
from synthaug.progress import Silent
from synthaug.runs import Run

KINDS = ["webdataset", "parquet"]


def _png(value: int = 0, side: int = 8) -> bytes:
    data = io.BytesIO()
    Image.fromarray(np.full((side, side), value, np.uint8)).save(data, "PNG")
    return data.getvalue()


def _tar(path: Path, members: dict[str, bytes | tarfile.TarInfo], **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", **options) as tar:
        for name, data in members.items():
            info = data if isinstance(data, tarfile.TarInfo) else tarfile.TarInfo(name)
            body = b"" if isinstance(data, tarfile.TarInfo) else data
            info.size = info.size or len(body)
            tar.addfile(info, io.BytesIO(body) if body else None)
    return path


def _samples(count: int, label: str = "cat", first: int = 0) -> dict[str, bytes]:
    found = {}
    for k in range(first, first + count):
        found |= {f"{k:04d}.png": _png(k), f"{k:04d}.cls": label.encode()}
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("shards")
    save_images(root / "data", dict(zip(CLASSES, (10, 6, 10), strict=True)))
    return make_run(root / "data", root / "runs")


@pytest.fixture(scope="module")
def exports(run: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Format → an export of it, all with the same images, in several shards."""
    root = tmp_path_factory.mktemp("exports")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("synthaug.sampling.generate.load_generator", Painters())
        for name in ["folder", *KINDS]:
            if name != "folder":
                pytest.importorskip("pyarrow" if name == "parquet" else "tarfile")
                patched.setattr(f"synthaug.exporters.{name}.SHARD_BYTES", 9000)
            export(run, out=root / name, format=name, per_class=12, gate=False, with_heldout=True, device="cpu")
    return {name: root / name for name in ["folder", *KINDS]}


@pytest.fixture(autouse=True)
def _painter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthaug.sampling.generate.load_generator", Painters())


def _facts(found: Scan) -> list[tuple[Any, ...]]:
    return sorted((i.pixel_sha256, i.label, i.split, i.synthetic, i.width, i.format, i.mode) for i in found.images)


@pytest.mark.parametrize("kind", KINDS)
def test_what_an_export_writes_is_read_as_the_same_images(kind: str, exports: dict[str, Path], tmp_path: Path) -> None:
    before = contents(exports[kind])
    found = scan(exports[kind], cache=tmp_path)
    assert found.layout == "shards"
    assert len(list(exports[kind].rglob(f"*.{'tar' if kind == 'webdataset' else 'parquet'}"))) > 2
    assert _facts(found) == _facts(scan(exports["folder"], cache=tmp_path))
    assert not found.unreadable
    again = scan(exports[kind], cache=tmp_path)
    assert [i.path for i in again.images] == [i.path for i in found.images]
    assert again.fingerprint == found.fingerprint
    judged = scan_synthetic(exports[kind], cache=tmp_path, progress=Silent())
    assert len(synthetic_images(judged)) == sum(row["synthetic"] for row in metadata(exports["folder"]))
    assert len(marked_real(judged)) == sum(not row["synthetic"] for row in metadata(exports["folder"]))
    first = found.images[0]
    assert header_size(found.root / first.path) == (first.width, first.height)
    assert contents(exports[kind]) == before


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_from_shards_are_those_of_files(kind: str, exports: dict[str, Path], tmp_path: Path) -> None:
    arrays = {}
    for name in (kind, "folder"):
        found = scan(exports[name], cache=tmp_path)
        loaded = load_images(
            found.root, found.images, found.classes, resolution=16, channels=3, fit="pad", cache=tmp_path
        )
        order = sorted(range(len(found.images)), key=lambda k: found.images[k].pixel_sha256)
        arrays[name] = (loaded.pixels[order], loaded.labels[order])
    np.testing.assert_array_equal(arrays[kind][0], arrays["folder"][0])
    np.testing.assert_array_equal(arrays[kind][1], arrays["folder"][1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_on_shards_exports_their_files_byte_for_byte(kind: str, exports: dict[str, Path], tmp_path: Path) -> None:
    run = make_run(exports[kind], tmp_path / "runs")
    made = export(run, out=tmp_path / "out", per_class=14, gate=False, link=True, device="cpu", cache=tmp_path / "c")
    rows = metadata(tmp_path / "out")
    real = [row for row in rows if not row["synthetic"]]
    assert {row["sha256"] for row in real} == {row["sha256"] for row in metadata(exports["folder"])}
    assert all((tmp_path / "out/train" / row["file_name"]).suffix == ".png" for row in rows)
    assert {row["origin_path"].split("/")[0] for row in real} == {"train" if kind == "webdataset" else "data"}
    assert made.per_class["disc"].synthetic == 2
    assert regenerate(tmp_path / "out", verify=True, device="cpu").equal == 6


@pytest.mark.parametrize("kind", KINDS)
def test_a_shard_that_has_changed_since_the_training_is_noticed(
    kind: str, exports: dict[str, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    for name, data in contents(exports[kind]).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    run = make_run(folder, tmp_path / "runs")
    shard = next(iter(sorted(folder.rglob("*train-0*.parquet" if kind == "parquet" else "train/*.tar"))))
    shard.unlink()
    with pytest.raises(SynthaugError, match="is missing from"):
        export(run, out=tmp_path / "out", per_class=14, gate=False, device="cpu", cache=tmp_path / "c")
    assert not (tmp_path / "out").exists()


def test_the_table_of_shards_has_one_file_for_each_kind() -> None:
    for name in shards.SHARDS.names():
        assert shards.SHARDS.summary(name)


@pytest.mark.parametrize(
    ("row", "cls", "label"),
    [
        ({"label": "cat"}, "3", "cat"), ({"label": 3, "class_name": "cat"}, None, "cat"), ({"label": 3}, None, "3"),
        ({"label": 3}, "cat\n", "cat"), (None, "7", "7"), ({"caption": "a cat"}, None, None), ([], None, None),
        ("{broken", "cat", None), ({"label": True}, None, None),
    ],
)  # fmt: skip
def test_classes_of_webdataset_samples(row: Any, cls: str | None, label: str | None, tmp_path: Path) -> None:
    members: dict[str, Any] = {"a/0.PNG": _png(1)}
    if row is not None:
        members["a/0.json"] = (row if isinstance(row, str) else json.dumps(row)).encode()
    if cls is not None:
        members["a/0.cls"] = cls.encode()
    _tar(tmp_path / "data/0.tar", {**members, **_samples(1, "dog", 5)})
    found = scan(tmp_path / "data", cache=tmp_path / "cache")
    assert {i.path: i.label for i in found.images}.get("0.tar/a/0.PNG") == label
    assert (label is None) == ("0.tar/a/0.PNG (no label)" in found.ignored)


def _of_type(kind: bytes, **fields: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo()
    info.type = kind
    for name, value in fields.items():
        setattr(info, name, value)
    return info


HOSTILE: dict[str, tuple[str, Any, str]] = {
    "absolute": ("/etc/0.png", _png(), "no path below"),
    "parent": ("../../0.png", _png(), "no path below"),
    "parent inside": ("a/../../0.png", _png(), "no path below"),
    "drive": ("C:/0.png", _png(), "no path below"),
    "backslash": ("..\\0.png", _png(), "no path below"),
    "control": ("0\n.png", _png(), "valid UTF-8"),
    "not text": ("0\udc80.png", _png(), "valid UTF-8"),
    "long": ("a/" * 300 + "0.png", _png(), "too long"),
    "symbolic link": ("0.png", _of_type(tarfile.SYMTYPE, name="0.png", linkname="/etc/passwd"), "not a regular file"),
    "hard link": ("0.png", _of_type(tarfile.LNKTYPE, name="0.png", linkname="1000.png"), "not a regular file"),
    "device": ("0.png", _of_type(tarfile.CHRTYPE, name="0.png"), "not a regular file"),
    "pipe": ("0.png", _of_type(tarfile.FIFOTYPE, name="0.png"), "not a regular file"),
    "empty": ("0.png", b"", "empty"),
    "text": ("0.png", b"no image", "not an image"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_members_are_left_out_with_a_reason(name: str, tmp_path: Path) -> None:
    member, content, reason = HOSTILE[name]
    _tar(tmp_path / "data/0.tar", {**_samples(2, first=1000 % 200), member: content, f"{member[:-3]}cls": b"cat"})
    found = scan(tmp_path / "data", cache=tmp_path / "cache")
    assert len(found.images) == 2
    assert any(reason in fault.reason for fault in found.unreadable)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cache", "data"]


def test_two_members_of_one_name_are_one_image(tmp_path: Path) -> None:
    path = tmp_path / "data/0.tar"
    _tar(path, _samples(2))
    with tarfile.open(path, "a") as tar:
        info = tarfile.TarInfo("0000.png")
        info.size = len(_png(9))
        tar.addfile(info, io.BytesIO(_png(9)))
    found = scan(tmp_path / "data", cache=tmp_path / "cache")
    assert len(found.images) == 2
    assert "second image" in found.unreadable[0].reason


@pytest.mark.parametrize("cut", [100, 700, 2300, 3000, -2500])
def test_a_shard_that_was_cut_off_is_said(cut: int, tmp_path: Path) -> None:
    _tar(tmp_path / "data/1.tar", _samples(2, first=50))
    path = _tar(tmp_path / "data/0.tar", _samples(20), format=tarfile.USTAR_FORMAT)
    size = 20 * (2 * 1024) + 1024
    path.write_bytes(path.read_bytes()[: size + cut if cut < 0 else cut])
    found = scan(tmp_path / "data", cache=tmp_path / "cache")
    assert 2 <= len(found.images) < 22
    assert any(fault.path.startswith("0.tar") for fault in found.unreadable)


@pytest.mark.parametrize("field", ["size of a member", "size in a pax header", "size of a pax header"])
def test_negative_and_huge_sizes_end(field: str, tmp_path: Path) -> None:
    path = tmp_path / "data/0.tar"
    if field == "size in a pax header":
        bad = tarfile.TarInfo("bad.png")
        bad.pax_headers = {"size": "-4096"}
        _tar(path, {**_samples(2), "bad.png": bad}, format=tarfile.PAX_FORMAT)
    else:
        kind = tarfile.REGTYPE if field == "size of a member" else tarfile.XHDTYPE
        header = _of_type(kind, name="bad.png", size=(-4096 if kind == tarfile.REGTYPE else 1 << 40))
        block = header.tobuf(tarfile.GNU_FORMAT)
        data = _tar(path, _samples(2)).read_bytes()
        path.write_bytes(data[: 4 * 1024] + block + data[4 * 1024 :])
    found = scan(tmp_path / "data", cache=tmp_path / "cache")
    assert len(found.images) == 2
    assert "broken after 2 images" in found.unreadable[0].reason


def test_broken_shards_are_left_out_and_only_broken_ones_are_an_error(tmp_path: Path) -> None:
    for kind, content in (("tar", b"no tar" * 200), ("parquet", b"PAR1 no parquet")):
        folder = tmp_path / kind
        folder.mkdir()
        (folder / f"0.{kind}").write_bytes(content)
        with pytest.raises(SynthaugError, match=r"cannot read the shard"):
            scan(folder, cache=tmp_path / "cache")
    _tar(tmp_path / "tar/1.tar", _samples(2))
    found = scan(tmp_path / "tar", cache=tmp_path / "cache")
    assert [fault.path for fault in found.unreadable] == ["0.tar"]
    with pytest.raises(SynthaugError, match="1 unreadable file"):
        scan(tmp_path / "tar", strict=True, cache=tmp_path / "cache")
    (tmp_path / "tar/2.parquet").write_bytes(b"")
    with pytest.raises(SynthaugError, match="several kinds: parquet, tar"):
        scan(tmp_path / "tar", cache=tmp_path / "cache")


def test_image_files_come_before_shards(tmp_path: Path) -> None:
    save_images(tmp_path / "data", {"a": 2, "b": 2})
    _tar(tmp_path / "data/more.tar", _samples(2))
    found = scan(tmp_path / "data", cache=tmp_path / "cache")
    assert (found.layout, len(found.images), found.ignored) == ("classes", 4, ["more.tar"])


def test_an_unfinished_upload_is_no_data(tmp_path: Path) -> None:
    _tar(tmp_path / "data/0.tar", _samples(2))
    (tmp_path / "data/_UNFINISHED.json").write_text("{}")
    with pytest.raises(SynthaugError, match="upload has not finished"):
        scan(tmp_path / "data", cache=tmp_path / "cache")


def _hub(folder: Path, columns: dict[str, list[Any]], features: Any = None, **options: Any) -> Path:
    datasets = pytest.importorskip("datasets")
    folder.mkdir(parents=True, exist_ok=True)
    table = datasets.Dataset.from_dict(columns, features=features and datasets.Features(features))
    table.to_parquet(str(folder / "train-00000-of-00001.parquet"), **options)
    return folder


def test_a_hugging_face_folder_with_class_names(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    images = [Image.fromarray(np.full((8, 8, 3), k * 20, np.uint8)) for k in range(10)]
    jpeg = io.BytesIO()
    images[3].save(jpeg, "JPEG", quality=95)
    features = {"picture": datasets.Image(), "kind": datasets.ClassLabel(names=["tabby cat", "dog"])}
    columns = {
        "picture": [*images[:3], {"bytes": jpeg.getvalue(), "path": "patient 7.jpg"}, *images[4:]],
        "kind": [k % 2 for k in range(10)],
    }
    folder = _hub(tmp_path / "data", columns, features, batch_size=3)
    found = scan(folder, cache=tmp_path / "cache")
    assert found.counts == {"dog": 5, "tabby cat": 5}
    shard = "train-00000-of-00001.parquet"
    assert found.images[0].path == f"{shard}/00000000.png"
    assert (found.images[3].path, found.images[3].format) == (f"{shard}/00000003-patient 7.jpg", "JPEG")
    assert {image.split for image in found.images} == {"train"}
    loaded = load_images(found.root, found.images, found.classes, resolution=8, channels=3, fit="pad", cache=tmp_path)
    assert loaded.pixels[:, 0, 0, 0].tolist() == [k * 20 for k in range(10)]


def test_columns_that_hold_no_images_or_classes_are_said(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    images = [Image.fromarray(np.full((8, 8), k, np.uint8)) for k in range(2)]
    image, kind = datasets.Image(), datasets.ClassLabel(names=["a", "b"])
    for name, columns, features, reason in [
        ("text", {"label": [0, 1], "text": ["a", "b"]}, None, "no columns of images"),
        ("no classes", {"image": images}, {"image": image}, "no columns of classes"),
        ("both", {"image": images, "x": [0, 1], "y": [0, 1]}, {"image": image, "x": kind, "y": kind}, "several .x, y."),
    ]:
        with pytest.raises(SynthaugError, match=reason):
            scan(_hub(tmp_path / name, columns, features), cache=tmp_path / "cache")


def test_rows_without_an_image_or_a_class_are_left_out(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet")
    images = [
        {"bytes": _png(k), "path": path} for k, path in enumerate(["../../x.png", "/etc/y.png", "a\x00b.png", "z.svg"])
    ]
    images += [{"bytes": None, "path": "/etc/passwd.png"}, None, {"bytes": _png(9), "path": None}]
    table = pyarrow.table({"image": images, "label": ["a", "a", "b", "b", "b", "b", None]})
    (tmp_path / "data").mkdir()
    pyarrow.parquet.write_table(table, tmp_path / "data/train-00000-of-00001.parquet")
    found = scan(tmp_path / "data", cache=tmp_path / "cache")
    names = [image.path.rpartition("/")[2] for image in found.images]
    assert names == ["00000000-x.png", "00000001-y.png", "00000002.png", "00000003-z.png"]
    assert len(found.unreadable) == 2
    assert all("not in the file" in fault.reason for fault in found.unreadable)
    assert "train-00000-of-00001.parquet/00000006.png (no label)" in found.ignored


def test_a_shard_written_again_is_read_again(tmp_path: Path) -> None:
    path = _tar(tmp_path / "data/0.tar", _samples(3))
    first = scan(tmp_path / "data", cache=tmp_path / "cache")
    _tar(path, _samples(3, first=100))
    os.utime(path, ns=(1, 1))
    second = scan(tmp_path / "data", cache=tmp_path / "cache")
    assert {i.pixel_sha256 for i in first.images}.isdisjoint(i.pixel_sha256 for i in second.images)


def test_thousands_of_long_names_and_a_cut_sparse_header_are_broken_shards(tmp_path: Path) -> None:
    long = tarfile.TarInfo("././@LongLink")
    long.type, long.size = tarfile.GNUTYPE_LONGNAME, 5
    (tmp_path / "long.tar").write_bytes((long.tobuf(tarfile.GNU_FORMAT) + b"name\0".ljust(512, b"\0")) * 3000)
    sparse = tarfile.TarInfo("a.png")
    sparse.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(sparse.tobuf(tarfile.GNU_FORMAT))
    header[482] = 1  # isextended: another header follows, and there is none
    header[148:156] = b"%06o\0 " % (256 + sum(header[:148]) + sum(header[156:]))
    (tmp_path / "sparse.tar").write_bytes(header)
    for name in ("long", "sparse"):
        with pytest.raises(shards.BrokenShard):
            TarShard(tmp_path / f"{name}.tar")


def test_parquet_files_that_are_not_as_they_say_are_broken_shards(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    image = pyarrow.array([{"bytes": b"x", "path": "a.png"}])
    text = pyarrow.Array.from_buffers(
        pyarrow.string(), 1, [None, pyarrow.py_buffer(b"\0\0\0\0\2\0\0\0"), pyarrow.py_buffer(b"\xff\xfe")]
    )
    tables = {
        "not text": pyarrow.table([image, text], ["image", "label"]),
        "twice": pyarrow.table([image, pyarrow.array(["a"]), pyarrow.array(["b"])], ["image", "label", "label"]),
    }
    for name, table in tables.items():
        pyarrow.parquet.write_table(table, tmp_path / f"{name}.parquet")
        with pytest.raises(shards.BrokenShard):
            ParquetShard(tmp_path / f"{name}.parquet")


@pytest.mark.parametrize("what", ["images", "labels"])
def test_a_value_that_stands_for_many_is_read_in_bounded_memory(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Parquet file of 2 KB whose 4,000 rows share one value of 1 MiB: 4 GiB if all were read."""
    pyarrow = pytest.importorskip("pyarrow")
    monkeypatch.setattr("synthaug.data.parquet._MOST_GROUP", 8 << 20)
    monkeypatch.setattr("synthaug.data.parquet._MOST_TEXT", 8 << 20)
    rows = 4000

    def repeated(value: Any) -> Any:
        return pyarrow.DictionaryArray.from_arrays(pyarrow.array(np.zeros(rows, np.int32)), pyarrow.array([value]))

    large = {"images": _png() + bytes(1 << 20), "labels": "a" * (1 << 20)}
    image, label = (large["images"], "a") if what == "images" else (_png(), large["labels"])
    path = pyarrow.array([f"{k}.png" for k in range(rows)])
    images = pyarrow.StructArray.from_arrays([repeated(image), path], ["bytes", "path"])
    file = tmp_path / "bomb.parquet"
    pyarrow.parquet.write_table(
        pyarrow.table([images, repeated(label)], ["image", "label"]), file, compression="zstd", store_schema=False
    )
    most = pyarrow.default_memory_pool().max_memory()
    if what == "labels":
        with pytest.raises(shards.BrokenShard, match="MiB of text in a row group"):
            ParquetShard(file)
    else:
        shard = ParquetShard(file)
        for name in list(shard.members)[:2]:
            with pytest.raises(OSError, match="a row group of more than 8 MiB of images"):
                shard.read(name)
    assert pyarrow.default_memory_pool().max_memory() - most < 64 << 20


@pytest.mark.parametrize("size", [16, (1 << 27) - 1])
def test_a_dictionary_page_that_lies_about_its_size_is_an_unreadable_image(size: int, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    image = _png() + bytes(1 << 20)
    table = pyarrow.table(
        [pyarrow.array([{"bytes": image, "path": "a.png"}] * 3), pyarrow.array(["a"] * 3)], ["image", "label"]
    )
    file = tmp_path / "lies.parquet"
    pyarrow.parquet.write_table(table, file, compression="zstd")
    data = bytearray(file.read_bytes())
    assert data[4:7] == b"\x15\x04\x15"  # a dictionary page, and then its size as a number of four bytes
    data[7:11] = [(2 * size >> 7 * k & 127) | (128 if k < 3 else 0) for k in range(4)]
    file.write_bytes(data)
    shard = ParquetShard(file)
    with pytest.raises(OSError, match="broken row group 0"):
        shard.read(next(iter(shard.members)))
