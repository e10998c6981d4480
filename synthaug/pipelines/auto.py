"""`--recipe auto`: a configuration chosen from the images and the device, with a reason for each choice.

At 32 px on a CPU it chooses what did best in docs/science/generators.md. Larger images and GPUs were not measured
there: those choices follow the papers, as their reasons state.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from synthaug.budget import parse_budget
from synthaug.config import AUTO, RESOLUTIONS, Config, Resolved, resolve
from synthaug.data.alike import near_and_named
from synthaug.data.fetched import local_folder
from synthaug.data.folder import ImageRecord, Scan, scan
from synthaug.data.orientation import MirrorTest, mirror_test
from synthaug.data.series import Series, find_series
from synthaug.progress import Progress
from synthaug.requests import FitRequest

MANY = 2000
"""Images a class from which mild augmentation is enough (2006.10738, table 3: gains shrink with more data)."""
LARGEST_ON_CPU = 32
BATCH = 32
LARGEST_AT_ONCE = 128
"""Side up to which a GPU takes a whole batch at once; beyond, micro-batches."""
IMAGES_A_SECOND = 250
"""On one core, 32 px, width 48; measured on one kind of machine (docs/performance.md)."""
LONGEST = 30
"""Minutes of training that `inspect` proposes, and that `run` begins without being asked for, at most."""
Choices = dict[str, tuple[Any, str]]


def typical_side(images: Iterable[ImageRecord]) -> float:
    """The median of the images' shorter sides, in pixels."""
    return median(min(image.width, image.height) for image in images)


@dataclass(frozen=True)
class DataSummary:
    """The properties of images and device that the choices depend on."""

    side: float  # `typical_side`
    channels: int
    counts: Mapping[str, int]  # class → images that are not set apart for val or test
    gpu: bool
    series: Series | None = None
    mirror_test: MirrorTest | None = None

    @classmethod
    def of(cls, scanned: Scan, device: str) -> DataSummary:
        from synthaug.device import resolve_device  # imports torch, which `inspect` must not

        gpu, series = resolve_device(device).type != "cpu", series_of(scanned)
        mirrored = mirror_test_of(scanned, series)
        return cls(typical_side(scanned.images), scanned.channels, scanned.training_counts, gpu, series, mirrored)


def choose(data: DataSummary, resolution: int | None = None) -> Choices:
    """Dotted key → value and the reason for it; for the `resolution` that the user gave, if any."""
    chosen: Choices = {}
    if resolution is None:
        resolution, why = _resolution(data)
        chosen = {"data.resolution": (resolution, why)}
    chosen |= _networks(data, resolution)
    chosen |= _game(str(chosen["model.family"][0]), resolution)
    chosen |= _mirrored(data)
    chosen |= _augmentation(data, resolution)
    chosen |= _length(data, resolution)
    return chosen


def first_budget(chosen: Choices, resolution: int) -> tuple[str, str]:
    """A budget for a first training with these choices on this machine's CPU, and what it rests on."""
    budget = str(chosen["training.budget"][0])
    _, kimg = parse_budget(budget)
    assert kimg is not None
    minutes = _minutes(kimg, resolution)
    guess = f"about {minutes:,.0f} minutes on this CPU, as a guess: --dry-run measures it"
    return (budget, guess) if minutes <= LONGEST else (f"{LONGEST}min", f"{budget} would take {guess}")


def _resolution(data: DataSummary) -> tuple[int, str]:
    images = f"images are {data.side:g} px (median of the shorter side)"
    fits = max((side for side in RESOLUTIONS if side <= data.side * 1.25), default=16)
    if data.gpu or fits <= LARGEST_ON_CPU:
        return fits, images
    return LARGEST_ON_CPU, f"{images}, but a CPU needs hours above 32 px; if you have them: --resolution 64"


def _networks(data: DataSummary, resolution: int) -> Choices:
    if data.gpu and resolution >= 64:
        return {
            "model.family": ("stylegan2", "the best family at an equal number of images, if the time does not matter"),
            "model.z_dim": (256, "also the size of the style"),
            "model.embed_dim": (256, "as large as z"),
            "model.width": (64, "a GPU can afford more than a CPU"),
            "model.discriminator_width": (64, "as wide as the generator"),
        }
    width = 64 if data.gpu else 48
    speed = "a GPU can afford more" if data.gpu else "twice the width costs four times the time"
    return {
        "model.family": ("dcgan", f"the best family in equal time at {min(resolution, 32)} px, and a fast one"),
        "model.width": (width, speed),
        "model.discriminator_width": (width, "as wide as the generator"),
    }


