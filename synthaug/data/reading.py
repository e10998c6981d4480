"""Decode the files of a folder, and store the results by path, size, time and inode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synthaug.data import store
from synthaug.data.decode import UnreadableImage, decode, hash_and_colour, quiet_decoding
from synthaug.data.duplicates import make_thumbnails, reduced
from synthaug.data.layout import Entry
from synthaug.data.parallel import in_chunks
from synthaug.data.scan_store import FileInfo, StoredScan, new_thumbnails, take, write_scan
from synthaug.files import digest
from synthaug.progress import Progress

_LINE = 180  # bytes for each image, beside its path


@dataclass(frozen=True)
class Read:
    """The files that can be read, in the order of their paths, and why the others cannot (path → reason).

    `thumbnails`: uint8 [N, 1056], see `duplicates.make_thumbnails`.
    """

    entries: list[Entry]
    infos: list[FileInfo]
    thumbnails: NDArray[np.uint8]
    failures: dict[str, str]


def read_all(root: Path, entries: Sequence[Entry], place: Path, progress: Progress) -> Read:
    """The properties of all files.

    Args:
        root: the folder that paths are relative to.
        place: the folder where results are stored.
    """
    file = place / f"{digest(str(root))}.scan"
    entries = sorted(entries, key=lambda entry: entry.path)
    stored = StoredScan(file)
    infos, rows = stored.known(entries)
    missing = np.flatnonzero(rows < 0)
    if not len(missing) and len(stored) == len(entries):
        store.touch(file)
        return Read(entries, [info for info in infos if info is not None], stored.thumbnails, {})
    thumbnails, known = new_thumbnails(len(entries), place), np.flatnonzero(rows >= 0)
    take(stored.thumbnails, rows[known], thumbnails, known)
    failures: dict[str, str] = {}

    def found() -> Read:
        readable = np.flatnonzero([info is not None for info in infos])
        take(thumbnails, readable, thumbnails, np.arange(len(readable)))
        kept = [entries[k] for k in readable.tolist()]
        return Read(kept, [info for info in infos if info is not None], thumbnails[: len(readable)], failures)

    with progress.task("reading images", len(missing), "images") as task, quiet_decoding():
        try:
            for chunk, (results, made) in in_chunks(
                lambda c: _read(root, [entries[k] for k in missing[c.start : c.stop].tolist()]), len(missing)
            ):
                new = iter(made)
                for k, result in zip(missing[chunk.start : chunk.stop].tolist(), results, strict=True):
                    if isinstance(result, str):
                        failures[entries[k].path] = result
                    else:
                        infos[k], thumbnails[k] = result, next(new)
                task.advance(len(chunk))
        except BaseException:
            _remember(file, found(), progress)  # the next attempt continues from here
            raise
    read = found()
    _remember(file, read, progress)
    return read


def _read(root: Path, entries: Sequence[Entry]) -> tuple[list[FileInfo | str], NDArray[np.uint8]]:
    """The properties of each file, or the reason why it cannot be read; the thumbnails of those that can."""
    results: list[FileInfo | str] = []
    small: list[bytes] = []
    for entry in entries:
        try:
            image, mode, kind = decode(root / entry.path)
        except UnreadableImage as error:
            results.append(error.reason)
            continue
        results.append(FileInfo(image.width, image.height, mode, kind, *hash_and_colour(image)))
        small.append(reduced(image))
    return results, make_thumbnails(small)


def _remember(file: Path, found: Read, progress: Progress) -> None:
    size = found.thumbnails.size + sum(len(entry.path) + _LINE for entry in found.entries)
    try:
        if store.make_room(file.parent.parent, size):
            write_scan(file, found.entries, found.infos, found.thumbnails)
    except OSError as error:
        progress.warn(f"cannot store the scan in {str(file.parent)!r}: {error.strerror}")
