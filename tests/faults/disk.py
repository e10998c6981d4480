"""Disks that are full at every point of a command, or read-only. Needs mounts, as `unshare -rm` allows them.

The command runs in this process, which has imported everything. The tool held if the command ended well, or with a
plain error of status 1 and the hint to free some space; if nothing half-written is left; and if the same command, with
room, ends well.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

from faults.workplace import COMMANDS, Ended, fresh, left_over, make

FIRST, FACTOR, ROOM = 4096, 1.6, 64 << 20  # bytes
ON_THE_DISK = {"fit": "runs", "export": "disk", "evaluate": "disk", "check": "runs"}
"""The folder that a command writes into, which the small disk takes the place of."""


def full_disks(place: Path, command: str) -> Iterator[list[str]]:
    """The faults found with a disk of 4 KiB, and with ever larger ones until the command has room enough."""
    start, room, arguments = make(place, trained=command != "fit"), FIRST, onto_the_disk(command)
    while True:
        work = fresh(start)
        disk = work / ON_THE_DISK[command]
        with small_disk(disk, room):
            ended = here(work, arguments)
            faults = [f"left over: {name}" for name in left_over(work)]
            if ended.status not in (0, 1) or (
                ended.status and not (ended.plainly and "free some space" in ended.stderr)
            ):
                faults.append(f"status {ended.status}: {ended.stderr.strip()[-300:]}")
            if ended.status:
                remount(disk, f"size={ROOM}")
                again = here(work, arguments)
                faults += [f"with room, status {again.status}: {again.stderr.strip()[-300:]}"] * (again.status != 0)
                faults += [f"with room, left over: {name}" for name in left_over(work)]
        yield faults
        if ended.status == 0:
            return
        room = int(room * FACTOR)


def read_only(place: Path, command: str) -> Iterator[list[str]]:
    """The faults found where the command may not write: it ends well without writing, or with a plain error."""
    work = fresh(make(place, trained=command != "fit"))
    with small_disk(work / ON_THE_DISK[command], ROOM):
        remount(work / ON_THE_DISK[command], "ro")
        ended = here(work, onto_the_disk(command))
        yield [] if ended.status == 0 or ended.plainly else [f"status {ended.status}: {ended.stderr.strip()[-300:]}"]


def onto_the_disk(command: str) -> list[str]:
    """The command's words; what it writes goes to the disk."""
    return [*COMMANDS[command], *(["--out", "disk/out"] if ON_THE_DISK[command] == "disk" else [])]


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[None]:
    """A disk of `size` bytes and what the folder holds, in the place of the folder."""
    folder.mkdir(exist_ok=True)
    held = folder.rename(folder.with_name(f"{folder.name}-before"))
    folder.mkdir()
    used = sum(-(-p.lstat().st_size // 4096) * 4096 for p in held.rglob("*"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size + used}", "none", folder], check=True)
    try:
        subprocess.run(["cp", "-a", f"{held}/.", folder], check=True)
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


def here(folder: Path, arguments: list[str]) -> Ended:
    """Run the command line in this process."""
    from synthaug_cli import app

    before, errors = Path.cwd(), StringIO()
    os.chdir(folder)
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    try:
        with redirect_stderr(errors), redirect_stdout(StringIO()):
            status = app.run(arguments)
    finally:
        os.chdir(before)
    return Ended(status, errors.getvalue())
