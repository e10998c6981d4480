"""What happens to a command while it runs: it ends as if nothing had been, or with a plain error.

After an error, the cause is undone, and the same command must give what it gives undisturbed.
"""

from __future__ import annotations

import ctypes
import errno
import os
import random
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from faults.workplace import Running, differences, fresh, launch, make, undisturbed
from PIL import Image

Undo = Callable[[], None]
_RENAME = "rename-that-fails"


def nothing() -> None:
    """Nothing is to be undone, or to be done first."""


@dataclass(frozen=True)
class Disturbance:
    """What is done to a command at a random moment.

    Args:
        what: is said of it in the table.
        act: gets the folder, the command, a random generator and the number of the try; returns how to undo it.
        first: is called in the command's process before the command.
    """

    what: str
    act: Callable[[Path, Running, random.Random, int], Undo] = lambda *_: nothing
    first: Callable[[], None] = nothing


def disturbed(place: Path, command: str, disturbance: Disturbance, times: int, seed: int) -> Iterator[list[str]]:
    """The faults found in each of so many tries: none, if the command held."""
    start, rng = make(place, command), random.Random(seed)
    seconds, wanted = undisturbed(start, command)
    for number in range(times):
        work = fresh(start)
        running = launch(work, command, first=disturbance.first)
        running.runs_for(rng.uniform(0.05, 0.9) * seconds)
        undo = disturbance.act(work, running, rng, number)
        done = running.finish()
        faults = [f"still running: {pid}" for pid in running.left()]
        undo()
        if done.status == 0:
            yield faults + differences(wanted, work)
            continue
        if done.status not in (1, 2, 143) or not done.plainly:
            faults.append(str(done))
        again = launch(work, command).finish()
        yield faults + ([f"again, {again}"] if again.status else differences(wanted, work))


def _image(work: Path, _: Running, rng: random.Random, number: int) -> Undo:
    image = rng.choice(sorted((work / "data").rglob("*.png")))
    before, times = image.read_bytes(), image.stat()
    if number % 2:
        image.unlink()
    else:
        Image.new("RGB", (16, 16), "red").save(image)

    def put_back() -> None:
        image.write_bytes(before)
        os.utime(image, ns=(times.st_atime_ns, times.st_mtime_ns))

    return put_back


def _cache(work: Path, *_: Any) -> Undo:
    shutil.rmtree(work / "cache", ignore_errors=True)
    return nothing


def _permission(work: Path, *_: Any) -> Undo:
    """Nobody may write what the command has made or uses, apart from the cache."""
    folders = [work, *(p for p in work.rglob("*") if p.is_dir() and not p.is_symlink())]
    before = {folder: folder.stat().st_mode for folder in folders if work / "cache" not in (folder, *folder.parents)}
    for folder in before:
        with suppress(FileNotFoundError):
            folder.chmod(0o555)

    def give_back() -> None:
        for folder, mode in before.items():
            if folder.exists():
                folder.chmod(mode)

    return give_back


def _obey_permissions() -> None:
    """Root may write everywhere while it has this capability."""
    capability, drop = 1, 24  # CAP_DAC_OVERRIDE, PR_CAPBSET_DROP
    libc = ctypes.CDLL(None, use_errno=True)
    header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    libc.prctl(drop, capability, 0, 0, 0)
    if libc.capget(header, data) == 0:
        for field in range(3):  # effective, permitted, inheritable
            data[field] &= ~(1 << capability)
        libc.capset(header, data)


def _a_child(work: Path, running: Running, rng: random.Random, number: int) -> Undo:
    """A worker is killed, asked to end, or gets no more memory."""
    until = time.monotonic() + 60
    while not (children := running.children()) and running.processes[0].exitcode is None and time.monotonic() < until:
        time.sleep(0.05)
    if children:
        child = rng.choice(children)
        with suppress(ProcessLookupError, FileNotFoundError):
            if number % 3 == 2:
                used = int(Path(f"/proc/{child}/statm").read_text().split()[0]) * resource.getpagesize()
                resource.prlimit(child, resource.RLIMIT_AS, (used, used))
            else:
                os.kill(child, (signal.SIGKILL, signal.SIGTERM)[number % 3])
    return nothing


def _terminate(work: Path, running: Running, rng: random.Random, number: int) -> Undo:
    running.kill(signal.SIGTERM, group=False, only=[rng.randrange(len(running.processes))])
    return nothing


def _clock_goes_back() -> None:
    """In the command's process, the clock is put back by a day after its tenth look."""
    clock, looks = time.time, iter(range(10))
    time.time = lambda: clock() - (0 if next(looks, None) is not None else 86400)


def _files_of_the_future(work: Path, *_: Any) -> Undo:
    """What the command has written lies in the future, as after the clock was put back."""
    later = time.time() + 86400
    for file in work.rglob("*"):
        with suppress(OSError):
            if work / "data" not in file.parents:
                os.utime(file, (later, later), follow_symlinks=False)
    return nothing


def _renames_fail() -> None:
    """In the command's process, a rename fails once `_RENAME` names how: after it was done, if its answer is lost."""
    really, order = os.replace, Path.cwd() / "cache" / _RENAME

    def replace(source: Any, target: Any) -> None:
        number = int(order.read_text()) if order.exists() else 0
        order.unlink(missing_ok=True)
        if number in (0, errno.ENOENT):
            really(source, target)
        if number:
            raise OSError(number, os.strerror(number), os.fspath(source))

    os.replace = replace


def _fail_a_rename(work: Path, running: Running, rng: random.Random, number: int) -> Undo:
    order = work / "cache" / _RENAME
    order.parent.mkdir(exist_ok=True)
    order.write_text(str((errno.ESTALE, errno.EBUSY, errno.ENOENT)[number % 3]))
    return partial(order.unlink, missing_ok=True)


def _without_network() -> None:
    new_network = 0x40000000  # CLONE_NEWNET
    if ctypes.CDLL(None, use_errno=True).unshare(new_network):
        sys.exit("no new network")


DISTURBANCES = {
    "images": Disturbance("image deleted or swapped during", _image),
    "cache": Disturbance("cache removed during", _cache),
    "permission": Disturbance("permission to write lost during", _permission, _obey_permissions),
    "workers": Disturbance("worker killed, terminated or out of memory during", _a_child),
    "terminate": Disturbance("SIGTERM of", _terminate),
    "clock": Disturbance("clock put back during", _files_of_the_future, _clock_goes_back),
    "rename": Disturbance("rename that fails for a moment, or seems to, during", _fail_a_rename, _renames_fail),
    "network": Disturbance("no network for", first=_without_network),
}
