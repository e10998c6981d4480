"""Shards at a URL, copied into the cache once: their images are then read at random, and without a network."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock

from synthaug.data import store
from synthaug.data.shards import fault_of_name, is_shard_name
from synthaug.errors import RunFailed, SynthaugError, plural
from synthaug.files import digest, replacing, write_json
from synthaug.parsing import ParseError, read_json
from synthaug.progress import Progress
from synthaug.storage import UNFINISHED, Storage, name_of, unfinished

_STATE = ".fetched.json"
_LOCK_SECONDS = 24 * 3600
_STAMPS = (
    "ETag", "etag", "md5Hash", "content_md5", "LastModified", "last_modified", "updated", "mtime", "created", "blob_id",
    "modify", "modified",
)  # fmt: skip


def local_folder(place: Path | str, cache: Path | None, progress: Progress) -> Path:
    """A folder of this machine: `place`, or a copy of the shards at a URL, brought up to date.

    Args:
        place: a path, or the URL of a folder of shards or of one shard.
        cache: see `store.cache_root`.

    Raises:
        SynthaugError: there are no shards at the URL, or a package is missing.
        RunFailed: the storage fails, or the disk has no room.
    """
    if isinstance(place, Path):
        return place
    folder = copy_of(place, cache)
    _fetch(place, folder, progress)
    return folder


def copy_of(url: str, cache: Path | None = None) -> Path:
    """Where the shards at a URL are copied to; the folder need not exist."""
    return store.cache_root(cache) / store.FETCHED / digest(url)[:12] / name_of(url)


def _fetch(url: str, folder: Path, progress: Progress) -> None:
    """Copy the shards at a URL into a folder that is for nothing else; those that have not changed stay.

    Raises:
        SynthaugError, RunFailed: as `local_folder`.
    """
    parent, _, last = url.rpartition("/")
    storage = Storage.open(parent if is_shard_name(last) else url)
    there = storage.files()
    if UNFINISHED in there:
        raise unfinished(url)
    shards = {name: info for name, info in there.items() if is_shard_name(name) and fault_of_name(name) is None}
    if is_shard_name(last):
        shards = {name: info for name, info in shards.items() if name == last}
    if not shards:
        raise SynthaugError(
            f"{url!r} holds no .tar or .parquet file ({plural(len(there), 'file')} in all)",
            "give the URL of a folder of shards; image files are read from folders of this machine only",
        )
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / ".lock", timeout=_LOCK_SECONDS):
        _update(storage, shards, folder, progress)


def _update(storage: Storage, shards: dict[str, dict[str, Any]], folder: Path, progress: Progress) -> None:
    file, known = folder.parent / _STATE, dict[str, list[str]]()
    with suppress(OSError, ParseError):
        known = {**read_json(file)}
    stamps = {name: [str(info.get(key)) for key in ("size", *_STAMPS)] for name, info in shards.items()}
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder).as_posix() not in shards:
            path.unlink()
    missing = [
        name for name in shards
        if known.get(name) != stamps[name] or {*stamps[name]} == {"None"} or not (folder / name).is_file()
    ]  # fmt: skip
    needed, free = sum(shards[name].get("size") or 0 for name in missing), shutil.disk_usage(folder).free
    if needed > free:
        raise RunFailed(
            f"the shards at {storage.url!r} need {needed / 1e6:,.1f} MB, and {str(folder)!r} has {free / 1e6:,.1f} MB",
            "free some space, or give another folder with --cache",
        )
    if missing:
        with progress.task(f"fetching {storage.url}", len(missing), "shards") as task:
            for name in missing:
                with replacing(folder / name) as temporary:
                    storage.download(name, temporary)
                known[name] = stamps[name]
                write_json(file, known)
                task.advance()
