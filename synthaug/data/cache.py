"""Labelled images as one uint8 array: decoded once, then memory-mapped from the cache."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from filelock import FileLock
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from synthaug.config import Fit
from synthaug.data import store
from synthaug.data.decode import (
    DECODE_VERSION,
    OVERSAMPLE,
    UnreadableImage,
    decode,
    pixel_sha256,
    quiet_decoding,
    resize,
)
from synthaug.data.parallel import in_chunks
from synthaug.data.shards import FileStatus, status
from synthaug.errors import SynthaugError, suggest
from synthaug.files import digest, digest_of_rows, replacing
from synthaug.progress import Progress, Silent

_LOCK_SECONDS = 3600
_HINT = "put the file back as it was, or fit again on the folder as it is now"


class LabelledFile(Protocol):
    """The fields of a `SplitRow` or an `ImageRecord` that `load_images` uses."""

    @property
    def path(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def pixel_sha256(self) -> str: ...


@dataclass
class LabelledImages:
    """Images of one size with their classes.

    `pixels`: uint8 [N, C, H, W]; `labels`: int64 [N], indices into `classes`; `paths`: the file of each image.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: list[str]
    paths: list[str]

    def __len__(self) -> int:
        return len(self.labels)

    def index(self, label: str | int) -> int:
        """The number of a class.

        Raises:
            SynthaugError: there is no such class.
        """
        if isinstance(label, str) and label not in self.classes:
            raise SynthaugError(f"there is no class {label!r}", suggest(label, self.classes))
        number = self.classes.index(label) if isinstance(label, str) else int(label)
        if not 0 <= number < len(self.classes):
            raise SynthaugError(f"there is no class number {number}", f"numbers go from 0 to {len(self.classes) - 1}")
        return number

    def of_class(self, label: str | int) -> NDArray[np.uint8]:
        """The pixels of one class, uint8 [n, C, H, W]."""
        return self.pixels[np.flatnonzero(self.labels == self.index(label))]

    def counts(self) -> dict[str, int]:
        """Class → images, for every class."""
        tally = np.bincount(self.labels, minlength=len(self.classes))
        return {name: int(tally[k]) for k, name in enumerate(self.classes)}

    def subset(self, indices: Sequence[int] | NDArray[np.integer] | NDArray[np.bool_]) -> LabelledImages:
        """The images at `indices` (numbers or a mask), in that order."""
        chosen = np.asarray(indices)
        chosen = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen.astype(np.int64)
        return LabelledImages(
            self.pixels[chosen], self.labels[chosen], self.classes, [self.paths[k] for k in chosen.tolist()]
        )


def load_images(
    root: Path,
    rows: Sequence[LabelledFile],
    classes: Sequence[str],
    *,
    resolution: int,
    channels: int,
    fit: Fit,
    cache: Path | None = None,
    progress: Progress = Silent(),
) -> LabelledImages:
    """Decode and resize the images of `rows`, or map what an earlier call stored.

    The stored array is found by the pixel hashes, sizes and times of its files, in order, the size and the fit.
    Changing the array in memory does not change the stored file. If it cannot be stored (no room, no permission), it is
    held in memory.

    Args:
        root: the folder that `row.path` is relative to.
        resolution: side in pixels.
        fit: see `decode.resize`.
        cache: see `store.cache_root`.

    Raises:
        SynthaugError: an image is missing, unreadable or has changed since the scan, or a label is not in `classes`.
    """
    numbers = {label: number for number, label in enumerate(classes)}
    for row in rows:
        if row.label not in numbers:
            raise SynthaugError(f"{row.path!r} has the class {row.label!r}", suggest(row.label, classes))
    labels = np.array([numbers[row.label] for row in rows], np.int64)
    shape = (len(rows), channels, resolution, resolution)
    pixels = np.zeros(shape, np.uint8)
    if rows:
        work = _Work(Path(root), rows, resolution, channels, fit, progress)
        pixels = _stored(shape, work, store.outside(Path(root), store.cache_root(cache)))
    return LabelledImages(pixels, labels, list(classes), [row.path for row in rows])


