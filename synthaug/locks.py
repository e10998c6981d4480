"""One writer at a time: a folder's lock, and a note of who holds it."""

from __future__ import annotations

import errno
import os
import platform
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path

from filelock import FileLock, Timeout

from synthaug.errors import SynthaugError
from synthaug.files import regular, remove_unfinished, write_json
from synthaug.parsing import read_json

LOCK, NOTE = "writer.lock", "writer.json"
"""Names in the folder. The lock's file stays; the note is there while somebody holds the lock, or died with it."""
_UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)


class Held(SynthaugError):
    """Another process holds the lock."""


@contextmanager
def only_writer(folder: Path, what: str, *, wait: float = 0) -> Iterator[None]:
    """Hold the lock of a folder. The system frees it when its holder ends, however it ends.

    What a holder that was killed left half-written is removed.

    If the folder cannot be written, there is nothing to lock.

    Args:
        folder: must exist.
        what: is written, for the error.
        wait: seconds for another holder to end.

    Raises:
        Held: another process holds it; the message has its process id, computer, command and start.
        SynthaugError: a file or folder that is no lock has its name.
    """
    # Another thread than the one that took the lock may give it back.
    lock, note = FileLock(folder / LOCK, thread_local=False), folder / NOTE
    try:
        if (folder / LOCK).is_symlink():
            raise OSError(errno.ELOOP, "a link", str(folder / LOCK))
        if (folder / LOCK).exists():
            regular(folder / LOCK)
        lock.acquire(timeout=wait)
    except Timeout as error:
        raise Held(f"{what} is in use by {_holder(note)}", "wait until it ends, or stop it") from error
    except OSError as error:
        if error.errno not in _UNWRITABLE or os.access(folder, os.W_OK):
            raise SynthaugError(
                f"cannot lock {what}: {str(folder / LOCK)!r}: {(error.strerror or str(error)).lower()}",
                "remove what lies there, let this user write it, or free some space",
            ) from error
        yield
        return
    try:
        remove_unfinished(folder)
        with suppress(OSError):  # the lock holds without its note; a full disk is found by what is written next
            write_json(note, _me())
        yield
    finally:
        with suppress(OSError):
            note.unlink(missing_ok=True)
        lock.release()


def is_held(folder: Path) -> bool:
    """Whether a process holds the folder's lock now. Nothing is written."""
    lock = folder / LOCK
    try:
        if lock.is_file():
            with FileLock(lock, timeout=0):
                return False
    except Timeout:
        return True
    except OSError:
        pass
    return False


def _me() -> dict[str, object]:
    command = [Path(sys.argv[0]).name, *sys.argv[1:]]
    since = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {"pid": os.getpid(), "host": platform.node(), "command": shlex.join(command), "since": since}


def _holder(note: Path) -> str:
    try:
        who = read_json(note)
        return f"process {who['pid']} on {who['host']} ({who['command']}), since {who['since']}"
    except (OSError, ValueError, TypeError, KeyError):
        return "another process"
