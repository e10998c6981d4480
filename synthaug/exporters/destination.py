"""Checks of an export's destination, and the clean-up after a failure."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from synthaug.errors import Interrupted, LostProcess, RunFailed, SynthaugError
from synthaug.exporters.manifest import is_export
from synthaug.exporters.remote import NotUploaded
from synthaug.exporters.workspace import Workspace
from synthaug.files import DISK_FULL, check_outside
from synthaug.progress import Progress

_UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)
_BLOCK = 4096  # bytes that the smallest file takes on a disk
_FULL_HINT = "free some space, export to another disk with --out, or ask for fewer images"
ROW_BYTES = 900
"""Bytes of metadata and journal for one image."""


def check_out(out: Path, *, data: Path, run: Path, overwrite: bool) -> None:
    """Refuse a destination where an export would overwrite something or write into the data.

    Raises:
        SynthaugError: `out` is in the data folder, holds the data or the run, or exists. With `overwrite`, an earlier
            export may exist.
    """
    resolved, root = Path(os.path.realpath(out)), data.resolve()
    check_outside(out, [root], "--out")
    if root.is_relative_to(resolved) or run.resolve().is_relative_to(resolved):
        raise SynthaugError(f"{str(out)!r} holds the data or the run", "export elsewhere with --out")
    if out.exists() or out.is_symlink():
        if not overwrite:
            raise SynthaugError(f"{str(out)!r} exists already", "give another folder with --out, or --overwrite")
        if out.is_symlink() or not is_export(out):
            raise SynthaugError(
                f"{str(out)!r} is not an earlier export and is not overwritten", "give another folder with --out"
            )


def on_disk(size: int) -> int:
    """The bytes that a file of `size` bytes takes.

    >>> on_disk(1), on_disk(5000)
    (4096, 8192)
    """
    return -(-size // _BLOCK) * _BLOCK


def check_space(out: Path, needed: int) -> None:
    """Check that the disk of `out` has `needed` bytes free.

    Raises:
        RunFailed: it has less.
    """
    existing = next((p for p in (out, *out.parents) if p.exists()), Path())
    disk = shutil.disk_usage(existing)
    if needed > disk.free and disk.total > 0:  # a file system without a size, like /proc, fails on writing instead
        space = f"about {needed / 1e6:,.1f} MB, and {str(existing)!r} has {disk.free / 1e6:,.1f} MB free"
        raise RunFailed(f"the export needs {space}", _FULL_HINT)


@contextmanager
def working(out: Path, settings: Mapping[str, Any], progress: Progress, command: str) -> Iterator[Workspace]:
    """Open the workspace of an export. It is deleted after bad input and where the disk is full; else it stays.

    `command` is what the user gave; the same again continues the export.

    Raises:
        Interrupted: on a KeyboardInterrupt in the block.
        RunFailed: the disk is full.
        SynthaugError: the place cannot be written, or another process is exporting to it.
    """
    workspace, opened = Workspace(out), False
    try:
        state = workspace.open(settings)
        opened = True
        if state == "continued":
            progress.say(f"continuing the interrupted export to {out}")
        elif state == "discarded":
            progress.warn(f"discarded an unfinished export with other settings to {out}")
        yield workspace
    except KeyboardInterrupt as error:
        workspace.release()
        raise Interrupted(f"the export to {str(out)!r} was interrupted", f"continue with: {command}") from error
    except OSError as error:
        if error.errno in DISK_FULL:
            workspace.discard()
            raise RunFailed(f"the disk of {str(out)!r} is full: {error.strerror}", _FULL_HINT) from error
        if opened and error.errno not in _UNWRITABLE:
            workspace.release()
            raise LostProcess(
                f"the export to {str(out)!r} stopped: {error.strerror or error}",
                f"continue with: {command}",
            ) from error
        workspace.discard()
        raise SynthaugError(
            f"cannot write the export to {str(out)!r}: {error.strerror or error}",
            "give a folder that can be written with --out",
        ) from error
    except (NotUploaded, LostProcess):
        workspace.release()
        raise
    except SynthaugError:
        workspace.discard()
        raise
    except BaseException:
        workspace.release()
        raise
