"""Find the labelled images of a folder by the names of its folders; `metadata` finds them by tables."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from synthaug.data.class_names import normalise_label
from synthaug.data.decode import SUFFIXES
from synthaug.data.shards import FileStatus
from synthaug.documents import Unreadable
from synthaug.errors import SynthaugError

Layout = Literal["classes", "splits", "metadata", "shards"]
SplitName = Literal["train", "val", "test"]

SPLIT_FOLDERS: dict[str, SplitName] = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
_EXTENSIONS = frozenset(suffix[1:] for suffix in SUFFIXES)
TABLES = ("metadata.jsonl", "metadata.csv")
EXAMPLE = "put the images of each class into a folder of its own, as in DATA/cat/1.png, DATA/dog/1.png"


@dataclass(frozen=True, slots=True)
class Entry:
    """An image with its label, not yet opened; `path` is relative to the root, with forward slashes (see `shards`)."""

    path: str
    label: str
    split: SplitName | None
    status: FileStatus
    synthetic: bool | None = None


@dataclass
class Found:
    """The images of a folder, known by name only."""

    layout: Layout
    entries: list[Entry] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    empty: dict[str, str] = field(default_factory=dict)
    """class → the reason why it has no image file"""


@dataclass
class Tree:
    """Every regular file below a folder, by its relative path, and the files that are left out."""

    root: Path
    files: dict[str, FileStatus] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)


def walk(root: Path) -> Tree:
    """List a folder without following symbolic links out of it.

    Raises:
        SynthaugError: `root` is missing, not a folder, or cannot be read.
    """
    if not root.exists():
        parent = "" if root.parent.is_dir() else f"{str(root.parent)!r} does not exist either; "
        raise SynthaugError(f"there is no folder {str(root)!r}", f"{parent}check the path")
    if not root.is_dir():
        raise SynthaugError(f"{str(root)!r} is a file, not a folder of images", "unpack archives first; " + EXAMPLE)
    tree = Tree(root.resolve())
    try:
        waiting = _list(tree, "")
    except OSError as error:
        message = f"cannot read the folder {str(root)!r}: {error.strerror}"
        raise SynthaugError(message, "check its permissions") from error
    while waiting:  # no recursion: folders may be nested deeper than Python's stack
        folder = waiting.pop()
        tree.folders.append(folder)
        try:
            waiting += _list(tree, folder + "/")
        except OSError as error:
            tree.refused[folder] = (error.strerror or "cannot be read").lower()
    return tree


def _list(tree: Tree, prefix: str) -> list[str]:
    """Add the files of one folder to the tree, and return its folders."""
    folders = []
    with os.scandir(tree.root / prefix) as entries:
        for entry in entries:
            path = f"{prefix}{entry.name}"
            if entry.name.startswith((".", "__MACOSX")) or entry.name in ("Thumbs.db", "desktop.ini"):
                tree.hidden.append(path + "/" * entry.is_dir(follow_symlinks=False))
            elif not _is_utf8(path):
                tree.refused[path.encode("utf-8", "replace").decode()] = "the file name is not valid UTF-8"
            elif entry.is_symlink():
                _follow(tree, entry, path)
            elif entry.is_dir():
                folders.append(path)
            elif entry.is_file():
                tree.files[path] = FileStatus.of(entry.stat())
            else:
                tree.refused[path] = "not a regular file"
    return folders


def _follow(tree: Tree, entry: os.DirEntry[str], path: str) -> None:
    target = Path(os.path.realpath(entry.path))
    if not target.is_relative_to(tree.root):
        tree.refused[path] = "symbolic link out of the folder"
    elif not target.exists():
        tree.refused[path] = "broken symbolic link"
    elif target.is_dir():
        tree.refused[path] = "symbolic link to a folder"
    else:
        status = target.stat()
        if stat.S_ISREG(status.st_mode):
            tree.files[path] = FileStatus.of(status)


def _is_utf8(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def is_image_name(path: str) -> bool:
    return path.rpartition(".")[2].lower() in _EXTENSIONS


def by_folders(tree: Tree) -> Found:
    """Read labels from folder names: `class/**`, or `train|val|test/class/**`.

    A folder called `train` is a split if it has subfolders with images, and if `val` or `test` is beside it or no other
    folder is. Otherwise it is a class of that name.

    Raises:
        SynthaugError: there is no image, or no class folder.
    """
    images = [path for path in tree.files if is_image_name(path)]
    top = Counter(path.split("/", 1)[0] for path in images if "/" in path)
    splits = _split_folders(tree, images, top)
    found = Found("splits" if splits else "classes", ignored=list(tree.hidden))
    found.unreadable = [Unreadable(path=path, reason=reason) for path, reason in tree.refused.items()]
    depth = 1 if splits else 0
    labels: dict[str, str] = {}
    for path, status in tree.files.items():
        parts = path.split("/", depth + 2)
        if len(parts) <= depth + 1 or (splits and parts[0] not in splits) or not is_image_name(path):
            found.ignored.append(path)
            continue
        folder = parts[depth]
        if folder not in labels:
            labels[folder] = normalise_label(folder, f"the folder {'/'.join(parts[: depth + 1])!r}")
        found.entries.append(Entry(path, labels[folder], splits.get(parts[0]), status))
    _summarise_ignored(found, tree)
    _note_empty(found, tree, splits, depth)
    if not found.entries and not found.empty:
        _nothing_found(tree, images)
    return found


def _split_folders(tree: Tree, images: list[str], top: Counter[str]) -> dict[str, SplitName]:
    """Folder → split; empty if the folders are classes."""
    known = {name: SPLIT_FOLDERS[name.lower()] for name in top if name.lower() in SPLIT_FOLDERS}
    trains = [name for name, split in known.items() if split == "train"]
    if not trains or (len(known) < 2 and len(top) > 1):
        return {}
    holds_classes = any(path.split("/", 1)[0] in trains and path.count("/") >= 2 for path in images)
    if not holds_classes:
        if set(top) <= set(known):
            raise SynthaugError(
                f"{str(tree.root / trains[0])!r} holds images but no class folders",
                "put the images of each class into a folder, as in train/cat/1.png, or add train/metadata.csv "
                "with the columns file_name and label",
            )
        return {}
    for split in set(known.values()):
        if len(twice := sorted(name for name in known if known[name] == split)) > 1:
            folders = ", ".join(map(repr, twice))
            raise SynthaugError(f"the folders {folders} of {str(tree.root)!r} mean the same split", "merge them")
    return known


def _summarise_ignored(found: Found, tree: Tree) -> None:
    """Replace the paths of a folder that has only ignored files by the path of the folder."""
    used: set[str] = set()
    for folder in {entry.path.rpartition("/")[0] for entry in found.entries}:
        parts = folder.split("/")
        used.update("/".join(parts[:i]) for i in range(1, len(parts) + 1))
    shown: dict[str, None] = {}
    for path in found.ignored:
        parts = path.rstrip("/").split("/")
        outermost = next(("/".join(parts[:i]) for i in range(1, len(parts)) if "/".join(parts[:i]) not in used), None)
        shown[path if outermost is None else outermost + "/"] = None
    found.ignored = sorted(shown)


def _note_empty(found: Found, tree: Tree, splits: dict[str, SplitName], depth: int) -> None:
    """Add empty class folders to `found.empty`. A folder with other files only is ignored; it is not a class."""
    labels = {entry.label for entry in found.entries}
    parents = {path.rsplit("/", 1)[0] for path in [*tree.folders, *tree.files, *tree.refused] if "/" in path}
    for folder in tree.folders:
        parts = folder.split("/")
        of_train = not splits or splits.get(parts[0]) == "train"
        if len(parts) != depth + 1 or not of_train or parts[-1].lower() in SPLIT_FOLDERS:
            continue
        if folder not in parents or _only_refused(folder, tree):
            label = normalise_label(parts[-1], f"the folder {folder!r}")
            if label not in labels:
                found.empty[label] = "its folder is empty" if folder not in parents else "its files cannot be read"


def _only_refused(folder: str, tree: Tree) -> bool:
    inside = folder + "/"
    refused = folder in tree.refused or any(path.startswith(inside) for path in tree.refused)
    return refused and not any(path.startswith(inside) for path in tree.files)


def _nothing_found(tree: Tree, images: list[str]) -> None:
    if images:
        raise SynthaugError(f"{str(tree.root)!r} holds {len(images)} images but no class folders", EXAMPLE)
    if tree.files:
        kinds = Counter(Path(path).suffix.lower() or "no suffix" for path in tree.files)
        listed = ", ".join(f"{kinds[kind]} {kind}" for kind in sorted(kinds, key=lambda k: (-kinds[k], k))[:4])
        raise SynthaugError(
            f"{str(tree.root)!r} holds no image files (found: {listed})", "PNG, JPEG, WebP, BMP, TIFF and GIF are read"
        )
    raise SynthaugError(f"{str(tree.root)!r} holds no image files", EXAMPLE)


def tables(tree: Tree) -> Iterator[str]:
    """Paths of metadata tables: at the root, or at the top of split folders."""
    for path in sorted(tree.files):
        folder, _, name = path.rpartition("/")
        if name in TABLES and (not folder or folder.lower() in SPLIT_FOLDERS):
            yield path
