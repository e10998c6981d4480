"""Exports to a URL, and shards at a URL as DATA: in memory, and on a server on this machine that speaks S3."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from export_material import CLASSES, Painters, contents, make_run, save_images

from synthaug.data.fetched import local_folder
from synthaug.data.folder import scan
from synthaug.data.run_data import RunData
from synthaug.errors import Interrupted, RunFailed, SynthaugError
from synthaug.exporters.remote import Remote
from synthaug.pipelines.export import export
from synthaug.pipelines.inspect import inspect
from synthaug.progress import Silent
from synthaug.requests import ExportRequest
from synthaug.runs import Run
from synthaug.storage import UNFINISHED, Storage, place

fsspec = pytest.importorskip("fsspec")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("urls")
    save_images(root / "data", dict(zip(CLASSES, (10, 6, 10), strict=True)))
    return make_run(root / "data", root / "runs")


@pytest.fixture(scope="module")
def local(run: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("local") / "out"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("synthaug.sampling.generate.load_generator", Painters())
        _export(run, out)
    return contents(out)


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The URL of a bucket on a server on this machine."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patched:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():  # fmt: skip
            patched.setenv(name, value)
        import s3fs

        s3fs.S3FileSystem().mkdir("bucket")
        yield "s3://bucket"
        s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr("synthaug.sampling.generate.load_generator", Painters())
    monkeypatch.chdir(tmp_path)  # where unfinished exports lie
    yield
    fsspec.filesystem("memory").store.clear()


def _export(run: Run, out: Any, **options: Any) -> Any:
    options = {"format": "webdataset", "per_class": 12, "gate": False, "device": "cpu", **options}
    return export(run, out=out, with_heldout=True, **options)


def _contents(url: str) -> dict[str, bytes]:
    storage = Storage.open(url)
    return {name: storage.read(name, 1 << 30) for name in storage.files()}


def _stop_upload(monkeypatch: pytest.MonkeyPatch, error: BaseException, after: int) -> list[str]:
    """Let the upload fail at the file number `after`; return the names that were tried."""
    tried: list[str] = []
    upload = Storage.upload

    def failing(self: Storage, file: Path, name: str) -> None:
        tried.append(name)
        if len(tried) == after:
            raise error
        upload(self, file, name)

    monkeypatch.setattr(Storage, "upload", failing)
    return tried


@pytest.mark.parametrize("kind", ["memory", "s3"])
def test_an_export_to_a_url_has_the_files_of_a_local_one(
    kind: str, run: Run, local: dict[str, bytes], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = "memory://there/out" if kind == "memory" else f"{request.getfixturevalue('s3')}/deep/out"
    made = _export(run, url)
    assert _contents(url) == local
    assert (made.out, made.manifest) == (url, f"{url}/manifest.json")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(SynthaugError, match="exists already"):
        _export(run, url)
    _export(run, url, format="parquet", overwrite=True)
    assert {"data/train-00000-of-00001.parquet", "manifest.json"} < set(_contents(url))
    assert "train/000000.tar" not in _contents(url)
    with pytest.raises(RunFailed, match="cannot use"):
        _export(run, "s3://no-such-bucket/out") if kind == "s3" else _raise_from_memory(run)


def _raise_from_memory(run: Run) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fsspec.filesystem("memory"), "find", lambda *a, **k: 1 / 0)
        _export(run, "memory://other")


@pytest.mark.parametrize("kind", ["memory", "s3"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), RunFailed("the network is gone", "")])
def test_a_stopped_upload_never_looks_finished_and_goes_on(
    kind: str, error: BaseException, run: Run, local: dict[str, bytes], monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest, tmp_path: Path,
) -> None:  # fmt: skip
    base = "memory://there" if kind == "memory" else request.getfixturevalue("s3")
    url = f"{base}/stopped-{type(error).__name__}"
    for after in (1, 4, len(local)):
        with monkeypatch.context() as patched:
            tried = _stop_upload(patched, error, after)
            with pytest.raises((Interrupted, RunFailed), match=r"interrupted|network"):
                _export(run, url)
        there = _contents(url)
        assert UNFINISHED in there
        assert "manifest.json" not in there
        assert len(there) == after
        with monkeypatch.context() as patched:  # what is generated and uploaded is not made again
            patched.setattr("synthaug.pipelines.export._fill", lambda *_: pytest.fail("generates again"))
            tried = _stop_upload(patched, error, len(local) + 1)
            _export(run, url)
        assert len(tried) == len(local) - after + 1
        assert tried[-1] == "manifest.json"
        assert _contents(url) == local
        assert not any(path.is_file() for path in tmp_path.rglob("*"))
        Storage.open(url).remove(list(local))


def test_an_unfinished_export_of_another_place_is_refused(
    run: Run, local: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patched:
        _stop_upload(patched, KeyboardInterrupt(), 3)
        with pytest.raises(Interrupted):
            _export(run, "memory://out")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(
        SynthaugError, match=r"unfinished export, begun on .*: it can only be continued there"
    ) as raised:
        _export(run, "memory://out")
    assert "--overwrite" in raised.value.hint
    _export(run, "memory://out", overwrite=True)
    assert _contents("memory://out") == local


def test_an_upload_begins_again_where_its_files_are_gone(
    run: Run, local: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        _stop_upload(patched, KeyboardInterrupt(), 4)
        with pytest.raises(Interrupted):
            _export(run, "memory://out")
    fsspec.filesystem("memory").store.clear()
    _export(run, "memory://out")
    assert _contents("memory://out") == local


@pytest.mark.parametrize("name", ["precious.txt", "manifest.json"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_no_export_has_made_stays(name: str, overwrite: bool, run: Run) -> None:
    Storage.open("memory://out").write(name, b'{"tool": "another"}')
    with pytest.raises(SynthaugError, match="is not an earlier export and is not overwritten"):
        _export(run, "memory://out", overwrite=overwrite)
    assert list(_contents("memory://out")) == [name]


def test_bad_urls_are_refused_before_any_work() -> None:
    with pytest.raises(SynthaugError, match="'folder' writes a file for each image") as raised:
        ExportRequest(out="s3://bucket/out")
    assert "--format webdataset" in raised.value.hint
    with pytest.raises(SynthaugError, match="chains several"):
        ExportRequest(out="simplecache::s3://bucket/out", format="webdataset")
    with pytest.raises(SynthaugError, match="lost a slash"):
        ExportRequest(out=Path("s3://bucket/out"), format="webdataset")
    with pytest.raises(SynthaugError, match=r"'s4' .* is not known") as raised:
        Remote.open("s4://bucket/out")
    assert "s3" in raised.value.hint


def test_a_missing_package_is_one_error_with_its_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(SynthaugError, match="'gs://bucket/out' needs a package for gs") as raised:
        Remote.open("gs://bucket/out")
    assert raised.value.hint == "pip install gcsfs"
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(SynthaugError, match="needs fsspec") as raised:
        Remote.open("memory://out")
    assert raised.value.hint == "pip install 'synthaug[storage]'"


def test_a_file_url_is_a_path(run: Run, local: dict[str, bytes], tmp_path: Path) -> None:
    assert place(f"file://{tmp_path}/out") == tmp_path / "out"
    assert place("C:/pictures") == Path("C:/pictures")
    made = _export(run, f"file://{tmp_path}/out")
    assert contents(tmp_path / "out") == local
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["export"]["out"] == "."
    assert made.out == str(tmp_path / "out")


@pytest.fixture(scope="module")
def packed(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export in shards."""
    out = tmp_path_factory.mktemp("packed") / "out"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("synthaug.sampling.generate.load_generator", Painters())
        patched.setattr("synthaug.exporters.webdataset.SHARD_BYTES", 9000)
        _export(run, out)
    return out


