"""Disks that are full at every point of a command, or read-only. Needs mounts, as `unshare -rm` allows them.

The tool held if the command ended well, or with a plain error of status 1 and the hint to free some space; if nothing
half-written is left; and if the same command, with room, ends well.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from faults.workplace import fresh, launch, left_over, make

FIRST, FACTOR, ROOM = 4096, 1.6, 64 << 20  # bytes


def full_disks(place: Path, command: str) -> Iterator[list[str]]:
    """The faults found with a disk of 4 KiB, and with ever larger ones until the command has room enough."""
    start, room = make(place, command), FIRST
    while True:
        work = fresh(start)
        with small_disk(written_by(work, command), room) as disk:
            ended = launch(work, command).finish()
            faults = [f"left over: {name}" for name in left_over(work)]
            if ended.status not in (0, 1) or (
                ended.status and not (ended.plainly and "free some space" in ended.stderr)
            ):
                faults.append(str(ended))
            if ended.status:
                remount(disk, f"size={ROOM}")
                again = launch(work, command).finish()
                faults += [f"with room, {again}"] * (again.status != 0)
                faults += [f"with room, left over: {name}" for name in left_over(work)]
        yield faults
        if ended.status == 0:
            return
        room = int(room * FACTOR)


def read_only(place: Path, command: str) -> Iterator[list[str]]:
    """The faults found where the command may not write: it ends well without writing, or with a plain error."""
    work = fresh(make(place, command))
    with small_disk(written_by(work, command), ROOM) as disk:
        remount(disk, "ro")
        ended = launch(work, command).finish()
        yield [] if ended.status == 0 or ended.plainly else [str(ended)]


def written_by(work: Path, command: str) -> Path:
    """The folder that the command writes into."""
    return work / {"export": "exports", "run": "result"}.get(command.split()[0], "runs")


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """A disk of `size` bytes and what the folder holds, in the place of the folder."""
    folder.mkdir(exist_ok=True)
    held = folder.rename(folder.with_name(f"{folder.name}-before"))
    folder.mkdir()
    used = sum(-(-p.lstat().st_size // 4096) * 4096 for p in held.rglob("*"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size + used}", "none", folder], check=True)
    try:
        subprocess.run(["cp", "-a", f"{held}/.", folder], check=True)
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)
