"""A leak-free split into train, val and test.

Images with equal pixels, near-duplicates, mirrored, moved, turned or cropped copies, and images of one `group_by` group
are never separated. If the folder itself has train, val or test, these are kept, and such images are only reported.
"""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from synthaug.config import DataConfig
from synthaug.data.alike import members, together
from synthaug.data.folder import Scan
from synthaug.data.folds import fold_of
from synthaug.data.layout import SplitName
from synthaug.errors import SynthaugError, plural
from synthaug.files import write_text
from synthaug.parsing import ParseError, read_lines
from synthaug.progress import Progress, Silent
from synthaug.seeds import SPLIT, stream

SPLITS: tuple[SplitName, ...] = ("train", "val", "test")
MIN_TRAIN = 2
_COLUMNS = ["path", "pixel_sha256", "label", "group", "split"]


@dataclass(frozen=True, slots=True)
class SplitRow:
    """One image and its side. `split` does not separate rows of equal `group`; given folders may (`Split.warnings`)."""

    path: str
    pixel_sha256: str
    label: str
    group: str
    split: SplitName


@dataclass
class Split:
    """The images of train, val and test, in the order of `path`. `warnings` are not stored in the file."""

    rows: list[SplitRow]
    warnings: list[str] = field(default_factory=list)

    def of(self, name: SplitName) -> list[SplitRow]:
        return [row for row in self.rows if row.split == name]

    def counts(self) -> dict[str, dict[str, int]]:
        """Split → class → images; every split has every class."""
        labels = sorted({row.label for row in self.rows})
        tally = Counter((row.split, row.label) for row in self.rows)
        return {name: {label: tally[name, label] for label in labels} for name in SPLITS}

    def write(self, path: Path) -> None:
        """Write `split.csv`: path, pixel hash, class, group, split."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows((r.path, r.pixel_sha256, r.label, r.group, r.split) for r in self.rows)
        write_text(path, text.getvalue())

    @classmethod
    def read(cls, path: Path) -> Split:
        """Read a `split.csv`.

        Raises:
            SynthaugError: the file is missing or damaged.
        """
        hint = "give a run that `synthaug fit` made, unchanged"
        rows = []
        reader = csv.reader(read_lines(path, newline=""))
        try:
            if next(reader, None) != _COLUMNS:
                raise SynthaugError(f"{str(path)!r} does not start with the columns {', '.join(_COLUMNS)}", hint)
            for cells in reader:
                side = next((name for name in SPLITS if cells[-1:] == [name]), None)
                if len(cells) != len(_COLUMNS) or side is None:
                    raise SynthaugError(f"{str(path)!r} line {reader.line_num} is not a row of a split", hint)
                rows.append(SplitRow(cells[0], cells[1], cells[2], cells[3], side))
        except (OSError, ParseError, csv.Error) as error:
            reason = error.strerror if isinstance(error, OSError) else f"it {error}"
            raise SynthaugError(f"cannot read {str(path)!r}: {reason}", hint) from error
        return cls(rows)


def split(scan: Scan, config: DataConfig, seed: int, progress: Progress = Silent()) -> Split:
    """Divide the images of a scan, stratified by class, without dividing a group.

    Each class gives `test_fraction` of its images to test and `val_fraction` of the rest to val. A class with fewer
    than `min_images_for_val` left gives none to val, and each class keeps two images for training. If the folder has
    train and test, val is taken from train; if it has train and val, test is. With `folds`, one fold is test, the
    folder's own splits are ignored, and val is taken from the other folds.

    Raises:
        SynthaugError: the folder has val or test but no train, or too few groups for the folds.
    """
    given = {image.split for image in scan.images if image.split is not None}
    labels = [image.label for image in scan.images]
    if given and "train" not in given:
        message = f"{str(scan.root)!r} holds {' and '.join(sorted(given))} but no train"
        raise SynthaugError(message, "give the folder above it, or a folder of class folders")
    component = together(scan, progress)
    groups = members(component)
    fixed: dict[int, SplitName]
    if config.folds:
        folds = fold_of(labels, component, config.folds, seed)
        fixed, given = {int(k): "test" for k in np.flatnonzero(folds == config.fold)}, {"test"}
    else:
        fixed = {
            k: image.split for k, image in enumerate(scan.images) if image.split is not None and image.split != "train"
        }
    movable = [group for group in groups if not any(k in fixed for k in group)]
    moved: dict[int, SplitName] = {}
    rng = stream(seed, SPLIT)
    remaining = movable
    for name in ("test", "val"):
        if name in given:
            continue
        pool = Counter(labels[k] for group in remaining for k in group)
        all_train = Counter(labels[k] for k in range(len(labels)) if k not in fixed and k not in moved)
        wanted = {label: _wanted(all_train[label], name, config) for label in pool}
        taken = _draw(remaining, labels, wanted, all_train, rng)
        moved.update({k: name for group in taken for k in group})
        chosen = {group[0] for group in taken}
        remaining = [group for group in remaining if group[0] not in chosen]
    names = _group_names(scan, groups)
    rows = [
        SplitRow(image.path, image.pixel_sha256, image.label, names[k], fixed.get(k) or moved.get(k) or "train")
        for k, image in enumerate(scan.images)
    ]
    result = Split(sorted(rows, key=lambda row: row.path))
    tested = not config.folds and config.test_fraction > 0  # a fold need not hold every class
    result.warnings = [*_left_out(scan), *scan.warnings, *_warnings(result, tested)]
    return result


def _wanted(images: int, name: str, config: DataConfig) -> int:
    """How many of a class's `images` go to test, or to val."""
    fraction = config.test_fraction if name == "test" else config.val_fraction
    if fraction == 0 or images <= MIN_TRAIN or (name == "val" and images < config.min_images_for_val):
        return 0
    return min(max(1, round(fraction * images)), images - MIN_TRAIN)


