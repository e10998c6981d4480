"""Decode once: labelled images as one memory-mapped uint8 array, kept in the cache by content and geometry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from filelock import FileLock
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from synthaug.config import Fit
from synthaug.data import store
from synthaug.data.ahead import Ahead, Geometry, shared
from synthaug.data.decode import (
    DECODE_VERSION,
    OVERSAMPLE,
    UnreadableImage,
    decode,
    pixel_sha256,
    quiet_decoding,
    resize,
)
from synthaug.data.folder import scan
from synthaug.data.parallel import in_chunks
from synthaug.errors import SynthaugError, suggest
from synthaug.files import digest, replacing
from synthaug.progress import Progress, Silent

_LOCK_SECONDS = 3600


class LabelledFile(Protocol):
    """What `load_images` needs of a row: a `SplitRow` or an `ImageRecord`."""

    @property
    def path(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def pixel_sha256(self) -> str: ...


@dataclass
class LabelledImages:
    """Images of one size with their classes.

    `pixels`: uint8 [N, C, H, W]; `labels`: int64 [N], indices into `classes`; `paths`: where each came from.
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
    ahead: Ahead | None = None,
) -> LabelledImages:
    """Decode and resize the images of `rows`, or map what an earlier call stored.

    The array is keyed by the pixel hashes of its rows, in order, and by the geometry. Changing it in memory does not
    change the stored file. Where it cannot be stored (no room, no permission) it is held in memory.

    Args:
        root: the folder that `row.path` is relative to.
        rows: which images.
        classes: the classes; `labels` are indices into it.
        resolution: side in pixels.
        channels: 1 or 3.
        fit: see `decode.resize`.
        cache: where to store (default: `store.cache_root`).
        progress: where to report.
        ahead: what the scan has decoded already.

    Raises:
        SynthaugError: an image is gone, unreadable or no longer the one that was scanned; a label not in `classes`.
    """
    numbers = {label: number for number, label in enumerate(classes)}
    for row in rows:
        if row.label not in numbers:
            raise SynthaugError(f"{row.path!r} has the class {row.label!r}", suggest(row.label, classes))
    labels = np.array([numbers[row.label] for row in rows], np.int64)
    shape = (len(rows), channels, resolution, resolution)
    if ahead is not None and ahead.geometry != Geometry(resolution, fit):
        ahead = None
    work = _Work(Path(root), rows, resolution, channels, fit, progress, ahead)
    pixels = (
        _stored(shape, work, store.outside(Path(root), store.cache_root(cache))) if rows else np.zeros(shape, np.uint8)
    )
    return LabelledImages(pixels, labels, list(classes), [row.path for row in rows])


@dataclass(frozen=True)
class _Work:
    """What is to be decoded."""

    root: Path
    rows: Sequence[LabelledFile]
    resolution: int
    channels: int
    fit: Fit
    progress: Progress
    ahead: Ahead | None

    @property
    def key(self) -> str:
        what = [DECODE_VERSION, self.resolution, self.channels, self.fit, [row.pixel_sha256 for row in self.rows]]
        return digest(what)

    def into(self, array: NDArray[np.uint8]) -> None:
        """Fill `array` [N, C, H, W], whose memory processes share."""
        missing = []
        for k, row in enumerate(self.rows):
            known = self.ahead.find(row.path, row.pixel_sha256, self.channels) if self.ahead is not None else None
            if self.ahead is None or known is None:
                missing.append(k)
            else:
                array[k] = self.ahead.pixels[known, : self.channels]
        if not missing:
            return

        def fill(chunk: range) -> None:
            for i in chunk:
                array[missing[i]] = self._one(self.rows[missing[i]])

        with self.progress.task("decoding images", len(missing), "images") as task, quiet_decoding():
            for chunk, _ in in_chunks(fill, len(missing)):
                task.advance(len(chunk))

    def _one(self, row: LabelledFile) -> NDArray[np.uint8]:
        path = self.root / row.path
        if not path.is_file():
            raise SynthaugError(
                f"the image {str(path)!r} is gone", "put it back, or fit again on the folder as it is now"
            )
        reduced = OVERSAMPLE * self.resolution
        try:
            image, _, kind = decode(path, at_least=reduced)
        except UnreadableImage as error:
            raise SynthaugError(
                error.message, "put the file back as it was, or fit again on the folder as it is now"
            ) from error
        # A JPEG decoded at reduced size has other pixels than those that were hashed; everything else is compared.
        comparable = kind not in ("JPEG", "MPO") or min(image.size) < reduced
        if comparable and pixel_sha256(image) != row.pixel_sha256:
            raise SynthaugError(
                f"the image {str(path)!r} has changed since it was scanned", "fit again on the folder as it is now"
            )
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
        work.progress.warn(
            f"decoded images cannot be stored in {str(root)!r}: {error.strerror}; they are held in memory"
        )
    return _in_memory(shape, work) if mapped is None else mapped


def _in_memory(shape: tuple[int, ...], work: _Work) -> NDArray[np.uint8]:
    array = shared(shape)
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
        lock.unlink(missing_ok=True)  # who still waits on it then finds the array, or decodes a second time


def _map(file: Path, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """The stored array, writable in memory only; None where it is missing or broken."""
    try:
        array: NDArray[np.uint8] = np.load(file, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if array.shape != shape or array.dtype != np.uint8:
        return None
    store.touch(file)
    return array


def load_folder(
    root: Path,
    classes: Sequence[str] | None,
    *,
    resolution: int,
    channels: int,
    fit: Fit,
    only: Literal["all", "real", "synthetic"] = "all",
    cache: Path | None = None,
    progress: Progress = Silent(),
) -> LabelledImages:
    """Load any folder of class folders (or with a metadata table): `--test DIR`, `--synthetic DIR`, `check DIR`.

    Args:
        root: the folder. An export of ours may be given as it is or by its `train/`.
        classes: the classes to expect, in order; None: those of the folder. They need not all occur.
        resolution: side in pixels.
        channels: 1 or 3.
        fit: see `decode.resize`.
        only: leave out images that a metadata table marks as synthetic, or as real; unmarked images stay.
        cache: where to store.
        progress: where to report.

    Raises:
        SynthaugError: as `scan`; a class of the folder is not in `classes`; the folder holds several splits.
    """
    found = scan(Path(root), cache=cache, progress=progress, geometry=Geometry(resolution, fit))
    splits = sorted({image.split for image in found.images if image.split is not None})
    if len(splits) > 1:
        raise SynthaugError(
            f"{str(root)!r} holds several splits: {', '.join(splits)}",
            f"give one of them, such as {str(Path(root) / splits[0])!r}",
        )
    if classes is not None:
        for label in found.classes:
            if label not in classes:
                raise SynthaugError(
                    f"{str(root)!r} holds the class {label!r}, which is not one of the classes asked for",
                    suggest(label, classes),
                )
    unwanted = {"all": None, "real": True, "synthetic": False}[only]
    rows = [image for image in found.images if image.synthetic is None or image.synthetic is not unwanted]
    if not rows:
        raise SynthaugError(f"{str(root)!r} holds no {only} image", "check which folder was meant")
    if found.unreadable:
        progress.warn(f"{len(found.unreadable)} files in {str(root)!r} cannot be read and are left out")
    return load_images(
        found.root, rows, found.classes if classes is None else classes,
        resolution=resolution, channels=channels, fit=fit, cache=cache, progress=progress, ahead=found.ahead,
    )  # fmt: skip
