"""Atomic files and folders, which are complete or absent: written under a temporary name, then renamed. Hashes."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthaug.errors import SynthaugError
from synthaug.temporary import UNFINISHED, beside, remove

if TYPE_CHECKING:  # this module must not import torch
    from torch import Tensor

_BLOCK = 1 << 20
_ROWS = 512
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""The `errno` of an OSError if there is no room left."""
STORAGE_FAILED = frozenset({errno.EBUSY, errno.EIO, errno.ESTALE})
"""The `errno` of an OSError if a disk or a network file system does not work now."""
_WAITS = (0.1, 0.5, 2.0)  # seconds between attempts to rename


def move(source: Path, target: Path) -> None:
    """Rename a file or folder, as `os.replace`.

    A network file system may fail for a moment. It may also do it, lose the answer, ask again, and say that `source`
    is not there.
    """
    there = os.path.lexists(source)
    for wait in (*_WAITS, None):
        try:
            source.replace(target)
            return
        except FileNotFoundError:
            if there and not os.path.lexists(source) and os.path.lexists(target):
                return
            raise
        except OSError as error:
            if wait is None or error.errno not in STORAGE_FAILED:
                raise
            time.sleep(wait)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` if the block succeeds, else delete it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with beside(path) as temporary:
        try:
            yield temporary
            temporary.chmod(0o666 & ~_umask())  # mkstemp makes files that only their owner can read
            with temporary.open("rb") as written:
                os.fsync(written.fileno())
            move(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; rename it to `path` if the block succeeds.

    Missing parents are made. If the block fails, the folder and these parents are deleted. With `replace`, an earlier
    folder at `path` is deleted when the new one is complete.
    """
    made = make_folders(path.absolute().parent)
    with beside(path, folder=True) as temporary:
        try:
            yield temporary
            temporary.chmod(0o777 & ~_umask())  # mkdtemp makes folders that only their owner can read
            if replace and path.exists():
                with beside(path, folder=True) as earlier:
                    move(path, earlier / path.name)  # deleting takes longer, and a kill meanwhile would leave neither
                    move(temporary, path)
                    remove(earlier)
            else:
                move(temporary, path)
        except BaseException:
            remove(temporary)
            remove_empty(made)
            raise


def remove_unfinished(root: Path) -> None:
    """Remove what killed calls of `replacing` and `new_folder` left below `root`, where no other process may write."""
    for path in list(root.rglob(".*")):
        if UNFINISHED.fullmatch(path.name):
            remove(path)


def check_new_file(out: Path, *, overwrite: bool, option: str = "--out") -> None:
    """Check that a file can be written at `out`: nothing is there, or with `overwrite` a file or a link.

    Raises:
        SynthaugError: a folder is there, or something else without `overwrite`; a link counts even if it leads nowhere.
    """
    if out.is_dir():
        raise SynthaugError(f"{str(out)!r} is a folder", f"give the name of a file with {option}")
    if (out.exists() or out.is_symlink()) and not overwrite:
        raise SynthaugError(f"{str(out)!r} exists already", f"give another name with {option}, or --overwrite")


def check_replaceable(out: Path, *, marker: str, what: str, overwrite: bool) -> None:
    """Check that a folder can be written at `out`: nothing is there, or an earlier output, which holds `marker`.

    Raises:
        SynthaugError: something else is there, or `overwrite` is not set.
    """
    if not (out.exists() or out.is_symlink()):
        return
    if not overwrite:
        raise SynthaugError(f"{str(out)!r} exists already", "give another folder with --out, or --overwrite")
    if out.is_symlink() or not (out / marker).is_file():
        raise SynthaugError(f"{str(out)!r} is not {what} and is not overwritten", "give another folder with --out")


def check_outside(path: Path, folders: Iterable[Path | None], option: str) -> None:
    """Check that `path` is outside all `folders` of images: what is written there would be taken for a real image.

    Args:
        path: what `option` of a command gives; it does not need to exist.
        folders: None stands for a folder that was not given.
        option: how the user writes it.

    Raises:
        SynthaugError: it lies in one of them, perhaps through a link, or is a link to itself.
    """
    try:
        path.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise SynthaugError(f"cannot use {str(path)!r}: it links to itself", "give another path") from error
    real = Path(os.path.realpath(path))  # `Path.resolve` fails on links in a circle
    places = [place for place in (real, *real.parents) if place.exists()]
    for folder in folders:
        if folder is not None and folder.exists() and any(place.samefile(folder) for place in places):
            raise SynthaugError(
                f"{option} {str(path)!r} lies inside the data folder {str(folder)!r}, where nothing is ever written",
                f"give a place outside of it with {option}",
            )


def make_folders(path: Path) -> list[Path]:
    """Make a folder and its parents; return those that were missing, outermost first."""
    made: list[Path] = []
    try:
        for folder in [folder for folder in (path, *path.parents) if not folder.exists()][::-1]:
            folder.mkdir(exist_ok=True)
            made.append(folder)
    except OSError:
        remove_empty(made)
        raise
    return made


def remove_empty(folders: list[Path]) -> None:
    """Undo `make_folders`; folders that are not empty stay."""
    for folder in reversed(folders):
        with suppress(OSError):
            folder.rmdir()


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


def write_bytes(path: Path, data: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode("utf-8"))


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file. `safetensors.save_file` hides the system's error, such as that of a full disk."""
    from safetensors.torch import save

    write_bytes(path, save(dict(tensors), None if metadata is None else dict(metadata)))


def write_json(path: Path, document: Any) -> None:
    write_text(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def regular(path: Path) -> Path:
    """Return `path`, which must be a regular file: reading a pipe or a device in its place might never end.

    Raises:
        OSError: it is something else, or missing.
    """
    if not path.is_file():
        missing = not path.exists()
        raise OSError(*((errno.ENOENT, "missing") if missing else (errno.EINVAL, "not a regular file")), str(path))
    return path


def sha256(path: Path) -> str:
    with regular(path).open("rb") as file:
        if hasattr(hashlib, "file_digest"):  # from Python 3.11 on
            return str(hashlib.file_digest(file, "sha256").hexdigest())
        found = hashlib.sha256()
        while block := file.read(_BLOCK):
            found.update(block)
        return found.hexdigest()


def digest_of_rows(rows: Iterable[Any]) -> str:
    """SHA-256 of the JSON of a list, whose rows are made one after another; it need not fit into the memory.

    >>> digest_of_rows(iter([["a", 1], ["ü", 2]])) == digest(json.dumps([["a", 1], ["ü", 2]], ensure_ascii=False))
    True
    """
    found = hashlib.sha256(b"[")
    for number, row in enumerate(rows):
        found.update((", " * (number > 0) + json.dumps(row, ensure_ascii=False)).encode())
    found.update(b"]")
    return found.hexdigest()


def digest(*parts: Any) -> str:
    """SHA-256 of all arguments, for example as the key of a cache.

    Bytes and text (UTF-8) are hashed as they are, arrays by type, shape and values, anything else as JSON.
    """
    found = hashlib.sha256()
    for part in parts:
        if hasattr(part, "__array_interface__"):
            found.update(f"{part.dtype} {part.shape}".encode())
            for rows in (
                part[i : i + _ROWS] for i in range(0, len(part), _ROWS)
            ):  # in blocks, because `tobytes` copies
                found.update(rows.tobytes())
        elif isinstance(part, bytes):
            found.update(part)
        else:
            found.update((part if isinstance(part, str) else json.dumps(part)).encode())
    return found.hexdigest()
