"""Scan a folder of labelled images: list, decode and hash its files.

The results are cached by path, size, time and inode, so the next scan decodes only new and changed files.
"""

from __future__ import annotations

import gc
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synthaug.data import store
from synthaug.data.class_names import check_class_names
from synthaug.data.duplicates import LOOK
from synthaug.data.inputs import find_images
from synthaug.data.layout import EXAMPLE, Found, Layout, SplitName, walk
from synthaug.data.reading import Read, read_all
from synthaug.documents import Unreadable
from synthaug.errors import SynthaugError, plural
from synthaug.files import digest_of_rows
from synthaug.progress import Progress, Silent


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One readable image.

    `path` is relative to the scan's root, with forward slashes. `width`, `height` and `pixel_sha256` are of the upright
    image; `mode` and `format` are of the file. `synthetic` is the value in a metadata table, if there is one.
    `coloured` is false if all pixels are grey.
    """

    path: str
    label: str
    split: SplitName | None
    width: int
    height: int
    mode: str
    format: str
    pixel_sha256: str
    group: str | None
    file_bytes: int
    synthetic: bool | None = None
    coloured: bool = True

    @property
    def trains(self) -> bool:
        """Whether it is not set apart for val or test."""
        return self.split in (None, "train")


@dataclass
class Scan:
    """The readable images of a folder, in the order of their `path`.

    `empty` maps each class without a readable image to the reason; such classes are in neither `classes` nor `counts`.
    `thumbnails` (uint8 [N, 1056], see `duplicates.make_thumbnails`) goes with `images`.
    `alike` and `together` are what `data.alike` finds, once it was asked for.
    """

    root: Path
    layout: Layout
    images: list[ImageRecord]
    unreadable: list[Unreadable]
    ignored: list[str]
    empty: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    thumbnails: NDArray[np.uint8] | None = None
    alike: NDArray[np.intp] | None = None
    together: NDArray[np.intp] | None = None

    @property
    def classes(self) -> list[str]:
        """The classes that have a readable image, sorted."""
        return sorted(self.counts)

    @cached_property
    def counts(self) -> dict[str, int]:
        """Class → readable images, in all splits together."""
        return _counted(self.images)

    @property
    def training(self) -> list[ImageRecord]:
        """The images that are not set apart for val or test; all, if none is left."""
        return [image for image in self.images if image.trains] or self.images

    @cached_property
    def training_counts(self) -> dict[str, int]:
        """Class → `training` images. A test folder with equal classes must not hide which classes are rare."""
        return _counted(self.training)

    @property
    def channels(self) -> int:
        """1 if the pixels of all images are grey, else 3. The files' modes do not matter."""
        return 3 if any(image.coloured for image in self.images) else 1

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over path, class, split and pixels of every readable image."""
        return digest_of_rows((i.path, i.label, i.split or "", i.pixel_sha256) for i in self.images)


def _counted(images: Iterable[ImageRecord]) -> dict[str, int]:
    return dict(sorted(Counter(image.label for image in images).items()))


@contextmanager
def _no_collection() -> Iterator[None]:
    """Pause the garbage collector: a scan makes a hundred thousand objects and keeps all of them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_no_collection()
def scan(
    root: Path,
    *,
    group_by: str | None = None,
    strict: bool = False,
    cache: Path | None = None,
    progress: Progress = Silent(),
) -> Scan:
    """List and decode every labelled image of a folder.

    Labels come from shards, from `metadata.jsonl|csv` with a label column, or from folder names: `inputs.find_images`.
    Unreadable files are listed with a reason and left out. Nothing is written into `root`.

    Args:
        group_by: regular expression that is searched in an image's path; its first group is the name of the group.
        strict: make any unreadable file an error.
        cache: see `store.cache_root`.

    Raises:
        SynthaugError: no such folder, no readable labelled image, a bad label or expression, or `strict`.
    """
    root = Path(root)
    find_group = _group_finder(group_by)
    tree = walk(root)
    place = store.outside(tree.root, store.cache_root(cache)) / store.SCANS
    found = find_images(tree)
    check_class_names(dict.fromkeys([*(entry.label for entry in found.entries), *found.empty]))
    result = _assemble(tree.root, found, read_all(tree.root, found.entries, place, progress), find_group)
    if group_by is not None and result.images and all(image.group is None for image in result.images):
        example = f"paths look like {result.images[0].path!r}"
        raise SynthaugError(f"the group expression {group_by!r} matches no path", example)
    _check(result, len(found.entries), strict)
    return result


