"""What the tests of the command line share: running the installed `synthaug`, and listing folders."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import forked_command
import pytest

SYNTHAUG = Path(sys.executable).with_name("synthaug")


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    status: int
    stdout: str
    stderr: str

    def lines(self, start: str) -> list[str]:
        return [line for line in self.stderr.splitlines() if line.startswith(start)]


Synthaug = Callable[..., Finished]
Listing = Callable[[Path], dict[str, tuple[int, int]]]


@pytest.fixture(scope="session")
def synthaug() -> Synthaug:
    """Run the installed command in a folder, `under` another command if given: synthaug("fit", "data", cwd=…).

    With `forked`, the command line runs in a fork of a process that has imported it: see `forked_command`.
    """

    def run(
        *arguments: str | Path,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        under: Sequence[str] = (),
        timeout: float = 400,
        forked: bool = False,
    ) -> Finished:
        environment = {k: v for k, v in os.environ.items() if k != "SYNTHAUG_RUNS"}
        environment |= {"OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(cwd.parent / f"{cwd.name}-cache"), **(env or {})}
        if forked and not under:
            return Finished(*forked_command.run([str(a) for a in arguments], cwd, environment, timeout))
        done = subprocess.run(
            [*under, SYNTHAUG, *map(str, arguments)],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )
        return Finished(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def listing() -> Listing:
    """Every path under a folder with its size and time of change, which is 0 for folders and locks."""

    def look(folder: Path) -> dict[str, tuple[int, int]]:
        found = {}
        for path in sorted(folder.rglob("*")):
            status = path.lstat()
            is_folder = path.is_dir() and not path.is_symlink()  # its time changes when something was there and went
            changed = 0 if is_folder or path.suffix == ".lock" else status.st_mtime_ns  # taking a lock may change it
            found[str(path.relative_to(folder))] = (-1 if is_folder else status.st_size, changed)
        return found

    return look
