"""`--recipe auto`: a configuration chosen from the images and the device, with a reason for each choice.

At 32 px on a CPU it chooses what did best in docs/science/generators.md. Larger images and GPUs were not measured
there: those choices follow the papers, as their reasons state.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from synthaug.config import AUTO, RESOLUTIONS, Resolved, resolve
from synthaug.data.folder import ImageRecord, Scan, scan
from synthaug.progress import Progress
from synthaug.requests import FitRequest

MANY = 2000
"""Images a class from which mild augmentation is enough (2006.10738, table 3: gains shrink with more data)."""
LARGEST_ON_CPU = 32
SMALL = 48
"""Images with a typical side up to this many pixels count as sprites or icons, larger ones as photographs."""
Choices = dict[str, tuple[Any, str]]


def typical_side(images: Iterable[ImageRecord]) -> float:
    """The median of the images' shorter sides, in pixels. `auto` and `inspect` compare it with `SMALL`."""
    return median(min(image.width, image.height) for image in images)


@dataclass(frozen=True)
class DataSummary:
    """The properties of images and device that the choices depend on."""

    side: float  # `typical_side`
    channels: int
    counts: Mapping[str, int]  # class → images
    gpu: bool

    @classmethod
    def of(cls, scanned: Scan, device: str) -> DataSummary:
        from synthaug.device import resolve_device  # imports torch, which `inspect` must not

        gpu = resolve_device(device).type != "cpu"
        return cls(typical_side(scanned.images), scanned.channels, scanned.counts, gpu)


def choose(data: DataSummary) -> Choices:
    """Dotted key → value and the reason for it."""
    resolution, why = _resolution(data)
    chosen: Choices = {"data.resolution": (resolution, why)}
    chosen |= _networks(data, resolution)
    chosen |= _game(str(chosen["model.family"][0]))
    chosen |= _mirrored(data)
    chosen |= _augmentation(data, resolution)
    chosen |= _length(data)
    return chosen


def _resolution(data: DataSummary) -> tuple[int, str]:
    images = f"images are {data.side:g} px (median of the shorter side)"
    fits = max((side for side in RESOLUTIONS if side <= data.side * 1.25), default=16)
    if data.gpu or fits <= LARGEST_ON_CPU:
        return fits, images
    return LARGEST_ON_CPU, f"{images}, but a CPU needs hours above 32 px; if you have them: --resolution 64"


def _networks(data: DataSummary, resolution: int) -> Choices:
    if data.gpu and resolution >= 64:
        return {
            "model.family": ("fastgan", f"{resolution} px on a GPU: made for few, detailed images (2101.04775)"),
            "model.z_dim": (256, "as in the paper"),
            "model.width": (64, "a GPU can afford more than a CPU"),
            "model.discriminator_width": (64, "as wide as the generator"),
            "training.discriminator_lr": (0.0002, "as in the paper: the same rate for both networks"),
        }
    width = 64 if data.gpu else 48
    speed = "a GPU can afford more" if data.gpu else "twice the width costs four times the time"
    return {
        "model.family": ("dcgan", f"the best family in equal time at {min(resolution, 32)} px, and a fast one"),
        "model.width": (width, speed),
        "model.discriminator_width": (width, "as wide as the generator"),
    }


def _game(family: str) -> Choices:
    why = "no other loss was better in equal time" if family == "dcgan" else "as in the paper"
    return {
        "training.objective": ("hinge", why),
        "training.batch_size": (32, "twice as many updates for the same images as with 64"),
        "training.balance": (1.0, "every class is drawn equally often, because the rare ones matter most"),
    }


def _mirrored(data: DataSummary) -> Choices:
    if data.channels == 1 or data.side > SMALL:
        return {}
    why = "most small colour images may be mirrored; for letters: --set training.flip=false"
    return {"training.flip": (True, why)}


def _augmentation(data: DataSummary, resolution: int) -> Choices:
    # the smallest class is drawn as often as the others, so it is memorised first
    each = min(data.counts.values(), default=0)
    few = f"{each} images in the smallest class"
    if each >= MANY:
        return {"training.augment": (["translation"], f"{few}: mild augmentation is enough")}
    policies = ["color", "affine", "cutout"] if resolution >= 64 else ["color", "affine"]
    leaks = "" if resolution >= 64 else "; at this size cutout leaves boxes in the samples"
    return {"training.augment": (policies, f"{few}: without augmentation they are memorised{leaks}")}


def _length(data: DataSummary) -> Choices:
    kimg = min(max(200, 15 * len(data.counts)), 600) * (3 if data.gpu else 1)
    where = ", three times as long on a GPU" if data.gpu else ""
    return {
        "training.budget": (f"{kimg}kimg", f"15 kimg a class as a rule of thumb, 200 to 600 kimg in all{where}"),
        "training.ema_kimg": (10 if data.gpu else 5, "1/40 of the shortest training"),
    }


def resolve_auto(request: FitRequest, progress: Progress) -> Resolved:
    """The configuration of `--recipe auto` for these images. Settings that the user gave take precedence.

    Raises:
        SynthaugError: as `scan` and `resolve` do.
    """
    layers = (AUTO, request.config, request.settings(), request.flags())
    group_by = resolve(*layers).config.data.group_by
    scanned = scan(Path(request.data), group_by=group_by, strict=request.strict, cache=request.cache, progress=progress)
    chosen = choose(DataSummary.of(scanned, request.device))
    resolved = resolve(*layers, chosen)
    for key, (value, why) in chosen.items():
        if resolved.origins[key] == AUTO:
            progress.say(f"auto: {key} = {value}: {why}")
    return resolved