def _draw(
    groups: Sequence[list[int]],
    labels: Sequence[str],
    wanted: dict[str, int],
    available: Counter[str],
    rng: np.random.Generator,
) -> list[list[int]]:
    """Choose whole groups, in random order, with at most `wanted` images of each class.

    If all groups of a class are too large, its smallest one is chosen if enough images are left for training: a few
    images too many are better than a class without test images.
    """
    left = dict(wanted)
    chosen: list[list[int]] = []
    too_large: list[tuple[list[int], Counter[str]]] = []
    for position in rng.permutation(len(groups)).tolist():
        tally = Counter(labels[k] for k in groups[position])
        if all(count <= left[label] for label, count in tally.items()):
            chosen.append(groups[position])
            for label, count in tally.items():
                left[label] -= count
        else:
            too_large.append((groups[position], tally))
    kept = Counter(available)
    for group in chosen:
        kept.subtract(labels[k] for k in group)
    for label in sorted(wanted):
        if wanted[label] == 0 or left[label] < wanted[label]:
            continue
        fits = [
            (len(group), position)
            for position, (group, tally) in enumerate(too_large)
            if label in tally and all(kept[other] - n >= max(MIN_TRAIN, kept[other] // 2) for other, n in tally.items())
        ]
        if fits:
            group, tally = too_large.pop(min(fits)[1])
            chosen.append(group)
            kept.subtract(tally)
            for other, count in tally.items():
                left[other] -= count
    return chosen


def _group_names(scan: Scan, groups: Iterable[list[int]]) -> list[str]:
    """A name for each image's group: the name from `group_by`, or else the start of a pixel hash."""
    names = [""] * len(scan.images)
    for group in groups:
        given = sorted({name for k in group if (name := scan.images[k].group) is not None})
        name = "+".join(given) if given else min(scan.images[k].pixel_sha256 for k in group)[:16]
        for k in group:
            names[k] = name
    return names


def _left_out(scan: Scan) -> list[str]:
    if not scan.unreadable:
        return []
    first = scan.unreadable[0]
    files = plural(len(scan.unreadable), "unreadable file")
    return [f"left out {files}, such as {first.path!r}: {first.reason}"]


def _warnings(result: Split, tested: bool) -> list[str]:
    lines = []
    sides: dict[str, set[str]] = defaultdict(set)
    pixels: dict[str, set[str]] = defaultdict(set)
    labels_of: dict[str, set[str]] = defaultdict(set)
    for row in result.rows:
        sides[row.group].add(row.split)
        pixels[row.pixel_sha256].add(row.split)
        labels_of[row.pixel_sha256].add(row.label)
    for side in ("test", "val"):
        equal = [r for r in result.of(side) if "train" in pixels[r.pixel_sha256]]
        alike = [r for r in result.of(side) if "train" in sides[r.group] and "train" not in pixels[r.pixel_sha256]]
        if equal:
            images = plural(len(equal), f"{side} image has", f"{side} images have")
            lines.append(f"{images} the same pixels as a training image, such as {equal[0].path!r}")
        if alike:
            images = plural(len(alike), f"{side} image looks like, or shares", f"{side} images look like, or share")
            lines.append(f"{images} a group with, a training image, such as {alike[0].path!r}")
    double = sum(len(labels) > 1 for labels in labels_of.values())
    if double:
        lines.append(f"{plural(double, 'image is', 'images are')} in more than one class")
    without = [label for label, count in result.counts()["test"].items() if count == 0]
    if without and tested:
        lines.append(f"no test image for {_listed(without)}: too few images, or they cannot be divided")
    return lines


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:8])
    return shown + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def check_trainable(scan: Scan, split: Split) -> None:
    """Check that a class-conditional generator can be trained on a folder.

    Raises:
        SynthaugError: fewer than two classes, or classes without a readable image or with fewer than two training
            images (all are named at once).
    """
    if scan.empty:
        listed = "; ".join(f"{label!r}: {reason}" for label, reason in list(scan.empty.items())[:8])
        raise SynthaugError(
            f"{len(scan.empty)} of {len(scan.empty) + len(scan.classes)} classes have no readable image: {listed}",
            "add images to the class, or remove its folder",
        )
    if len(scan.classes) < 2:
        held = f"one class only: {scan.classes[0]!r}" if scan.classes else "no class"
        raise SynthaugError(
            f"{str(scan.root)!r} holds {held}",
            "at least two classes are needed: put the images of each into a folder of its own",
        )
    train = split.counts()["train"]
    if few := {label: train.get(label, 0) for label in scan.classes if train.get(label, 0) < MIN_TRAIN}:
        listed = ", ".join(f"{label!r} has {count}" for label, count in few.items())
        raise SynthaugError(
            f"too few training images: {listed}",
            f"each class needs at least {MIN_TRAIN} images to train on; add some or remove the class",
        )
