"""Decode the files of a folder, and store the results by path, size, time and inode."""

from __future__ import annotations

import json
import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthaug.data import store
from synthaug.data.decode import DECODE_VERSION, UnreadableImage, decode, hash_and_colour, quiet_decoding
from synthaug.data.duplicates import THUMBNAIL_BYTES, make_thumbnails, reduced
from synthaug.data.layout import Entry
from synthaug.data.parallel import in_chunks
from synthaug.files import digest, replacing
from synthaug.progress import Progress

_SCAN_VERSION = 3


@dataclass(frozen=True, slots=True)
class FileInfo:
    """The properties of a decoded image file; see `folder.ImageRecord`."""

    width: int
    height: int
    mode: str
    format: str
    pixel_sha256: str
    coloured: bool
    thumbnail: bytes | memoryview


def read_all(
    root: Path, entries: Sequence[Entry], place: Path, progress: Progress
) -> tuple[dict[str, FileInfo], dict[str, str]]:
    """Path → properties of the file, and path → reason for each file that cannot be read.

    Args:
        root: the folder that paths are relative to.
        place: the folder where results are stored.
    """
    file = place / f"{digest(str(root))}.scan"
    known = _recall(file)
    read: dict[str, FileInfo] = {}
    for entry in entries:
        stamp, info = known.get(entry.path, (None, None))
        if info is not None and stamp == entry.status:
            read[entry.path] = info
    missing = [entry for entry in entries if entry.path not in read]
    failures: dict[str, str] = {}
    if missing:
        with progress.task("reading images", len(missing), "images") as task, quiet_decoding():
            try:
                for chunk, results in in_chunks(lambda c: _read(root, missing[c.start : c.stop]), len(missing)):
                    for k, result in zip(chunk, results, strict=True):
                        if isinstance(result, str):
                            failures[missing[k].path] = result
                        else:
                            read[missing[k].path] = result
                    task.advance(len(chunk))
            except BaseException:
                _remember(file, entries, read, progress)  # the next attempt continues from here
                raise
    if missing or len(known) != len(read):
        _remember(file, entries, read, progress)
    else:
        store.touch(file)
    return read, failures


def _read(root: Path, entries: Sequence[Entry]) -> list[FileInfo | str]:
    """The properties of each file, or the reason why it cannot be read."""
    results: list[Any] = []
    small: list[bytes] = []
    for entry in entries:
        try:
            image, mode, kind = decode(root / entry.path)
        except UnreadableImage as error:
            results.append(error.reason)
            continue
        results.append((image.width, image.height, mode, kind, *hash_and_colour(image)))
        small.append(reduced(image))
    thumbnails = iter(make_thumbnails(small))
    return [r if isinstance(r, str) else FileInfo(*[*r, next(thumbnails).tobytes()]) for r in results]


def _recall(file: Path) -> dict[str, tuple[tuple[int, ...], FileInfo]]:
    """The results of an earlier scan; empty if their file is missing, broken or of another version."""
    try:
        with file.open("rb") as opened:
            document = json.loads(opened.readline())
            place = opened.tell()
            thumbnails = memoryview(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))[place:]
        if document["version"] != [_SCAN_VERSION, DECODE_VERSION]:
            return {}
        if len(thumbnails) != THUMBNAIL_BYTES * len(document["files"]):
            return {}
        known: dict[str, tuple[tuple[int, ...], FileInfo]] = {}
        for k, (path, (stamp, *fields)) in enumerate(document["files"].items()):
            thumbnail = thumbnails[k * THUMBNAIL_BYTES : (k + 1) * THUMBNAIL_BYTES]
            known[path] = (tuple(stamp), FileInfo(*[*fields, thumbnail]))
        return known
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _remember(file: Path, entries: Sequence[Entry], read: dict[str, FileInfo], progress: Progress) -> None:
    rows: dict[str, list[Any]] = {}
    thumbnails: list[bytes | memoryview] = []
    for entry in entries:
        if (info := read.get(entry.path)) is not None:
            rest = [getattr(info, name) for name in FileInfo.__slots__[:-1]]
            rows[entry.path] = [entry.status, *rest]
            thumbnails.append(info.thumbnail)
    head = json.dumps({"version": [_SCAN_VERSION, DECODE_VERSION], "files": rows}).encode() + b"\n"
    try:
        if store.make_room(file.parent.parent, len(head) + THUMBNAIL_BYTES * len(thumbnails)):
            with replacing(file) as temporary, temporary.open("wb") as written:
                written.write(head)
                written.writelines(thumbnails)
    except OSError as error:
        progress.warn(f"cannot store the scan in {str(file.parent)!r}: {error.strerror}")
