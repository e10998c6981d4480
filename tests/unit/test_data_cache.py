"""Images are decoded once, also by processes that start together, and the cache keeps its size."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from listener import Listener
from PIL import Image

from synthaug.data import cache as cache_module
from synthaug.data import store
from synthaug.data.cache import LabelledImages, load_images
from synthaug.data.decode import open_image, resize
from synthaug.data.folder import Scan, scan
from synthaug.errors import SynthaugError


@pytest.fixture
def found(tmp_path: Path) -> Scan:
    """12 images of three classes, of several sizes and modes."""
    rng = np.random.default_rng(0)
    for k in range(12):
        folder = tmp_path / "data" / "abc"[k % 3]
        folder.mkdir(parents=True, exist_ok=True)
        shape = (20 + k, 30 - k) if k % 2 else (20 + k, 30 - k, 3)
        Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8)).save(
            folder / f"{k:02}.{'png' if k < 9 else 'jpg'}"
        )
    return scan(tmp_path / "data", cache=tmp_path / "cache")


def load(found: Scan, tmp_path: Path, **changes: Any) -> LabelledImages:
    options: dict[str, Any] = {"resolution": 16, "channels": 3, "fit": "pad", "cache": tmp_path / "cache", **changes}
    return load_images(found.root, options.pop("rows", found.images), options.pop("classes", found.classes), **options)


def arrays(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache" / store.ARRAYS).glob("*"))


def test_images_come_by_the_one_path(found: Scan, tmp_path: Path) -> None:
    images = load(found, tmp_path)
    assert images.pixels.shape == (12, 3, 16, 16)
    assert images.pixels.dtype == np.uint8
    assert images.labels.dtype == np.int64
    assert images.paths == [i.path for i in found.images]
    assert [images.classes[k] for k in images.labels] == [i.label for i in found.images]
    for row, pixels in zip(found.images, images.pixels, strict=True):
        assert np.array_equal(pixels, resize(open_image(found.root / row.path), 16, 3, "pad"))


def test_the_second_time_nothing_is_decoded(found: Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(found, tmp_path)
    assert isinstance(first.pixels.base, np.memmap) or isinstance(first.pixels, np.memmap)

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(cache_module, "decode", fail)
    assert np.array_equal(load(found, tmp_path).pixels, first.pixels)
    for change in (
        {"resolution": 32},
        {"channels": 1},
        {"fit": "crop"},
        {"rows": found.images[:-1]},
        {"rows": found.images[::-1]},
    ):
        with pytest.raises(AssertionError, match="decoded again"):
            load(found, tmp_path, **change)
    assert [p.suffix for p in arrays(tmp_path)] == [".npy"], "no temporary file and no lock is left"


def test_writing_to_the_array_does_not_reach_the_file(found: Scan, tmp_path: Path) -> None:
    first = load(found, tmp_path)
    kept = first.pixels.copy()
    first.pixels[:] = 0
    assert np.array_equal(load(found, tmp_path).pixels, kept)


def test_threads_and_processes_that_start_together(
    found: Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []
    lock = threading.Lock()
    decode = cache_module.decode

    def counted(path: Path, **options: Any) -> Any:
        with lock:
            decoded.append(path.name)
        return decode(path, **options)

    monkeypatch.setattr(cache_module, "decode", counted)
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda _: load(found, tmp_path).pixels, range(6)))
    assert all(np.array_equal(results[0], other) for other in results)
    assert len(decoded) == 12, "one of them decodes, the others wait"
    program = (
        "import sys; from pathlib import Path; from synthaug.data.cache import load_images;"
        "from synthaug.data.folder import scan;"
        "data, cache = map(Path, sys.argv[1:]); found = scan(data, cache=cache);"
        "options = {'resolution': 32, 'channels': 1, 'fit': 'pad', 'cache': cache};"
        "print(load_images(found.root, found.images, found.classes, **options).pixels.sum())"
    )
    command = [sys.executable, "-c", program, str(found.root), str(tmp_path / "cache")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    sums = {process.communicate(timeout=60)[0] for process in running}
    assert sums == {f"{load(found, tmp_path, resolution=32, channels=1).pixels.sum()}\n"}


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY garbage", b"x" * 5000])
def test_a_broken_array_is_made_again(found: Scan, tmp_path: Path, damage: bytes) -> None:
    kept = load(found, tmp_path).pixels.copy()
    (file,) = arrays(tmp_path)
    file.write_bytes(damage)
    assert np.array_equal(load(found, tmp_path).pixels, kept)


def test_the_least_recently_used_make_room(found: Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache" / "decoded-images").mkdir()
    foreign = tmp_path / "cache" / "decoded-images" / "holiday.npy"
    foreign.write_bytes(b"x" * 50_000)
    os.utime(foreign, (1, 1))
    files = {}
    for age, resolution in ((3, 16), (1, 32), (2, 64)):
        load(found, tmp_path, resolution=resolution)
        (new,) = set(arrays(tmp_path)) - set(files.values()) - {foreign}
        files[resolution] = new
        os.utime(new, (1e9 - age * 1e6, 1e9 - age * 1e6))
    killed = tmp_path / "cache" / "decoded-images" / f".{'0' * 64}.npy.abc.tmp"
    killed.touch()
    os.utime(killed, (1, 1))
    monkeypatch.setenv("SYNTHAUG_CACHE_GB", repr(150_000 / 2**30))
    kept = load(found, tmp_path, resolution=16).pixels  # used again: now the newest
    load(found, tmp_path, resolution=32, fit="crop")
    assert {r for r, file in files.items() if file.exists()} == {16, 32}, "64 was the oldest in use"
    assert not killed.exists(), "what a killed process left is removed"
    assert foreign.exists(), "a file that is not ours is never deleted"
    assert kept.sum() > 0


def test_an_array_larger_than_the_cap_stays_in_memory(
    found: Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNTHAUG_CACHE_GB", "0")
    assert load(found, tmp_path).pixels.shape == (12, 3, 16, 16)
    assert arrays(tmp_path) == []
    monkeypatch.setenv("SYNTHAUG_CACHE_GB", "lots")
    with pytest.raises(SynthaugError, match="SYNTHAUG_CACHE_GB='lots'"):
        load(found, tmp_path)


def test_an_unwritable_cache_only_warns(found: Scan, tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("a file")
    warned = Listener()
    assert load(found, tmp_path, cache=tmp_path / "blocked", progress=warned).pixels.any()
    assert "held in memory" in warned.warnings[0]
    with pytest.raises(SynthaugError, match="inside the data folder"):
        load(found, tmp_path, cache=found.root / "cache")


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize("name", ["00.png", "10.jpg"])
def test_images_that_vanished_changed_or_broke(found: Scan, tmp_path: Path, name: str, stored: bool) -> None:
    if stored:
        load(found, tmp_path)
    before = arrays(tmp_path)
    (file,) = found.root.rglob(name)
    original = file.read_bytes()
    Image.new("RGB", (20, 20), "red").save(file)
    with pytest.raises(SynthaugError, match=f"{name}' has changed"):
        load(found, tmp_path)
    file.write_bytes(original[:100])
    with pytest.raises(SynthaugError, match=rf"cannot read the image .*{name}"):
        load(found, tmp_path)
    file.unlink()
    with pytest.raises(SynthaugError, match=f"{name}' is gone"):
        load(found, tmp_path)
    assert arrays(tmp_path) == before, "nothing half-written is left"
    file.write_bytes(original)
    assert len(load(found, tmp_path)) == 12


def test_labels_must_be_known(found: Scan, tmp_path: Path) -> None:
    with pytest.raises(SynthaugError, match="class 'c'"):
        load(found, tmp_path, classes=["a", "b"])
    assert load(found, tmp_path, classes=["z", "c", "b", "a"]).counts() == {"z": 0, "c": 4, "b": 4, "a": 4}


def test_selecting(found: Scan, tmp_path: Path) -> None:
    images = load(found, tmp_path)
    assert len(images) == 12
    assert np.array_equal(images.of_class("b"), images.of_class(1))
    assert len(images.of_class("b")) == 4
    part = images.subset([3, 0])
    assert part.paths == [images.paths[3], images.paths[0]]
    assert np.array_equal(part.pixels[1], images.pixels[0])
    assert images.subset(images.labels == 2).counts() == {"a": 0, "b": 0, "c": 4}
    assert len(images.subset([])) == 0
    for wrong in ("zebra", 3, -1):
        with pytest.raises(SynthaugError, match="no class"):
            images.of_class(wrong)
    assert load(found, tmp_path, rows=[]).pixels.shape == (0, 3, 16, 16)


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SYNTHAUG_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert store.cache_root() == tmp_path / ".cache" / "synthaug"
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert store.cache_root() == Path("/xdg/synthaug")
    monkeypatch.setenv("SYNTHAUG_CACHE", "/own")
    assert store.cache_root() == Path("/own")
    assert store.cache_root(Path("/flag")) == Path("/flag")
