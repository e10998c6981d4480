"""Temporary files and folders beside their final name. Those that a killed process left are removed by the next one."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl

_CHOSEN = r"\.[a-z0-9_]{8}"  # by tempfile
UNFINISHED = re.compile(rf"\..+{_CHOSEN}\.(tmp|partial)")


@contextmanager
def beside(path: Path, *, folder: bool = False) -> Iterator[Path]:
    """Make a file or folder beside `path` and lock it while the block lasts. The block must rename or remove it.

    First, those of earlier calls for `path` are removed whose lock is free: their process has ended.
    """
    suffix = ".partial" if folder else ".tmp"
    _remove_abandoned(path, suffix)
    while True:
        made = _made(path, suffix, folder)
        with _locked(made, wait=True):
            if os.path.lexists(made):  # nobody found it before it was locked
                yield made
                return


def remove(path: Path) -> None:
    """Remove a file or folder, as far as that can be done."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _made(path: Path, suffix: str, folder: bool) -> Path:
    if folder:
        return Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=suffix, dir=path.parent))
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=suffix, dir=path.parent)
    os.close(handle)
    return Path(name)


def _remove_abandoned(path: Path, suffix: str) -> None:
    of_path = re.compile(re.escape(f".{path.name}") + _CHOSEN + re.escape(suffix))
    with suppress(OSError):  # a folder may be written and not listed
        for entry in list(os.scandir(path.parent)):
            if of_path.fullmatch(entry.name):
                with _locked(Path(entry.path), wait=False) as locked:
                    if locked:
                        remove(Path(entry.path))


@contextmanager
def _locked(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold the lock of a file or folder; False: somebody else does, or it cannot be locked."""
    if sys.platform == "win32":  # what a killed process left stays
        yield False
        return
    with ExitStack() as opened:
        locked = False
        with suppress(OSError):
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # a pipe would wait for its writer
            opened.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            locked = True
        yield locked
