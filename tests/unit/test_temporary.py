"""Temporary files and folders: what a killed process left goes, what another process still writes stays."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from synthaug.files import new_folder, replacing
from synthaug.temporary import beside

WRITES = """
import sys
from pathlib import Path
from synthaug.files import new_folder, replacing
with {how}(Path(sys.argv[1])) as temporary:
    (temporary / "part" if temporary.is_dir() else temporary).write_text("half")
    print(temporary, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(params=["new_folder", "replacing"])
def half(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path, str]]:
    """Another process that has written half of something and waits, and where."""
    command = [sys.executable, "-c", WRITES.format(how=request.param), str(tmp_path / "out")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip()), request.param
        process.kill()


def write(path: Path, how: str) -> None:
    if how == "new_folder":
        with new_folder(path, replace=True) as folder:
            (folder / "whole").write_text("whole")
    else:
        with replacing(path) as file:
            file.write_text("whole")


def test_what_a_killed_process_left_is_removed(half: tuple[subprocess.Popen[str], Path, str], tmp_path: Path) -> None:
    process, temporary, how = half
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert temporary.exists()
    write(tmp_path / "another", how)
    assert temporary.exists()  # it is not of this name
    write(tmp_path / "out", how)
    assert {path.name for path in tmp_path.iterdir()} == {"another", "out"}


def test_what_another_process_writes_stays(half: tuple[subprocess.Popen[str], Path, str], tmp_path: Path) -> None:
    process, temporary, how = half
    write(tmp_path / "out", how)
    assert temporary.exists()
    assert process.stdin is not None
    process.stdin.close()
    process.wait()
    assert not temporary.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


def test_what_only_looks_like_it_stays(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".out.abcdefgh.partial").symlink_to(tmp_path / "elsewhere")
    for name in (".out.abc.partial", ".out.ABCDEFGH.partial", "out.abcdefgh.partial", ".out.abcdefgh.partial.old"):
        (tmp_path / name).mkdir()
    before = set(tmp_path.iterdir())
    write(tmp_path / "out", "new_folder")
    assert set(tmp_path.iterdir()) == {*before, tmp_path / "out"}


def test_a_pipe_of_such_a_name_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".out.abcdefgh.tmp")
    write(tmp_path / "out", "replacing")
    assert (tmp_path / "out").read_text() == "whole"


def test_one_that_is_found_before_it_is_locked_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []
    really = os.open

    def found_first(path: Path, *flags: int) -> int:
        handle = really(path, *flags)
        if str(path).endswith(".partial"):
            made.append(Path(path))
            if len(made) == 1:
                path.rmdir()
        return handle

    monkeypatch.setattr(os, "open", found_first)
    with beside(tmp_path / "out", folder=True) as folder:
        assert folder == made[1]
        assert folder.is_dir()
        assert not made[0].exists()