def _group_finder(group_by: str | None) -> Callable[[str], str | None]:
    if group_by is None:
        return lambda path: None
    try:
        pattern = re.compile(group_by)
    except re.error as error:
        raise SynthaugError(
            f"{group_by!r} is not a regular expression: {error}", r"write it like 'patient(\d+)'"
        ) from error
    if pattern.groups < 1:
        raise SynthaugError(
            f"the group expression {group_by!r} has no group", r"put parentheses around the name, as in 'patient(\d+)'"
        )

    def find(path: str) -> str | None:
        match = pattern.search(path)
        return match.group(1) if match else None

    return find


def _assemble(root: Path, found: Found, read: Read, find_group: Callable[[str], str | None]) -> Scan:
    images = [
        ImageRecord(
            path=entry.path,
            label=entry.label,
            split=entry.split,
            width=file.width,
            height=file.height,
            mode=file.mode,
            format=file.format,
            pixel_sha256=file.pixel_sha256,
            group=find_group(entry.path),
            file_bytes=entry.status.st_size,
            synthetic=entry.synthetic,
            coloured=file.coloured,
        )
        for entry, file in zip(read.entries, read.infos, strict=True)
    ]
    unreadable = [*found.unreadable, *(Unreadable(path=path, reason=reason) for path, reason in read.failures.items())]
    result = Scan(
        root=root,
        layout=found.layout,
        images=images,
        unreadable=sorted(unreadable, key=lambda u: u.path),
        ignored=sorted(found.ignored),
        empty=dict(found.empty),
        thumbnails=read.thumbnails,
    )
    tried = Counter(entry.label for entry in found.entries)
    for label in sorted(set(tried) - set(result.counts)):
        none = "its only image file cannot be read"
        result.empty[label] = none if tried[label] == 1 else f"none of its {tried[label]} image files can be read"
    result.warnings = _warnings(result)
    return result


def _warnings(result: Scan) -> list[str]:
    lines = []
    deep = [k for k, image in enumerate(result.images) if image.mode.startswith("I")]
    if deep and result.thumbnails is not None and result.thumbnails[deep, : LOOK * LOOK].max() < 32:
        lines.append(
            f"only the lowest 13 bits are used in {plural(len(deep), '16-bit image')}, which would be nearly black "
            "with 8 bits: spread their values over the full range"
        )
    synthetic = sum(image.synthetic is True for image in result.images)
    if synthetic:
        lines.append(
            f"the metadata table marks {synthetic} of {len(result.images)} images as synthetic; "
            "these are used as real images, too"
        )
    return lines


def _check(result: Scan, tried: int, strict: bool) -> None:
    root, unreadable = str(result.root), len(result.unreadable)
    first = "".join(f"the first: {u.path!r} ({u.reason})" for u in result.unreadable[:1])
    if strict and unreadable:
        raise SynthaugError(
            f"{plural(unreadable, 'unreadable file')} in {root!r}, {first}",
            "repair or remove them, or leave out --strict",
        )
    if not result.images and unreadable:
        raise SynthaugError(
            f"none of the {max(tried, unreadable)} files in {root!r} can be read as an image, {first}",
            "check that they open in an image viewer",
        )
    if not result.images:
        label, reason = next(iter(result.empty.items()), ("", ""))
        raise SynthaugError(
            f"{root!r} holds no labelled image" + (f": class {label!r}: {reason}" if label else ""), EXAMPLE
        )
