"""The real images that an upscaler is trained on: those that are as large as what it makes, or larger."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from synthaug.data.cache import LabelledImages
from synthaug.data.decode import header_size, quiet_decoding
from synthaug.data.enlargement import enlargement
from synthaug.data.split import SplitRow
from synthaug.errors import SynthaugError
from synthaug.pipelines.prepare import Prepared
from synthaug.progress import Progress

LEAST = 16
"""Images to train on below which there is nothing to learn from."""
HELD_OUT = 8
"""Images below which val is too small to judge; every fifth group of the training images is then held out."""


def upscaler_images(
    prepared: Prepared, cache: Path | None, progress: Progress
) -> tuple[LabelledImages, LabelledImages]:
    """Training images and held-out ones, at the side that the upscaler makes.

    An image that is smaller would have to be enlarged itself, and is left out. Test images are never used.

    Raises:
        SynthaugError: too few images are large enough; an image is missing, or has changed.
    """
    data, side = prepared.data, prepared.training_side
    rows = data.split.of("train")
    train = _large(prepared, rows)
    if len(train) < LEAST:
        smaller = "--scale 2, or " if side > 2 * data.config.data.resolution else ""
        raise SynthaugError(
            f"only {len(train)} of {len(rows)} training images have {side} px or more, which is what the upscaler "
            f"makes of {data.config.data.resolution} px",
            f"use {smaller}a smaller --resolution: that of the generator",
        )
    held_out = _large(prepared, data.split.of("val"))
    if len(held_out) < HELD_OUT:
        groups = set(sorted({row.group for row in train})[::5])
        held_out = [row for row in train if row.group in groups]
        train = [row for row in train if row.group not in groups]
    if len(train) < len(rows):
        progress.say(
            f"{len(train)} of {len(rows)} training images have {side} px or more and are learnt from; "
            f"{len(held_out)} others are held out"
        )
    made = [data.load(data.folder, some, cache, progress, resolution=side) for some in (train, held_out)]
    return made[0], made[1]


def _large(prepared: Prepared, rows: Sequence[SplitRow]) -> list[SplitRow]:
    """The images that need not be enlarged to the side that the upscaler makes."""
    fit, side = prepared.config.data.fit, prepared.training_side
    with quiet_decoding():
        return [row for row in rows if enlargement(*header_size(prepared.data.folder / row.path), fit, side) >= 1]
