"""Files and folders that are either complete or not there, and keys of caches."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from synthaug import files
from synthaug.errors import SynthaugError
from synthaug.files import check_new_file


def test_a_new_folder_is_complete_or_not_there(tmp_path: Path) -> None:
    target = tmp_path / "some" / "where" / "new"
    with suppress(RuntimeError), files.new_folder(target) as folder:
        (folder / "half").touch()
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with files.new_folder(target) as folder:
        assert not target.exists()
        (folder / "whole").touch()
    assert [p.name for p in target.parent.rglob("*")] == ["new", "whole"]
    assert target.stat().st_mode & 0o777 == target.parent.stat().st_mode & 0o777


def test_an_earlier_folder_is_replaced_only_when_that_is_asked_for(tmp_path: Path) -> None:
    target = tmp_path / "new"
    target.mkdir()
    (target / "old").touch()
    with pytest.raises(OSError, match="new"), files.new_folder(target):
        pass
    with pytest.raises(RuntimeError), files.new_folder(target, replace=True):
        raise RuntimeError
    assert (target / "old").exists()
    with files.new_folder(target, replace=True) as folder:
        (folder / "young").touch()
    assert [p.name for p in tmp_path.rglob("*")] == ["new", "young"]


def test_a_file_is_replaced_only_when_that_is_asked_for_and_a_folder_never(tmp_path: Path) -> None:
    file, lost, folder = tmp_path / "file", tmp_path / "lost", tmp_path / "folder"
    file.touch()
    lost.symlink_to(tmp_path / "nowhere")
    folder.mkdir()
    check_new_file(tmp_path / "new", overwrite=False)
    for there in (file, lost):
        check_new_file(there, overwrite=True)
        with pytest.raises(SynthaugError, match="exists already"):
            check_new_file(there, overwrite=False)
    for overwrite in (False, True):
        with pytest.raises(SynthaugError, match="is a folder"):
            check_new_file(folder, overwrite=overwrite)


def failing(times: int, number: int, *, does_it: bool = False) -> Callable[..., None]:
    """`os.replace` as on a network file system that fails so many times, perhaps after it has done it."""
    really, left = os.replace, iter(range(times))

    def replace(source: Path, target: Path) -> None:
        fails = next(left, None) is not None
        if does_it or not fails:
            really(source, target)
        if fails:
            raise OSError(number, os.strerror(number), str(source))

    return replace


@pytest.mark.parametrize(
    "replace",
    [failing(2, errno.ESTALE), failing(2, errno.EBUSY), failing(1, errno.ENOENT, does_it=True)],
    ids=["stale", "busy", "answer lost"],
)
def test_a_rename_that_fails_for_a_moment_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replace: Callable[..., None]
) -> None:
    monkeypatch.setattr(files, "_WAITS", (0, 0))
    monkeypatch.setattr(os, "replace", replace)
    files.write_text(tmp_path / "file", "whole")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "whole"


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EACCES])
def test_a_rename_that_goes_on_failing_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(files, "_WAITS", (0, 0))
    monkeypatch.setattr(os, "replace", failing(9, number))
    with pytest.raises(OSError, match=os.strerror(number)):
        files.write_text(tmp_path / "file", "whole")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    monkeypatch.undo()
    with pytest.raises(FileNotFoundError):
        files.move(tmp_path / "missing", tmp_path / "file")


def test_a_digest_depends_on_each_part() -> None:
    array = np.arange(2000, dtype=np.int64).reshape(1000, 2)
    known = files.digest("text", [1, "b"], array)
    assert known == files.digest("text", [1, "b"], np.asfortranarray(array))
    others = [("text", [1, "c"], array), ("text", [1, "b"], array.T), ("text", [1, "b"], array.astype(np.int32))]
    assert len({known, *(files.digest(*parts) for parts in others)}) == 4
    array[999, 1] = 0
    assert files.digest("text", [1, "b"], array) != known


def test_the_digest_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert files.sha256(tmp_path / "file") == files.digest(b"abc")
    assert files.digest("abc").startswith("ba7816bf")
