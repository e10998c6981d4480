"""What DATA may be: image files labelled by folders or by metadata tables, or shards (WebDataset, Parquet)."""

from __future__ import annotations

import re

from synthaug.data.class_names import normalise_label
from synthaug.data.layout import SPLIT_FOLDERS, Entry, Found, SplitName, Tree, by_folders, is_image_name, tables
from synthaug.data.metadata import COLUMN_HINT, by_tables, names_files
from synthaug.data.shards import BrokenShard, FileStatus, Shard, is_shard_name, open_shard
from synthaug.documents import Unreadable
from synthaug.errors import SynthaugError
from synthaug.storage import UNFINISHED, unfinished


def find_images(tree: Tree) -> Found:
    """The labelled images of a folder, known by name only. Shards count only where there is no image file.

    Raises:
        SynthaugError: there is no labelled image, a table or a shard is broken, or a label cannot be a class.
    """
    if UNFINISHED in tree.files:
        raise unfinished(tree.root)
    shards = sorted(filter(is_shard_name, tree.files))
    if shards and not any(map(is_image_name, tree.files)):
        return _in_shards(tree, shards)
    table_paths = list(tables(tree))
    found = by_tables(tree, table_paths)
    if found is not None:
        return found
    try:
        found = by_folders(tree)
    except SynthaugError as error:
        if not table_paths:
            raise
        raise SynthaugError(
            f"{error.message}; {table_paths[0]} names no image of it by file_name and label", COLUMN_HINT
        ) from error
    ignored_tables = {
        f"{path} (no columns file_name and label)" for path in table_paths if not names_files(tree.root, path)
    }
    found.ignored = sorted({*found.ignored, *ignored_tables} - {*table_paths})
    return found


def _in_shards(tree: Tree, shards: list[str]) -> Found:
    kinds = {path.rpartition(".")[2].lower() for path in shards}
    if len(kinds) > 1:
        raise SynthaugError(
            f"{str(tree.root)!r} holds shards of several kinds: {', '.join(sorted(kinds))}", "give a folder with one"
        )
    found = Found("shards", ignored=[*tree.hidden, *(tree.files.keys() - set(shards))])
    found.unreadable = [Unreadable(path=path, reason=reason) for path, reason in tree.refused.items()]
    labels: dict[str, str] = {}
    broken: BrokenShard | None = None
    for path in shards:
        try:
            _add(found, path, open_shard(tree.root / path), tree.files[path], labels)
        except BrokenShard as error:
            broken = broken or error
            found.unreadable.append(Unreadable(path=path, reason=error.reason))
    if not found.entries:
        raise broken or SynthaugError(
            f"the shards in {str(tree.root)!r} hold no labelled image",
            "each image needs its class: a .cls or .json beside it in a tar file, a label column in a Parquet file",
        )
    return found


def _add(found: Found, path: str, shard: Shard, file: FileStatus, labels: dict[str, str]) -> None:
    """Add the images of a shard; `labels` maps those that are known to class names."""
    for name, reason in shard.faults.items():
        found.unreadable.append(Unreadable(path=f"{path}/{name}" if name else path, reason=reason))
    split = split_of(path)
    for name, member in shard.members.items():
        where = f"{path}/{name}"
        if member.label is None:
            found.ignored.append(f"{where} (no label)")
            continue
        if member.label not in labels:
            labels[member.label] = normalise_label(member.label, repr(where))
        status = FileStatus(member.size, file.st_mtime_ns, file.st_ino)
        found.entries.append(Entry(where, labels[member.label], split, status, member.synthetic))


def split_of(path: str) -> SplitName | None:
    """The split that a shard's name or its folders tell.

    >>> split_of("data/validation-00000-of-00002.parquet"), split_of("train/000000.tar"), split_of("000000.tar")
    ('val', 'train', None)
    """
    words = [word for part in reversed(path.lower().split("/")) for word in re.split(r"[-_.]", part)]
    return next((SPLIT_FOLDERS[word] for word in words if word in SPLIT_FOLDERS), None)
