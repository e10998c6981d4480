"""The real images of an export: found in the data folder, checked against the split, copied or linked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthaug.data.cache import LabelledFile
from synthaug.data.decode import decode_bytes, file_bytes, pixel_sha256, quiet_decoding
from synthaug.data.shards import status
from synthaug.errors import SynthaugError, shell_command
from synthaug.exporters.looks import Look, Tables, read_look
from synthaug.exporters.manifest import NO_TEXT, MetadataRow
from synthaug.files import digest
from synthaug.progress import Progress, Task
from synthaug.seeds import subset_order

_BATCH = 256


@dataclass(frozen=True)
class RealImage:
    """One verified real image: its path, the look of its file, and the file's hash."""

    row: LabelledFile
    path: Path
    look: Look
    sha256: str


def locate(root: Path, row: LabelledFile) -> Path:
    """The path of a split's image below `root`, which must be resolved.

    Raises:
        SynthaugError: the path leads out of the data folder, or there is no such file.
    """
    path = (root / row.path).resolve()
    if not path.is_relative_to(root):
        raise SynthaugError(
            f"the image {row.path!r} of the run's split is outside of {str(root)!r}",
            "train again on a folder that holds its images",
        )
    try:
        status(path)
    except OSError as error:
        raise SynthaugError(
            f"the image {row.path!r} is missing from {str(root)!r} since the run was trained",
            f"put it back, or train again: {shell_command('fit', root)}",
        ) from error
    return path


def file_size(root: Path, row: LabelledFile) -> int:
    """The bytes of a split's image; see `locate`."""
    return status(locate(root, row)).st_size


def read(root: Path, rows: Sequence[LabelledFile], tables: Tables, task: Task, threads: int) -> Iterator[RealImage]:
    """Read and check the images of `rows` in their order; JPEG tables found are added to `tables`.

    Raises:
        SynthaugError: an image is missing, unreadable, or has other pixels than when the run was trained.
    """

    def one(row: LabelledFile) -> RealImage:
        path = locate(root, row)
        data = file_bytes(path)
        if pixel_sha256(decode_bytes(data, path)[0]) != row.pixel_sha256:
            raise SynthaugError(
                f"the image {str(path)!r} has changed since the run was trained",
                f"restore the file, or train again: {shell_command('fit', root)}",
            )
        return RealImage(row, path, read_look(data, path.suffix, tables), digest(data))

    with quiet_decoding(), ThreadPoolExecutor(threads) as pool:
        for start in range(0, len(rows), _BATCH):  # in batches: a failure stops soon, and memory stays flat
            for image in pool.map(one, rows[start : start + _BATCH]):
                task.advance()
                yield image


def verify(root: Path, rows: Sequence[LabelledFile], name: str, progress: Progress) -> None:
    """Compare images or maps below `root` with their hashes; `name` is for the progress.

    Raises:
        SynthaugError: as `read`.
    """
    with progress.task(name, len(rows), "images") as task:
        for _ in read(root.resolve(), rows, {}, task, threads=4):
            pass


def chosen(images: Sequence[RealImage], keep: int, seed: int) -> list[RealImage]:
    """At most `keep` images, the same random ones each time, in the order of their paths."""
    if keep >= len(images):
        return list(images)
    drawn = sorted(images, key=lambda image: subset_order(seed, image.row.path))[:keep]
    return sorted(drawn, key=lambda image: image.row.path)


def place(images: Sequence[RealImage], names: Sequence[str], folder: Path, *, link: bool) -> bool:
    """Copy images byte for byte, or hard-link them; return whether every requested link could be made."""
    folder.mkdir(parents=True, exist_ok=True)
    linked = True
    for image, name in zip(images, names, strict=True):
        target = folder / name
        target.unlink(missing_ok=True)
        if link:
            try:
                os.link(image.path, target)
                continue
            except OSError:  # another file system, one that has no links, or an image in a shard
                linked = False
        target.write_bytes(file_bytes(image.path))
    return linked


def rows(
    images: Sequence[RealImage], names: Sequence[str], label: str, class_index: int, gate: Mapping[str, Any],
    conditions: Mapping[str, str],
) -> list[dict[str, Any]]:  # fmt: skip
    """The rows of `metadata.jsonl`; `gate` is the value of that column for real images, `conditions` of each path."""
    return [
        vars(
            MetadataRow(
                file_name=f"{label}/{name}",
                label=label,
                synthetic=False,
                width=image.look.width,
                height=image.look.height,
                sha256=image.sha256,
                pixel_sha256=image.row.pixel_sha256,
                class_index=class_index,
                origin_path=image.row.path,
                conditions=conditions.get(image.row.path, NO_TEXT),
                gate=gate,
            )
        )
        for image, name in zip(images, names, strict=True)
    ]
