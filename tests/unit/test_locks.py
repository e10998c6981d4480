"""One writer at a time; a lock whose holder has died is free, and says nothing wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from synthaug.errors import SynthaugError
from synthaug.locks import LOCK, NOTE, Held, is_held, only_writer

HOLD = """
import sys, time
from pathlib import Path
from synthaug.locks import only_writer
with only_writer(Path(sys.argv[1]), "the run"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_the_error_says_who_holds_it_and_a_dead_holder_is_followed(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path), "fit"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    assert is_held(tmp_path)
    said = rf"the run is in use by process {process.pid} on \S+ \(.*fit\), since 2\d\d\d-"
    with pytest.raises(Held, match=said), only_writer(tmp_path, "the run"):
        pass
    process.kill()
    process.wait()
    assert (tmp_path / NOTE).exists()  # it had no time to remove it
    assert not is_held(tmp_path)
    with only_writer(tmp_path, "the run"):
        assert f'"pid": {os.getpid()}' in (tmp_path / NOTE).read_text()
        with pytest.raises(Held, match=f"process {os.getpid()}"), only_writer(tmp_path, "the run"):
            pass
    assert not (tmp_path / NOTE).exists()
    assert not is_held(tmp_path)


@pytest.mark.parametrize("kind", ["pipe", "link", "folder"])
def test_what_is_no_lock_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    place, foreign = tmp_path / "run", tmp_path / "foreign"
    place.mkdir()
    foreign.write_text("foreign")
    {"pipe": os.mkfifo, "link": lambda p: p.symlink_to(foreign), "folder": Path.mkdir}[kind](place / LOCK)
    with pytest.raises(SynthaugError, match=LOCK), only_writer(place, "the run"):
        pass
    assert foreign.read_text() == "foreign"
    assert not is_held(place)


def test_what_a_killed_writer_left_half_written_is_removed(tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / ".kimg000001.ab_2cd34.partial" / "x").mkdir(parents=True)
    (tmp_path / ".status.json.ab_2cd34.tmp").touch()
    others = [tmp_path / ".export.partial", tmp_path / ".hidden", tmp_path / "checkpoints" / "kimg000001"]
    for other in others:
        other.mkdir()
    with only_writer(tmp_path, "the run"):
        left = {p for p in tmp_path.rglob("*") if p.name not in (LOCK, NOTE)}
        assert left == {*others, tmp_path / "checkpoints"}


def test_a_lock_of_another_user_in_a_folder_that_all_may_write_is_no_leave_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("synthaug.locks.FileLock.acquire", denied)
    with pytest.raises(SynthaugError, match="permission denied"), only_writer(tmp_path, "the run"):
        pytest.fail("a second writer")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with only_writer(tmp_path, "the run"):  # nobody can write there: there is nothing to lock
        pass