def _put(folder: Path, url: str) -> Storage:
    storage = Storage.open(url)
    for name, data in contents(folder).items():
        storage.write(name, data)
    return storage


@pytest.mark.parametrize("kind", ["memory", "s3"])
def test_shards_at_a_url_are_data(
    kind: str, packed: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{'memory://there' if kind == 'memory' else request.getfixturevalue('s3')}/pictures"
    storage = _put(packed, url)
    found = inspect(url, cache=tmp_path / "cache")
    local = inspect(packed, cache=tmp_path / "cache")
    assert (found.classes, found.splits, found.sizes) == (local.classes, local.splits, local.sizes)
    assert found.data == url
    assert url in found.command
    folder = local_folder(url, tmp_path / "cache", Silent())
    assert folder.name == "pictures"
    assert scan(folder, cache=tmp_path / "cache").fingerprint == scan(packed, cache=tmp_path / "cache").fingerprint
    fetched: list[str] = []
    download = Storage.download
    monkeypatch.setattr(
        Storage, "download", lambda self, name, file: (fetched.append(name), download(self, name, file))
    )
    inspect(url, cache=tmp_path / "cache")
    assert fetched == []
    shards = sorted(name for name in storage.files() if name.endswith(".tar"))
    storage.write(shards[0], storage.read(shards[1], 1 << 30))
    storage.remove([shards[-1]])
    local_folder(url, tmp_path / "cache", Silent())
    assert fetched == [shards[0]]
    assert sorted(contents(folder)) == shards[:-1]


def test_a_run_never_fetches_and_finds_what_the_user_fetched(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _put(packed, "memory://pictures")
    folder = local_folder("memory://pictures", tmp_path / "cache", Silent())
    run = make_run(folder, tmp_path / "runs", data_url="memory://pictures")
    before = contents(folder)
    shutil.rmtree(tmp_path / "cache")
    monkeypatch.setenv("SYNTHAUG_CACHE", str(tmp_path / "other"))
    with pytest.raises(SynthaugError, match="is gone") as caught:
        RunData.open(run)
    assert caught.value.hint == "fetch it again: synthaug inspect memory://pictures"
    assert not (tmp_path / "cache").exists()
    inspect("memory://pictures")
    data = RunData.open(run)
    assert contents(data.folder) == before
    assert len(data.images("train", None, Silent())) == len(data.split.of("train"))


def test_one_shard_by_its_url(packed: Path, tmp_path: Path) -> None:
    _put(packed, "memory://pictures")
    folder = local_folder("memory://pictures/train/000001.tar", tmp_path / "cache", Silent())
    assert list(contents(folder)) == ["000001.tar"]


def test_a_url_without_shards_or_with_half_of_them_is_refused(packed: Path, tmp_path: Path) -> None:
    storage = Storage.open("memory://pictures")
    for name in ("cat/1.png", "../../evil.tar", "a/../b.tar"):
        storage.filesystem.store[f"/pictures/{name}"] = storage.filesystem.open(f"/pictures/{name}", "wb")
    with pytest.raises(SynthaugError, match=r"holds no .tar or .parquet file \(3 files in all\)"):
        local_folder("memory://pictures", tmp_path / "cache", Silent())
    _put(packed, "memory://pictures").write(UNFINISHED, b"{}")
    with pytest.raises(SynthaugError, match="upload has not finished"):
        local_folder("memory://pictures", tmp_path / "cache", Silent())
    assert not (tmp_path / "cache").exists()


def test_a_download_that_fails_leaves_no_half_shard(
    packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _put(packed, "memory://pictures")

    def half(self: Any, name: str, file: str) -> None:
        Path(file).write_bytes(b"half")
        raise ConnectionError("gone")

    with monkeypatch.context() as patched:
        patched.setattr(type(fsspec.filesystem("memory")), "get_file", half)
        with pytest.raises(RunFailed, match="cannot use 'memory://pictures': gone"):
            local_folder("memory://pictures", tmp_path / "cache", Silent())
    assert not any(name.endswith(".tar") for name in contents(tmp_path / "cache"))
    folder = local_folder("memory://pictures", tmp_path / "cache", Silent())
    assert contents(folder) == {name: data for name, data in contents(packed).items() if name.endswith(".tar")}


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_appears_at_the_url_during_the_export_stays(
    overwrite: bool, run: Run, local: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work of others is not deleted, and that of this machine is not lost."""
    from synthaug.pipelines import export as pipeline

    fill = pipeline._fill

    def meanwhile(*given: Any) -> Any:
        made = fill(*given)
        Storage.open("memory://out").write("theirs.txt", b"weeks of work")
        return made

    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "_fill", meanwhile)
        with pytest.raises(RunFailed, match=r"theirs\.txt"):
            _export(run, "memory://out", overwrite=overwrite)
    assert _contents("memory://out") == {"theirs.txt": b"weeks of work"}
    Storage.open("memory://out").remove(["theirs.txt"])
    with monkeypatch.context() as patched:
        patched.setattr(pipeline, "_fill", lambda *_: pytest.fail("generates again"))
        _export(run, "memory://out", overwrite=overwrite)
    assert _contents("memory://out") == local


def test_names_are_not_patterns() -> None:
    storage = Storage.open("memory://names")
    for name in ("photo1.png", "photo[1].png", "a*", "ab", "c?", "cd", "plain"):
        storage.write(name, b"x")
    storage.remove(["photo[1].png", "a*", "c?", "plain"])
    assert list(storage.files()) == ["ab", "cd", "photo1.png"]


def test_the_copy_of_a_url_stays_in_its_folder(packed: Path, tmp_path: Path) -> None:
    with pytest.raises(SynthaugError):
        local_folder("memory://packed/..", tmp_path / "cache", Silent())
    assert {path.name for path in (tmp_path / "cache").glob("*/*/*")} <= {"data"}
