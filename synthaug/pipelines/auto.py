"""`--recipe auto`: a configuration from the images and the device, each choice with its reason in one line.

What is chosen at 32 px on a CPU is what did best in docs/science/generators.md. Larger images and GPUs could not be
tried there; those choices follow the papers, and their reasons say so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from synthaug.config import AUTO, Resolved, resolve
from synthaug.data.folder import Scan, scan
from synthaug.device import resolve_device
from synthaug.progress import Progress

MANY = 2000
"""Images a class from which augmentation needs less strength (2006.10738, table 3: gains shrink with the data)."""
LARGEST_ON_CPU = 32
SMALL = 48
"""Pixels of the side up to which colour images are taken for sprites and icons, as `inspect` does."""
Choices = dict[str, tuple[Any, str]]


@dataclass(frozen=True)
class Facts:
    """What the choices depend on."""

    side: float  # median shorter side of the images, px
    channels: int
    counts: Mapping[str, int]  # class → images
    gpu: bool

    @classmethod
    def of(cls, scanned: Scan, device: str) -> Facts:
        sides = [min(image.width, image.height) for image in scanned.images]
        return cls(median(sides), scanned.channels, scanned.counts, resolve_device(device).type != "cpu")


def choose(facts: Facts) -> Choices:
    """Dotted key → value and the reason for it."""
    resolution, why = _resolution(facts)
    chosen: Choices = {"data.resolution": (resolution, why)}
    chosen |= _networks(facts, resolution)
    chosen |= _game(str(chosen["model.family"][0]))
    for part in (_mirrored, _augmentation, _length):
        chosen |= part(facts, resolution)
    return chosen


def _resolution(facts: Facts) -> tuple[int, str]:
    images = f"images are {facts.side:g} px wide or high (median of the shorter side)"
    fits = max((side for side in (16, 32, 64, 128) if side <= facts.side * 1.25), default=16)
    if facts.gpu or fits <= LARGEST_ON_CPU:
        return fits, images
    return (
        LARGEST_ON_CPU,
        f"{images}, but a CPU takes minutes for 32 px and hours for 64: --resolution 64 if you have them",
    )


def _networks(facts: Facts, resolution: int) -> Choices:
    if facts.gpu and resolution >= 64:
        return {
            "model.family": ("fastgan", f"{resolution} px on a GPU: made for few images with detail (2101.04775)"),
            "model.z_dim": (256, "as its authors have it"),
            "model.width": (64, "a GPU has room for twice the CPU's"),
            "model.discriminator_width": (64, "as wide as the generator"),
            "training.discriminator_lr": (0.0002, "as its authors have it: both networks alike"),
        }
    width = 64 if facts.gpu else 48
    speed = "a GPU has room for more" if facts.gpu else "twice as wide costs four times as much; for longer trainings"
    return {
        "model.family": ("dcgan", f"the best in equal time at {min(resolution, 32)} px, and the fastest"),
        "model.width": (width, speed),
        "model.discriminator_width": (width, "as wide as the generator"),
    }


def _game(family: str) -> Choices:
    why = "none is better in equal time with this family" if family == "dcgan" else "as its authors have it"
    return {
        "training.objective": ("hinge", why),
        "training.batch_size": (32, "more steps for the same images than 64"),
        "training.balance": (1.0, "every class is drawn alike: rare ones are what the training is for"),
    }


def _mirrored(facts: Facts, resolution: int) -> Choices:
    if facts.channels == 1 or facts.side > SMALL:
        return {}
    why = "small colour images mostly show what may face either way; letters: --set training.flip=false"
    return {"training.flip": (True, why)}


def _augmentation(facts: Facts, resolution: int) -> Choices:
    # the smallest class decides: it is drawn as often as the others, and learnt by heart first
    each = min(facts.counts.values(), default=0)
    few = f"{each} images in the smallest class"
    if each >= MANY:
        return {"training.augment": (["translation"], f"{few}: enough for a mild one")}
    policies = ["color", "affine", "cutout"] if resolution >= 64 else ["color", "affine"]
    leaks = "" if resolution >= 64 else "; cutout would leak into samples this small"
    return {"training.augment": (policies, f"{few}: without it they are learnt by heart{leaks}")}


def _length(facts: Facts, resolution: int) -> Choices:
    kimg = min(max(200, 15 * len(facts.counts)), 600) * (3 if facts.gpu else 1)
    where = ", three times as long on a GPU" if facts.gpu else ""
    return {
        "training.budget": (
            f"{kimg}kimg",
            f"15 kimg a class, by rule of thumb, 200 to 600 in all{where}",
        ),
        "training.ema_kimg": (10 if facts.gpu else 5, "a fortieth of the shortest training"),
    }


@dataclass(frozen=True)
class Asked:
    """What was given for a training: where the images are, the layers of a configuration, and where to compute."""

    data: Path
    recipe: str | None
    config_file: Path | None
    sets: Sequence[str]
    flags: Mapping[str, Any] | None
    device: str
    strict: bool
    cache: Path | None


def resolve_auto(asked: Asked, progress: Progress) -> Resolved:
    """The configuration that `--recipe auto` means for these images; what else was given comes before it.

    Raises:
        SynthaugError: as `scan` and `resolve` do.
    """
    given = resolve(AUTO, asked.config_file, asked.sets, asked.flags)
    scanned = scan(
        asked.data, group_by=given.config.data.group_by, strict=asked.strict, cache=asked.cache, progress=progress
    )
    chosen = choose(Facts.of(scanned, asked.device))
    resolved = resolve(AUTO, asked.config_file, asked.sets, asked.flags, chosen)
    for key, (value, why) in chosen.items():
        if resolved.origins[key] == AUTO:
            progress.say(f"auto: {key} = {value}: {why}")
    return resolved