def _game(family: str, resolution: int) -> Choices:
    chosen: Choices = {
        "training.batch_size": (BATCH, "twice as many updates for the same images as with 64"),
        "training.balance": (1.0, "every class is drawn equally often, because the rare ones matter most"),
    }
    if family == "dcgan":
        return chosen | {"training.objective": ("hinge", "no other loss was better in equal time")}
    chosen |= {
        "training.objective": ("non-saturating", "as in the paper"),
        "training.regularizers": (
            {"r1": float(f"{0.0002 * resolution**2 / BATCH:.2g}")},
            ".0002 · side² / batch (2006.06676)",
        ),
        "training.generator_lr": (0.0025, "high, because layers have equalised learning rates"),
        "training.discriminator_lr": (0.0025, "the same rate for both networks"),
    }
    if resolution > LARGEST_AT_ONCE:
        reason = "the same training as with the whole batch at once, in less memory"
        chosen["training.micro_batch_size"] = (BATCH // 4, reason)
    return chosen


def _mirrored(data: DataSummary) -> Choices:
    return {"training.flip": mirroring(data.mirror_test)}


def series_of(scanned: Scan) -> Series | None:
    """The series that file names show and images confirm; None also if the user named groups."""
    if scanned.thumbnails is None or any(image.group is not None for image in scanned.images):
        return None
    return find_series([i.path for i in scanned.images], [i.label for i in scanned.images], scanned.thumbnails)


def mirror_test_of(scanned: Scan, series: Series | None) -> MirrorTest | None:
    """Whether the classes survive mirroring, measured on the images that are not set apart for val or test.

    Images that are alike, of one group or of one of the `series` are not divided between training and test.
    """
    rows = np.flatnonzero([image.trains for image in scanned.images])
    if scanned.thumbnails is None or not len(rows):
        return None
    names = None if series is None else series.names([image.path for image in scanned.images])
    groups = near_and_named(scanned, names)
    labels = np.array([scanned.images[k].label for k in rows.tolist()])
    return mirror_test(scanned.thumbnails, labels, groups[rows], rows)


def with_mirroring(config: Config, folder: Path, cache: Path | None, progress: Progress) -> Config:
    """The configuration for a folder without a run: arms mirror images if the classes survive it."""
    scanned = scan(folder, group_by=config.data.group_by, cache=cache, progress=progress)
    allowed, why = mirroring(mirror_test_of(scanned, series_of(scanned)))
    progress.say(f"arms with classical changes {'also' if allowed else 'do not'} mirror images: {why}")
    return config.model_copy(update={"training": config.training.model_copy(update={"flip": allowed})})


def mirroring(test: MirrorTest | None) -> tuple[bool, str]:
    """Whether the generator may mirror images, and why: the rule of `auto` and of what `inspect` proposes."""
    if test is None:
        return False, "too few images to test whether classes survive mirroring"
    found = (
        f"a classifier recognises {test.plain:.0%} of unseen images and {test.mirrored:.0%} of their mirror images "
        f"(change {100 * test.low:+.0f} to {100 * test.high:+.0f} points, 95%)"
    )
    if not test.skilled:
        return False, f"not shown that classes survive mirroring: {found}, which is too little to judge by"
    if test.survives:
        return True, f"classes survive mirroring: {found}"
    lost = (
        f"; it loses {', '.join(map(repr, test.classes[:3]))}{', …' * (len(test.classes) > 3)}" if test.classes else ""
    )
    return False, f"not shown that classes survive mirroring: {found}{lost}"


def _augmentation(data: DataSummary, resolution: int) -> Choices:
    # the smallest class is drawn as often as the others, so it is memorised first
    each = min(data.counts.values(), default=0)
    few = f"{each} images in the smallest class"
    if each >= MANY:
        return {"training.augment": (["translation"], f"{few}: mild augmentation is enough")}
    policies = ["color", "affine", "cutout"] if resolution >= 64 else ["color", "affine"]
    leaks = "" if resolution >= 64 else "; at this size cutout leaves boxes in the samples"
    return {"training.augment": (policies, f"{few}: without augmentation they are memorised{leaks}")}


def _length(data: DataSummary, resolution: int) -> Choices:
    kimg = min(max(200, 15 * len(data.counts)), 600) * (3 if data.gpu else 1)
    where = ", three times as long on a GPU" if data.gpu else ""
    if data.gpu and resolution >= 64:
        least = 1000 * round(math.log2(resolution / 32))
        kimg, where = max(kimg, least), f"{where}, {least} kimg or more at {resolution} px"
    guess = "" if data.gpu else f"; about {_minutes(kimg, resolution):,.0f} minutes here, as a guess"
    return {
        "training.budget": (
            f"{kimg}kimg",
            f"15 kimg a class as a rule of thumb, 200 to 600 kimg in all{where}{guess}: --dry-run measures it",
        ),
        "training.ema_kimg": (10 if data.gpu else 5, "1/40 of the shortest training"),
    }


def _minutes(kimg: float, resolution: int) -> float:
    """A guess: each core trains at `IMAGES_A_SECOND` at 32 px, and at a quarter of that at 64 px."""
    rate = IMAGES_A_SECOND * (os.cpu_count() or 1) * (32 / resolution) ** 2
    return max(1.0, kimg * 1000 / rate / 60)


def resolve_auto(request: FitRequest, progress: Progress) -> Resolved:
    """The configuration of `--recipe auto` for these images. Settings that the user gave take precedence.

    Raises:
        SynthaugError: as `scan` and `resolve` do.
    """
    layers = (AUTO, request.config, request.settings(), request.flags())
    given = resolve(*layers)
    group_by = given.config.data.group_by
    folder = local_folder(request.data, request.cache, progress)
    scanned = scan(folder, group_by=group_by, strict=request.strict, cache=request.cache, progress=progress)
    by_user = given.origins["data.resolution"] not in (AUTO, "default")
    data = DataSummary.of(scanned, request.device)
    chosen = choose(data, given.config.data.resolution if by_user else None)
    if data.series is not None:
        progress.warn(f"the file names show series: keep each in one split with --group-by '{data.series.expression}'")
    resolved = resolve(*layers, chosen)
    for key, (value, why) in chosen.items():
        if resolved.origins[key] == AUTO:
            progress.say(f"auto: {key} = {value}: {why}")
    return resolved
