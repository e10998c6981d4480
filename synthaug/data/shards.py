"""Images in large files, the shards. An image has a path below its shard: `train/000000.tar/00000042.png`.

So everything that opens images by their paths reads them from shards, too: through `status` and `read`. A new kind of
shard is a file and a line in the table. Plug-ins: the entry point `synthaug.shards`.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Protocol

from synthaug.errors import SynthaugError
from synthaug.parsing import is_text
from synthaug.registry import Registry

_OPEN = 64  # shards whose indices are kept in memory
_LONGEST = 500


class FileStatus(NamedTuple):
    """What tells whether an image has changed. In a shard, time and inode are the shard's."""

    st_size: int
    st_mtime_ns: int
    st_ino: int

    @classmethod
    def of(cls, status: os.stat_result) -> FileStatus:
        """These three alone; the rest takes half a kilobyte for each file."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ino)


class Member(NamedTuple):
    """An image in a shard: its size in bytes, its class as written there, and whether it is marked as synthetic."""

    size: int
    label: str | None
    synthetic: bool | None = None


class BrokenShard(SynthaugError):
    """A shard that cannot be read, or holds no column of images or classes."""

    def __init__(self, path: Path, reason: str, hint: str) -> None:
        super().__init__(f"cannot read the shard {str(path)!r}: {reason}", hint)
        self.reason = " ".join(reason.split())


class Shard(Protocol):
    """An open shard; its index is in memory, its images are not."""

    members: Mapping[str, Member]
    """Name → image; names are relative paths below the shard, with forward slashes."""
    faults: Mapping[str, str]
    """Name of what is left out → the reason; the name "" is the shard itself."""

    def read(self, name: str) -> bytes:
        """The file of an image.

        Raises:
            OSError: it cannot be read.
        """
        ...


SHARDS: Registry[Callable[[Path], Shard]] = Registry(
    "shards", {"tar": "synthaug.data.webdataset:TarShard", "parquet": "synthaug.data.parquet:ParquetShard"}
)
"""Suffix of a file → function that opens it.

Raises:
    BrokenShard: it is not a shard of labelled images.
    SynthaugError: a package is missing.
"""


def is_shard_name(path: str) -> bool:
    return path.rpartition(".")[2].lower() in SHARDS


def open_shard(path: Path) -> Shard:
    """Open a shard; the index of one that has not changed is kept."""
    status = path.stat()
    return _open(str(path), status.st_size, status.st_mtime_ns, status.st_ino)


@lru_cache(_OPEN)
def _open(path: str, size: int, mtime_ns: int, inode: int) -> Shard:
    return SHARDS.get(path.rpartition(".")[2].lower())(Path(path))


def _find(path: Path) -> tuple[Path, str]:
    """The shard that an image is in, and the image's name there.

    Raises:
        FileNotFoundError: there is none.
    """
    for above in path.parents:
        if is_shard_name(above.name) and above.is_file():
            return above, path.relative_to(above).as_posix()
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))


def status(path: Path) -> FileStatus:
    """The status of an image file, also in a shard.

    Raises:
        OSError: there is no such file, or it is none.
    """
    try:
        found = os.stat(path)  # noqa: PTH116 (pathlib takes longer)
    except (NotADirectoryError, FileNotFoundError):
        file, name = _find(path)
        member = open_shard(file).members.get(name)
        if member is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from None
        there = file.stat()
        return FileStatus(member.size, there.st_mtime_ns, there.st_ino)
    if not stat.S_ISREG(found.st_mode):  # reading a pipe would wait for ever
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return FileStatus.of(found)


def read(path: Path) -> bytes:
    """The contents of an image file, also in a shard; see `status`.

    Raises:
        OSError: there is no such file, or it cannot be read.
    """
    try:
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 (pathlib takes longer)
            return file.readall()
    except (NotADirectoryError, FileNotFoundError):
        shard, name = _find(path)
        return open_shard(shard).read(name)


def fault_of_name(name: str) -> str | None:
    """Why a name in a shard or in a storage cannot be a path below it; None if it can."""
    if not is_text(name) or any(ord(character) < 32 for character in name):
        return "its name is not valid UTF-8 text"
    parts = name.split("/")
    if "\\" in name or PurePosixPath(name).is_absolute() or ":" in parts[0] or not {"", ".", ".."}.isdisjoint(parts):
        return "its name is no path below the shard"
    return "its name is too long" if len(name.encode()) > _LONGEST else None
