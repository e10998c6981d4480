"""Which images of a folder are real, which are synthetic, and which were held out from training.

If a metadata table marks an image as synthetic or real, as in our exports, the mark decides. An image without a mark is
synthetic in a folder that was given as synthetic, and real in any other folder.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from synthaug.data.folder import ImageRecord, Scan, scan
from synthaug.errors import plural
from synthaug.progress import Progress


def is_export(folder: Path) -> bool:
    """Whether a folder is one of our exports: its images are in `train/`, with a metadata table."""
    return (folder / "train" / "metadata.jsonl").is_file()


def scan_synthetic(folder: Path, *, cache: Path | None, progress: Progress) -> Scan:
    """Scan a folder of synthetic images. In an export they are in `train/`, or in Parquet files of that split."""
    if not is_export(folder) or not (folder / "data").is_dir():
        return scan_readable(folder / "train" if is_export(folder) else folder, cache=cache, progress=progress)
    found = scan_readable(folder / "data", cache=cache, progress=progress)
    rows = [k for k, image in enumerate(found.images) if image.split == "train"]
    thumbnails = None if found.thumbnails is None else found.thumbnails[rows]
    return replace(found, images=[found.images[k] for k in rows], thumbnails=thumbnails)


def scan_readable(folder: Path, *, cache: Path | None, progress: Progress) -> Scan:
    """Scan a folder, and warn of files that cannot be read."""
    found = scan(folder, cache=cache, progress=progress)
    if found.unreadable:
        progress.warn(f"left out {plural(len(found.unreadable), 'unreadable file')} in {str(folder)!r}")
    return found


def synthetic_images(found: Scan) -> list[ImageRecord]:
    """The images of a synthetic folder, without those that are marked as real."""
    return [image for image in found.images if image.synthetic is not False]


def marked_real(found: Scan) -> list[ImageRecord]:
    """The images that a metadata table marks as real. In an export, they are the generator's training images."""
    return [image for image in found.images if image.synthetic is False]


def real_images(found: Scan) -> list[ImageRecord]:
    """The images of a real folder, without those that are marked as synthetic."""
    return [image for image in found.images if image.synthetic is not True]


def real_test_images(found: Scan) -> list[ImageRecord]:
    """The real images of a test folder: those in `test/` and those in no split."""
    return [image for image in real_images(found) if image.split in (None, "test")]


def held_out_images(found: Scan) -> list[ImageRecord]:
    """The real images in `test/`; if there are none, those in `val/`; if there are none, all."""
    real = real_images(found)
    test, val = ([image for image in real if image.split == side] for side in ("test", "val"))
    return test or val or real
