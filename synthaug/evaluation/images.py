"""The images of an evaluation: real training images, test images that no training has seen, synthetic images."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from synthaug.config import Config
from synthaug.data.alike import look_like, near_duplicate_groups
from synthaug.data.cache import LabelledImages
from synthaug.data.folder import ImageRecord, Scan, scan
from synthaug.data.roles import real_test_images, scan_readable, scan_synthetic, synthetic_images
from synthaug.data.run_data import RunData
from synthaug.data.split import SplitRow
from synthaug.documents import MadeFrom
from synthaug.errors import RunFailed, SynthaugError, plural, suggest
from synthaug.evaluation.lineage import Learnt, ancestors
from synthaug.progress import Progress
from synthaug.sampling.curation import Choice
from synthaug.sampling.gate import build_gate
from synthaug.sampling.gated_samples import gated_samples
from synthaug.sampling.generate import SeededGenerator
from synthaug.sampling.sources import RunSources

PER_SEED = (100, 500)
"""Bounds on the synthetic images of a class for one classifier; between them, as many as the largest class has."""
MOST_FRESH = 20_000
"""Images that are generated for an evaluation, unless one seed needs more: a minute, and 1 GB at 128 px in colour."""


@dataclass
class RealImages:
    """The images to train on and to test with, at the generator's size.

    `train_groups` and `test_groups` are group numbers; the files of the test images are `test_rows` below `test_root`.
    """

    data: RunData
    train: LabelledImages
    train_groups: npt.NDArray[np.int64]
    train_group_names: list[str]
    val: LabelledImages
    val_group_names: list[str]
    test: LabelledImages
    test_groups: npt.NDArray[np.int64]
    test_root: Path
    test_rows: Sequence[SplitRow]
    alike: int = 0
    """Test images that look like training images, or share a group with some."""
    combinations: npt.NDArray[np.int64] | None = None
    """The number of each training image's combination of the columns of `--by`, [len(train)]."""
    warnings: list[str] = field(default_factory=list)

    @property
    def config(self) -> Config:
        return self.data.config

    @property
    def targets(self) -> list[str]:
        return self.data.targets

    @property
    def classes(self) -> list[str]:
        return self.train.classes

    @property
    def test_hashes(self) -> dict[str, str]:
        """Pixel hash → path of each test image."""
        return {row.pixel_sha256: row.path for row in self.test_rows}

    @property
    def target_indices(self) -> list[int]:
        return list(self.data.target_indices.values())

    @property
    def per_seed(self) -> int:
        """The most synthetic images of a class for one classifier."""
        return int(np.clip(max(self.train.counts().values()), *PER_SEED))

    @property
    def shown(self) -> int:
        """Synthetic images of a class that are compared with real ones: one seed's, and a quarter more."""
        return -(-self.per_seed * 5 // 4)


def real_images(
    data: RunData, test: Path | None, *, every_target: bool = True, cache: Path | None, progress: Progress
) -> RealImages:
    """Load train and val, and the test images or those of another folder.

    Args:
        data: what to load.
        test: a folder of other test images; None: those of the split.
        every_target: whether each target class must have test images; a fold may lack some.
        cache: the folder of decoded images.
        progress: shows the progress bars.

    Raises:
        SynthaugError: a training image, also of a run that the weights came from, is among the test images; a target
            class has no test images; files are missing.
    """
    train_rows = data.split.of("train")
    seen = [*train_rows, *data.split.of("val")]
    before, warnings = ancestors(data.run) if data.run is not None else ([], [])
    if test is None:
        root, rows = data.folder, data.split.of("test")
        if not rows:
            raise SynthaugError(
                f"{data.name} has no held-out test images",
                "give test images with --test DIR, or use cross-validation with --folds 5",
            )
        groups = {row.group for row in seen} | {
            row.group for run in before if run.data == data.folder for row in run.rows
        }
        alike = sum(row.group in groups for row in rows)
        _refuse_seen(rows, [Learnt(data.name, data.folder, seen), *before], root)
    else:
        found, rows = _test_folder(test, data, cache, progress)
        root = found.root
        _refuse_seen(rows, [Learnt(data.name, data.folder, seen), *before], root)
        scanned = scan(data.folder, group_by=data.config.data.group_by, cache=cache, progress=progress)
        groups = {f"group {name}" for row in seen for name in row.group.split("+")}  # as `_groups` names them
        near = look_like(found, scanned, [row.path for row in seen])
        alike = sum(row.path in near or row.group in groups for row in rows)
    images = data.load(root, rows, cache, progress)
    missing = [name for name in data.targets if not images.counts()[name]]
    if missing and every_target:
        raise SynthaugError(
            f"there are no test images of the target class {missing[0]!r}", "give test images of it with --test DIR"
        )
    return RealImages(
        data=data,
        train=data.images("train", cache, progress),
        train_groups=_numbers([row.group for row in train_rows]),
        train_group_names=[row.group for row in train_rows],
        val=data.images("val", cache, progress),
        val_group_names=[row.group for row in data.split.of("val")],
        test=images,
        test_groups=_numbers([row.group for row in rows]),
        test_root=root,
        test_rows=rows,
        alike=alike,
        warnings=warnings,
    )


def _numbers(names: Sequence[str]) -> npt.NDArray[np.int64]:
    return np.unique(np.asarray(names, dtype=str), return_inverse=True)[1].reshape(-1).astype(np.int64)


def _test_folder(test: Path, data: RunData, cache: Path | None, progress: Progress) -> tuple[Scan, list[SplitRow]]:
    found = scan_readable(test, cache=cache, progress=progress)
    kept = real_test_images(found)
    if not kept:
        raise SynthaugError(f"{str(test)!r} holds no real test image", "give a folder with one folder a class")
    for image in kept:
        if image.label not in data.classes:
            raise SynthaugError(
                f"the test folder {str(test)!r} holds the class {image.label!r}, which {data.name} does not have",
                suggest(image.label, data.classes),
            )
    groups = _groups(found, data.config.data.group_by)
    return found, [SplitRow(i.path, i.pixel_sha256, i.label, groups[i.path], "test") for i in kept]


def _groups(found: Scan, group_by: str | None) -> dict[str, str]:
    """Path → name of its group: by `group_by`, else by its near-duplicates, else its own path."""
    groups = {image.path: image.path for image in found.images}
    for members in near_duplicate_groups(found):
        for member in members:
            groups[found.images[member].path] = found.images[members[0]].path
    if group_by is not None:
        for path in groups:
            if (match := re.search(group_by, path)) is not None:
                groups[path] = f"group {match.group(1)}"
    return groups


def _refuse_seen(test: Sequence[SplitRow], learnt: Sequence[Learnt], root: Path) -> None:
    """Raise if a test image below `root` has the pixels of an image that the generator was trained on."""
    hashes = {row.pixel_sha256: row.path for row in test}
    leaks = [(hashes[row.pixel_sha256], row, by) for by in learnt for row in by.rows if row.pixel_sha256 in hashes]
    if not leaks:
        return
    shown = ", ".join(
        f"{str(root / path)!r} has the pixels of {str(by.data / row.path)!r} ({row.split} of {by.name})"
        for path, row, by in leaks[:3]
    )
    more = f", and {len(leaks) - 3} more" if len(leaks) > 3 else ""
    raise SynthaugError(
        f"the training has seen {plural(len({path for path, _, _ in leaks}), 'test image')}: {shown}{more}",
        "take them out of the test folder, or out of the training folder and fit again"
        if leaks[0][2] is learnt[0]
        else "give other test images with --test DIR, or fit again with the --seed of the run that it started from: "
        "then both hold out the same images",
    )


def synthetic_folder(
    folder: Path, real: RealImages, names: Sequence[str], *, cache: Path | None, progress: Progress
) -> tuple[Path, list[ImageRecord], list[str]]:
    """Synthetic images of a folder (one folder a class, or an export of synthaug): root, images below it, warnings.

    Args:
        folder: the folder.
        real: the real images of the evaluation.
        names: the classes of the mix; images of other classes are left out.
        cache: the folder of decoded images.
        progress: shows the progress bars.

    Raises:
        SynthaugError: a class is unknown, a target class has no image, or a test image is among them.
    """
    found = scan_synthetic(folder, cache=cache, progress=progress)
    kept = synthetic_images(found)
    for image in kept:
        if image.label not in real.classes:
            raise SynthaugError(
                f"{str(folder)!r} holds the class {image.label!r}, which {real.data.name} does not have",
                suggest(image.label, real.classes),
            )
    tested = real.test_hashes
    leaks = [image for image in kept if image.pixel_sha256 in tested]
    if leaks:
        raise SynthaugError(
            f"{plural(len(leaks), 'image')} in {str(folder)!r} can be found among the test images: "
            f"{leaks[0].path!r} has the pixels of {tested[leaks[0].pixel_sha256]!r}",
            "take them out, or give other test images with --test DIR: a generator must not have seen the test images",
        )
    for name in real.targets:
        if not any(image.label == name for image in kept):
            raise SynthaugError(
                f"{str(folder)!r} has no synthetic image of the target class {name!r}",
                "put them into a folder of that name; the targets are " + ", ".join(real.targets),
            )
    warnings = []
    there = {image.label for image in kept}
    if others := sorted(there - set(names)):
        warnings.append(f"synthetic images of {', '.join(others)} are not used: these are not target classes")
    if absent := [name for name in names if name not in there]:
        warnings.append(
            f"{str(folder)!r} has no synthetic images of {', '.join(absent)}: these classes stay as they are"
        )
    copies = {row.pixel_sha256 for row in real.data.split.of("train")}
    copied = sum(image.pixel_sha256 in copies for image in kept)
    if copied:
        warnings.append(
            f"{plural(copied, 'image')} in {str(folder)!r}: exact "
            f"{'copy of a training image' if copied == 1 else 'copies of training images'}"
        )
    return found.root, [image for image in kept if image.label in names], warnings


@dataclass(frozen=True)
class Origins:
    """The images that a generator started from: row `rows[i]` of `sources` for synthetic image i."""

    sources: RunSources
    rows: npt.NDArray[np.int64]

    def counts(self, pool: LabelledImages) -> dict[str, MadeFrom]:
        """Class → how many different images stand behind its images in `pool`."""
        own = {pool.classes[k]: self.rows[pool.labels == k] for k in np.unique(pool.labels)}
        return {name: MadeFrom(images=len(rows), sources=len(np.unique(rows))) for name, rows in own.items()}


@dataclass(frozen=True)
class FreshSamples:
    """Images from a run's generator: gated ones to train classifiers on, ungated ones to judge the generator.

    `numbers` [len(gated)] are the sample indices of the gated images in their classes; `origins` what they were made
    from, None for images from noise.
    """

    gated: LabelledImages
    numbers: npt.NDArray[np.int64]
    ungated: LabelledImages
    warnings: list[str]
    origins: Origins | None = None


def fresh_samples(
    sampler: SeededGenerator, real: RealImages, names: Sequence[str], *, seeds: int, gate: bool, choice: Choice | None,
    device: str, cache: Path | None, progress: Progress,
) -> FreshSamples:  # fmt: skip
    """Generate gated images to train classifiers on, and ungated images of the target classes.

    Of each class `seeds` times `per_seed` gated images, or fewer (`MOST_FRESH`).

    Args:
        sampler: the generator.
        real: its training images, and the number of images to make.
        names: the classes of the mix.
        seeds: classifiers, each to be trained on images of its own.
        gate: reject the images that an export would reject.
        choice: decisions by hand.
        device: where the gates run.
        cache: where the classifiers of the gates are stored.
        progress: shows the progress bars.

    Raises:
        RunFailed: no image of a target class passes the gates.
    """
    count = max(min(seeds * real.per_seed, MOST_FRESH // len(names)), real.shown)
    warnings: list[str] = []
    gated: dict[str, npt.NDArray[np.uint8]] = {}
    numbers = []
    with_gate = None
    if gate:
        config = real.config.gate
        with_gate = build_gate(
            real.train, real.targets, config,
            seed=real.config.seed, groups=real.train_group_names, device=device, cache=cache, progress=progress,
        )  # fmt: skip
    for name in names:
        samples = gated_samples(sampler, with_gate, name, count, allow_short=True, choice=choice, progress=progress)
        reasons = ", ".join(f"{reason} {n}" for reason, n in samples.rejected.items())
        if not len(samples.pixels) and name in real.targets:
            raise RunFailed(
                f"no generated image of class {name!r} passes the gates (rejected: {reasons})",
                "train longer, or judge ungated images with --no-gate",
            )
        if len(samples.pixels) < count:
            warnings.append(
                f"only {len(samples.pixels)} of {count} images of {name!r} passed the gates (rejected: {reasons})"
            )
        gated[name] = samples.pixels
        numbers.append(samples.indices)
    ungated = {name: sampler.sample(name, real.per_seed) for name in real.targets}
    origins = None
    if (sources := sampler.trained.sources) is not None:
        indices = zip(names, numbers, strict=True)
        rows = [sources.images.origins(sampler.seed, sampler.class_index(name), n.tolist()) for name, n in indices]
        origins = Origins(sources, np.concatenate([part.numpy() for part in rows]))
    return FreshSamples(
        _labelled(gated, real.classes), np.concatenate(numbers), _labelled(ungated, real.classes), warnings, origins
    )


def _labelled(images: dict[str, npt.NDArray[np.uint8]], classes: list[str]) -> LabelledImages:
    return LabelledImages(
        pixels=np.concatenate(list(images.values())),
        labels=np.repeat([classes.index(name) for name in images], [len(p) for p in images.values()]).astype(np.int64),
        classes=classes,
        paths=[f"{name}/{i:06d}" for name, pixels in images.items() for i in range(len(pixels))],
    )
