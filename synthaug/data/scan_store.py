"""A stored scan: what is known of each image file, in the order of the paths, and the thumbnails as one mapped array.

Thumbnails take a kilobyte an image. So they stay in files that are mapped: the system can drop pages of such a file.
A stored scan has a header of 64 bytes with the number of images, then their thumbnails, then a line of JSON for each.
"""

from __future__ import annotations

import json
import mmap
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synthaug.data.decode import DECODE_VERSION
from synthaug.data.duplicates import THUMBNAIL_BYTES
from synthaug.data.layout import Entry
from synthaug.files import replacing

_VERSION = [4, DECODE_VERSION]
_HEADER = 64
_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class FileInfo:
    """The properties of a decoded image file; see `folder.ImageRecord`."""

    width: int
    height: int
    mode: str
    format: str
    pixel_sha256: str
    coloured: bool


class StoredScan:
    """The results of an earlier scan; empty if their file is missing, broken or of another version.

    `thumbnails`: uint8 [N, 1056], in the order of the paths.
    """

    def __init__(self, file: Path) -> None:
        self.thumbnails = np.zeros((0, THUMBNAIL_BYTES), np.uint8)
        self._file: mmap.mmap | None = None
        with suppress(OSError, ValueError, TypeError, KeyError), file.open("rb") as opened:
            mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
            header = json.loads(mapped.read(_HEADER))
            if header["version"] == _VERSION:
                size = int(header["files"]) * THUMBNAIL_BYTES
                self.thumbnails = np.frombuffer(mapped, np.uint8, size, _HEADER).reshape(-1, THUMBNAIL_BYTES)
                self._file = mapped

    def __len__(self) -> int:
        return len(self.thumbnails)

    def known(self, entries: Sequence[Entry]) -> tuple[list[FileInfo | None], NDArray[np.intp]]:
        """What is known of each of `entries`, in the order of their paths, and the rows of their thumbnails."""
        infos: list[FileInfo | None] = [None] * len(entries)
        rows = np.full(len(entries), -1)
        lines = self._lines()
        row, path, stamp, info = next(lines, _END)
        for k, entry in enumerate(entries):
            while path < entry.path and info is not None:
                row, path, stamp, info = next(lines, _END)
            if path == entry.path and stamp == entry.status:
                infos[k], rows[k] = info, row
        return infos, rows

    def _lines(self) -> Iterator[tuple[int, str, tuple[int, ...], FileInfo | None]]:
        if self._file is None:
            return
        with suppress(ValueError, TypeError):
            self._file.seek(_HEADER + self.thumbnails.size)
            for row, line in enumerate(iter(self._file.readline, b"")):
                path, stamp, width, height, mode, kind, *rest = json.loads(line)
                # Modes and formats are few: one object each, not one an image.
                yield row, path, tuple(stamp), FileInfo(width, height, sys.intern(mode), sys.intern(kind), *rest)


_END: tuple[int, str, tuple[int, ...], FileInfo | None] = (-1, "", (), None)


def write_scan(file: Path, entries: Sequence[Entry], infos: Sequence[FileInfo], thumbnails: NDArray[np.uint8]) -> None:
    """Replace the stored scan. All three are in the order of the paths; thumbnails: uint8 [N, 1056].

    Raises:
        OSError: the file cannot be written.
    """
    with replacing(file) as temporary, temporary.open("wb") as opened:
        opened.write(json.dumps({"version": _VERSION, "files": len(entries)}).encode().ljust(_HEADER))
        opened.write(thumbnails.data)
        for entry, info in zip(entries, infos, strict=True):
            fields = [getattr(info, name) for name in FileInfo.__slots__]
            opened.write(json.dumps([entry.path, entry.status, *fields]).encode() + b"\n")


def new_thumbnails(count: int, place: Path) -> NDArray[np.uint8]:
    """An array for thumbnails, uint8 [count, 1056]: in a nameless file in `place`, or in memory if there is no room."""
    with suppress(OSError, AttributeError, ValueError):  # no permission, no room, no such system call, no images
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place) as file:
            os.posix_fallocate(file.fileno(), 0, count * THUMBNAIL_BYTES)  # a full disk would end the process later
            return np.frombuffer(mmap.mmap(file.fileno(), 0), np.uint8).reshape(count, THUMBNAIL_BYTES)
    return np.zeros((count, THUMBNAIL_BYTES), np.uint8)


def take(thumbnails: NDArray[np.uint8], rows: NDArray[np.intp], into: NDArray[np.uint8], at: NDArray[np.intp]) -> None:
    """`into[at[i]] = thumbnails[rows[i]]`, in blocks. Both may be one array if `at` and `rows` ascend, at <= rows."""
    for start in range(0, len(rows), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        into[at[some]] = thumbnails[rows[some]]
