"""The journal of an unfinished export, cut off at any byte."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from synthaug.errors import LostProcess, RunFailed, SynthaugError
from synthaug.exporters import journal
from synthaug.exporters.destination import working
from synthaug.exporters.names import file_names
from synthaug.exporters.workspace import Workspace
from synthaug.progress import Silent


def _entry(tree: Path, chunk: int, names: list[str]) -> dict[str, Any]:
    """A piece of work whose files are written."""
    rows = []
    for name in names:
        (tree / "train/ü").mkdir(parents=True, exist_ok=True)
        (tree / "train/ü" / name).write_text(name)
        rows.append({"file_name": f"ü/{name}", "sha256": hashlib.sha256(name.encode()).hexdigest()})
    return {"kind": "synthetic", "split": "train", "label": "ü", "chunk": chunk, "rows": rows}


def _journal(out: Path) -> Path:
    return Workspace(out).journal("ü").file


def test_a_journal_that_ends_anywhere_is_read_as_far_as_it_is_whole(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "out")
    workspace.open({})
    assert list(workspace.finished(["ü"])) == []
    entries, ends = [], []
    for chunk, names in enumerate((["a\nb", "c"], [], ["d"])):
        entries.append(_entry(workspace.tree, chunk, names))
        workspace.journal("ü").record(entries[-1])
        ends.append(_journal(workspace.out).stat().st_size)
    workspace.release()
    whole = _journal(workspace.out).read_bytes()
    for cut in range(len(whole) + 1):
        _journal(workspace.out).write_bytes(whole[:cut])
        for entry in entries:
            _entry(workspace.tree, entry["chunk"], [row["file_name"][2:] for row in entry["rows"]])
        done = sum(end <= cut for end in ends)
        assert list(workspace.finished(["ü"])) == entries[:done]
        assert _journal(workspace.out).read_bytes() == whole[: ends[done - 1] if done else 0]
        kept = sorted(p.name for p in workspace.tree.rglob("*") if p.is_file())
        assert kept == sorted(row["file_name"][2:] for entry in entries[:done] for row in entry["rows"])


def test_a_file_that_is_not_as_the_journal_says_ends_it(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "out")
    workspace.open({})
    assert list(workspace.finished(["ü"])) == []
    first, second = (_entry(workspace.tree, chunk, [name]) for chunk, name in enumerate("ab"))
    for entry in (first, second):
        workspace.journal("ü").record(entry)
    (workspace.tree / "train/ü/b").write_text("half")
    assert list(workspace.finished(["ü"])) == [first]


@pytest.mark.parametrize("kind", ["link to a folder", "pipe", "file", "folder of the user", "pipe in it", "link in it"])
def test_what_no_export_has_made_is_neither_emptied_nor_followed(tmp_path: Path, kind: str) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "precious").write_text("precious")
    place = Workspace(tmp_path / "out").path
    if kind == "link to a folder":
        place.symlink_to(foreign)
    elif kind == "pipe":
        os.mkfifo(place)
    elif kind == "file":
        place.write_text("precious")
    elif kind == "folder of the user":
        foreign.rename(place)
        foreign = place
    else:
        earlier = Workspace(tmp_path / "out")
        earlier.open({"an": "export"})
        earlier.release()
        strange = place / "settings.json" if kind == "pipe in it" else place / "tree"
        strange.unlink() if strange.is_file() else strange.rmdir()
        os.mkfifo(strange) if kind == "pipe in it" else strange.symlink_to(foreign)
    with pytest.raises(SynthaugError, match=r"\.out\.partial.* no export has made it"):
        Workspace(tmp_path / "out").open({})
    assert os.path.lexists(place)
    assert (foreign / "precious").read_text() == "precious"


def test_the_error_says_who_exports_to_the_same_place(tmp_path: Path) -> None:
    first = Workspace(tmp_path / "out")
    first.open({})
    with pytest.raises(SynthaugError, match=rf"in use by process {os.getpid()} on"):
        Workspace(tmp_path / "out").open({})
    first.discard()
    assert list(tmp_path.iterdir()) == []


def test_rows_come_out_as_they_went_in(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "out")
    workspace.open({})
    assert list(workspace.finished(["ü"])) == []
    entries = [_entry(workspace.tree, chunk, names) for chunk, names in enumerate((["a"], [], ["b", "c"]))]
    held_out = {**_entry(workspace.tree, 0, ["real"]), "split": "val"}
    for entry in (held_out, *entries):
        workspace.journal("ü").record(entry)
    lines = b"".join(workspace.journal("ü").rows("train")).decode().splitlines()
    assert [json.loads(line) for line in lines] == [row for entry in entries for row in entry["rows"]]


def test_a_task_ends_when_its_command_has_ended(tmp_path: Path) -> None:
    """As on another machine, which does not see that a command is killed."""
    command = Workspace(tmp_path / "out")
    command.open({})
    task = pickle.loads(pickle.dumps(command.journal("ü")))
    with task.only_writer():
        task.record(_entry(command.tree, 0, ["a"]))
        whole = task.file.read_bytes()
        (command.path / "writer.json").write_text("of another command")
        with pytest.raises(RunFailed, match="no longer that of this task"):
            task.record(_entry(command.tree, 1, ["b"]))
    assert task.file.read_bytes() == whole
    command.discard()
    with pytest.raises(SynthaugError, match="does not see the folder"):
        task.only_writer()
    assert list(tmp_path.iterdir()) == []


def test_a_class_is_waited_for_until_its_task_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Workspace(tmp_path / "out")
    first.open({})
    task = first.journal("ü").only_writer()
    task.__enter__()
    first.release()
    second = Workspace(tmp_path / "out")
    with monkeypatch.context() as patched:
        patched.setattr(journal, "_WAIT", 0.1)
        with pytest.raises(SynthaugError, match="the class 'ü' of an unfinished export is in use by process"):
            second.open({})
        second.release()
    threading.Timer(0.3, task.__exit__, (None, None, None)).start()
    assert second.open({}) == "continued"
    second.discard()


@pytest.mark.skipif(sys.platform == "win32", reason="file-size limits are POSIX")
def test_a_journal_that_the_disk_has_no_room_for_is_an_error(tmp_path: Path) -> None:
    code = """
