"""The cache of scan results, decoded images and features. Everything in it can be made again; its size is limited."""

from __future__ import annotations

import contextlib
import os
import re
import time
from pathlib import Path

from synthaug.errors import SynthaugError
from synthaug.files import check_outside
from synthaug.temporary import remove

DEFAULT_CAP_GIB = 20.0
ARRAYS = "decoded-images"
SCANS = "scan-results"
FEATURES = "image-features"
FETCHED = "fetched-shards"
_OURS = re.compile(r"[0-9a-f]{64}\.(npy|json|scan)")
_LEFT_OVER = re.compile(r"\.[0-9a-f]{64}\.(npy|json|scan)\..*\.tmp")
_STALE_SECONDS = 24 * 3600.0


def cache_root(cache: Path | None = None) -> Path:
    """`cache`, else `$SYNTHAUG_CACHE`, else `$XDG_CACHE_HOME/synthaug`, else `~/.cache/synthaug`."""
    if cache is not None:
        return cache.expanduser()
    if chosen := os.environ.get("SYNTHAUG_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base and Path(base).is_absolute() else Path("~/.cache").expanduser()) / "synthaug"


def outside(root: Path, cache: Path) -> Path:
    """Return `cache`.

    Raises:
        SynthaugError: `cache` is inside the data folder `root`.
    """
    check_outside(cache, [root], "--cache")
    return cache


def cap_bytes() -> int:
    """The largest size of the cache: `$SYNTHAUG_CACHE_GB` (GiB), or 20 GiB.

    Raises:
        SynthaugError: the variable is not a number of at least 0.
    """
    text = os.environ.get("SYNTHAUG_CACHE_GB")
    try:
        size = float(text) if text else DEFAULT_CAP_GIB
        if not 0 <= size < float("inf"):
            raise ValueError(size)
    except ValueError as error:
        raise SynthaugError(f"SYNTHAUG_CACHE_GB={text!r} is not a size", "give a number of GiB, such as 20") from error
    return int(size * (1 << 30))


def touch(path: Path) -> None:
    """Mark `path` as used now; the least recently used files are deleted first."""
    with contextlib.suppress(OSError):
        os.utime(path)


def keep_latest(folder: Path, count: int) -> None:
    """Delete all but the `count` most recently used files and folders of a folder."""
    with contextlib.suppress(OSError):  # another process may delete them too
        entries = sorted(folder.iterdir(), key=lambda entry: entry.stat().st_mtime, reverse=True)
        for entry in entries[count:]:
            remove(entry)


def make_room(root: Path, needed: int) -> bool:
    """Delete the least recently used files under `root` until `needed` bytes fit under the cap.

    Returns False, and deletes nothing, if `needed` alone is more than the cap. A process that has mapped a deleted file
    can still use it (POSIX).
    """
    cap = cap_bytes()
    if needed > cap:
        return False
    found: list[tuple[float, int, Path]] = []
    for folder in (root / ARRAYS, root / SCANS, root / FEATURES):
        for path in folder.iterdir() if folder.is_dir() else ():
            with contextlib.suppress(OSError):
                if _OURS.fullmatch(path.name):  # never delete a user's file in the same folder
                    status = path.stat()
                    found.append((status.st_mtime, status.st_size, path))
                elif _LEFT_OVER.fullmatch(path.name) and time.time() - path.stat().st_mtime > _STALE_SECONDS:
                    path.unlink()  # left by a killed process
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total + needed <= cap:
            break
        with contextlib.suppress(OSError):
            path.unlink()
            total -= size
    return True