@dataclass(frozen=True)
class _Work:
    """Images to decode, with their target size and fit."""

    root: Path
    rows: Sequence[LabelledFile]
    resolution: int
    channels: int
    fit: Fit
    progress: Progress

    @property
    def key(self) -> str:
        """Changes with the files, so that an image that is gone or has changed is noticed although it was stored."""
        found = ((row, self._status(row)) for row in self.rows)
        files = digest_of_rows((row.pixel_sha256, now.st_size, now.st_mtime_ns) for row, now in found)
        return digest([DECODE_VERSION, self.resolution, self.channels, self.fit, files])

    def _status(self, row: LabelledFile) -> FileStatus:
        try:
            return status(self.root / row.path)
        except OSError as error:
            raise SynthaugError(f"the image {str(self.root / row.path)!r} is gone", _HINT) from error

    def into(self, array: NDArray[np.uint8]) -> None:
        """Fill `array` [N, C, H, W]; its memory must be shared with forked processes."""

        def fill(chunk: range) -> None:
            for k in chunk:
                array[k] = self._one(self.rows[k])

        with self.progress.task("decoding images", len(self.rows), "images") as task, quiet_decoding():
            for chunk, _ in in_chunks(fill, len(self.rows)):
                task.advance(len(chunk))

    def _one(self, row: LabelledFile) -> NDArray[np.uint8]:
        path = self.root / row.path
        reduced = OVERSAMPLE * self.resolution
        try:
            image, _, kind = decode(path, at_least=reduced)
        except UnreadableImage as error:
            raise SynthaugError(error.message, _HINT) from error
        # A JPEG decoded at reduced size has other pixels than the full image, whose pixels were hashed.
        comparable = kind not in ("JPEG", "MPO") or min(image.size) < reduced
        if comparable and pixel_sha256(image) != row.pixel_sha256:
            raise SynthaugError(f"the image {str(path)!r} has changed since it was scanned", _HINT)
        return resize(image, self.resolution, self.channels, self.fit)


def _stored(shape: tuple[int, ...], work: _Work, root: Path) -> NDArray[np.uint8]:
    file = root / store.ARRAYS / f"{work.key}.npy"
    if (mapped := _map(file, shape)) is not None:
        return mapped
    try:
        with _lock(file):
            if (mapped := _map(file, shape)) is not None:  # another process was faster
                return mapped
            if not store.make_room(root, int(np.prod(shape))):
                return _in_memory(shape, work)
            with replacing(file) as temporary:
                array = open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
                work.into(array)
                array.flush()
                del array
        mapped = _map(file, shape)
    except OSError as error:
        work.progress.warn(f"cannot store decoded images in {str(root)!r}: {error.strerror}; they are held in memory")
    return _in_memory(shape, work) if mapped is None else mapped


def _in_memory(shape: tuple[int, ...], work: _Work) -> NDArray[np.uint8]:
    size = int(np.prod(shape))
    array = np.frombuffer(mmap.mmap(-1, max(1, size)), np.uint8, size).reshape(shape)  # shared by forked processes
    work.into(array)
    return array


@contextmanager
def _lock(file: Path) -> Iterator[None]:
    """Let only one process decode the same images."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = file.with_suffix(".lock")
    try:
        with FileLock(lock, timeout=_LOCK_SECONDS):
            yield
    finally:
        lock.unlink(missing_ok=True)  # a process that waits for it finds the array, or decodes again


def _map(file: Path, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """The stored array, writable in memory only; None if it is missing or broken."""
    try:
        array: NDArray[np.uint8] = np.load(file, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if array.shape != shape or array.dtype != np.uint8:
        return None
    store.touch(file)
    return array
