"""Decode the files of a folder in threads, and remember what was learnt by path, size, time and inode."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthaug.data import store
from synthaug.data.decode import DECODE_VERSION, UnreadableImage, decode, is_grey, pixel_sha256, quiet_decoding
from synthaug.data.duplicates import THUMBNAIL_BYTES, thumbnail
from synthaug.data.layout import Entry
from synthaug.files import write_text
from synthaug.progress import Progress

_SCAN_VERSION = 1
_CHUNK = 32


@dataclass(frozen=True, slots=True)
class Facts:
    """What decoding one file told."""

    width: int
    height: int
    mode: str
    format: str
    pixel_sha256: str
    coloured: bool
    thumbnail: bytes


def workers() -> int:
    """Threads to decode with: Pillow's decoders let others run."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, available)


def read_all(
    root: Path, entries: Sequence[Entry], place: Path, progress: Progress
) -> tuple[dict[str, Facts], dict[str, str]]:
    """Path → facts, and path → reason for what cannot be read."""
    file = place / f"{hashlib.sha256(str(root).encode()).hexdigest()}.json"
    known = _recall(file)
    facts: dict[str, Facts] = {}
    for entry in entries:
        stamp, fact = known.get(entry.path, (None, None))
        if fact is not None and stamp == _stamp(entry.status):
            facts[entry.path] = fact
    missing = [entry for entry in entries if entry.path not in facts]
    failures: dict[str, str] = {}
    if missing:
        chunks = [missing[i : i + _CHUNK] for i in range(0, len(missing), _CHUNK)]
        with (
            progress.task("reading images", len(missing), "images") as task,
            quiet_decoding(),
            ThreadPoolExecutor(workers()) as pool,
        ):
            try:
                for chunk, results in zip(chunks, pool.map(lambda c: [_read(root, e) for e in c], chunks), strict=True):
                    for entry, outcome in zip(chunk, results, strict=True):
                        if isinstance(outcome, Facts):
                            facts[entry.path] = outcome
                        else:
                            failures[entry.path] = outcome
                    task.advance(len(chunk))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                _remember(file, entries, facts, progress)  # the next attempt goes on from here
                raise
    if missing or len(known) != len(facts):
        _remember(file, entries, facts, progress)
    else:
        store.touch(file)
    return facts, failures


def _read(root: Path, entry: Entry) -> Facts | str:
    try:
        image, mode, kind = decode(root / entry.path)
    except UnreadableImage as error:
        return error.reason
    grey = image.mode == "L" or (image.mode == "RGB" and is_grey(image))
    small = thumbnail(image).tobytes()
    return Facts(image.width, image.height, mode, kind, pixel_sha256(image), not grey, small)


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ino


def _recall(file: Path) -> dict[str, tuple[tuple[int, ...], Facts]]:
    """What an earlier scan stored; nothing where the file is missing, broken or of another version."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        if document["version"] != [_SCAN_VERSION, DECODE_VERSION]:
            return {}
        known = {}
        for path, (stamp, *facts, thumb) in document["files"].items():
            small = base64.b64decode(thumb)
            if len(small) == THUMBNAIL_BYTES:
                known[path] = (tuple(stamp), Facts(*[*facts, small]))
        return known
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _remember(file: Path, entries: Sequence[Entry], facts: dict[str, Facts], progress: Progress) -> None:
    rows: dict[str, list[Any]] = {}
    for entry in entries:
        if (fact := facts.get(entry.path)) is not None:
            rest = [getattr(fact, name) for name in Facts.__slots__[:-1]]
            rows[entry.path] = [_stamp(entry.status), *rest, base64.b64encode(fact.thumbnail).decode()]
    text = json.dumps({"version": [_SCAN_VERSION, DECODE_VERSION], "files": rows})
    try:
        if store.make_room(file.parent.parent, len(text)):
            write_text(file, text)
    except OSError as error:
        progress.warn(f"the scan cannot be remembered in {str(file.parent)!r}: {error.strerror}")