import resource, signal, sys
from pathlib import Path
from synthaug.exporters.workspace import Workspace

workspace = Workspace(Path(sys.argv[1]) / "out")
workspace.open({})
list(workspace.finished(["a"]))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
row = {"file_name": "a/b.png", "sha256": "0" * 64}
workspace.journal("a").record({"kind": "synthetic", "split": "train", "label": "a", "rows": [row] * 30})
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert "OSError" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("error", "stays"),
    [
        (LostProcess("a process died", "again"), True),
        (TimeoutError(110, "Connection timed out"), True),
        (OSError(5, "Input/output error"), True),
        (OSError(28, "No space left on device"), False),
        (PermissionError(13, "Permission denied"), False),
        (SynthaugError("bad input", "another"), False),
    ],
)
def test_what_is_made_stays_where_the_same_command_can_go_on(tmp_path: Path, error: Exception, stays: bool) -> None:
    def fails() -> None:
        with working(tmp_path / "out", {}, Silent(), "synthaug export 7") as workspace:
            (workspace.tree / "made").write_text("for hours")
            raise error

    with pytest.raises(SynthaugError) as caught:
        fails()
    assert (Workspace(tmp_path / "out").tree / "made").exists() == stays
    assert ("continue with: synthaug export 7" in caught.value.hint or isinstance(error, LostProcess)) == stays
    assert (Workspace(tmp_path / "out").size() >= len("for hours")) == stays


def test_features_that_a_power_cut_has_shortened_are_not_made_up(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "out")
    workspace.open({})
    kept = workspace.journal("ü")
    kept.folder.mkdir(parents=True, exist_ok=True)
    kept.remember(np.ones((3, 4), np.float32))
    assert len(kept.remembered(2, 4)) == 2
    with pytest.raises(SynthaugError, match="was cut off"):
        kept.remembered(3, 4)


def test_names_that_are_all_equal_take_no_quadratic_time() -> None:
    started = time.process_time()
    names = file_names(f"patient{k}/image.png" for k in range(30_000))
    assert time.process_time() - started < 5
    assert (names[0], names[-1]) == ("image.png", "image_30000.png")
