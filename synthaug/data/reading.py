"""Decode the files of a folder, and remember what was learnt by path, size, time and inode."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthaug.data import store
from synthaug.data.ahead import Ahead, Geometry
from synthaug.data.decode import DECODE_VERSION, UnreadableImage, decode, hash_and_colour, quiet_decoding
from synthaug.data.duplicates import THUMBNAIL_BYTES, make_thumbnails, reduced
from synthaug.data.layout import Entry
from synthaug.data.parallel import in_chunks
from synthaug.files import digest, write_text
from synthaug.progress import Progress

_SCAN_VERSION = 2


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


def read_all(
    root: Path, entries: Sequence[Entry], place: Path, progress: Progress, geometry: Geometry | None = None
) -> tuple[dict[str, Facts], dict[str, str], Ahead | None]:
    """Path → facts, path → reason for what cannot be read, and images of a `geometry` that were decoded on the way."""
    file = place / f"{digest(str(root))}.json"
    known = _recall(file)
    facts: dict[str, Facts] = {}
    for entry in entries:
        stamp, fact = known.get(entry.path, (None, None))
        if fact is not None and stamp == _stamp(entry.status):
            facts[entry.path] = fact
    missing = [entry for entry in entries if entry.path not in facts]
    failures: dict[str, str] = {}
    ahead = Ahead.of(geometry, len(missing)) if missing else None
    if missing:
        with progress.task("reading images", len(missing), "images") as task, quiet_decoding():
            try:
                for chunk, results in in_chunks(lambda c: _read(root, missing, c, ahead), len(missing)):
                    for k, (outcome, resized) in zip(chunk, results, strict=True):
                        path = missing[k].path
                        if isinstance(outcome, str):
                            failures[path] = outcome
                            continue
                        facts[path] = outcome
                        if ahead is not None and resized:
                            ahead.rows[path] = (k, outcome.pixel_sha256, outcome.coloured)
                    task.advance(len(chunk))
            except BaseException:
                _remember(file, entries, facts, progress)  # the next attempt goes on from here
                raise
    if missing or len(known) != len(facts):
        _remember(file, entries, facts, progress)
    else:
        store.touch(file)
    return facts, failures, ahead


def _read(root: Path, entries: Sequence[Entry], chunk: range, ahead: Ahead | None) -> list[tuple[Facts | str, bool]]:
    """Facts of each file, or the reason why it cannot be read; and whether `ahead` holds it now."""
    outcomes: list[tuple[Any, bool]] = []
    small: list[bytes] = []
    for k in chunk:
        try:
            image, mode, kind = decode(root / entries[k].path)
        except UnreadableImage as error:
            outcomes.append((error.reason, False))
            continue
        resized = ahead is not None and ahead.put(k, image, kind)
        outcomes.append(((image.width, image.height, mode, kind, *hash_and_colour(image)), resized))
        small.append(reduced(image))
    thumbnails = iter(make_thumbnails(small))
    return [(o if isinstance(o, str) else Facts(*[*o, next(thumbnails).tobytes()]), done) for o, done in outcomes]


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ino


def _recall(file: Path) -> dict[str, tuple[tuple[int, ...], Facts]]:
    """What an earlier scan stored; nothing where the file is missing, broken or of another version."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        if document["version"] != [_SCAN_VERSION, DECODE_VERSION]:
            return {}
        thumbnails = base64.b64decode(document["thumbnails"])
        if len(thumbnails) != THUMBNAIL_BYTES * len(document["files"]):
            return {}
        known: dict[str, tuple[tuple[int, ...], Facts]] = {}
        for k, (path, (stamp, *facts)) in enumerate(document["files"].items()):
            thumbnail = thumbnails[k * THUMBNAIL_BYTES : (k + 1) * THUMBNAIL_BYTES]
            known[path] = (tuple(stamp), Facts(*[*facts, thumbnail]))
        return known
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def _remember(file: Path, entries: Sequence[Entry], facts: dict[str, Facts], progress: Progress) -> None:
    rows: dict[str, list[Any]] = {}
    thumbnails: list[bytes] = []
    for entry in entries:
        if (fact := facts.get(entry.path)) is not None:
            rest = [getattr(fact, name) for name in Facts.__slots__[:-1]]
            rows[entry.path] = [_stamp(entry.status), *rest]
            thumbnails.append(fact.thumbnail)
    encoded = base64.b64encode(b"".join(thumbnails)).decode()
    text = json.dumps({"version": [_SCAN_VERSION, DECODE_VERSION], "files": rows, "thumbnails": encoded})
    try:
        if store.make_room(file.parent.parent, len(text)):
            write_text(file, text)
    except OSError as error:
        progress.warn(f"the scan cannot be remembered in {str(file.parent)!r}: {error.strerror}")
