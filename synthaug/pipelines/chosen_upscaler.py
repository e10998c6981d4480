"""`--upscaler RUN` of `export` and `evaluate`: does that run fit the generator, and is it better than bicubic?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from synthaug.data.batches import as_float
from synthaug.data.decode import header_size, quiet_decoding
from synthaug.data.enlargement import enlargement
from synthaug.data.run_data import RunData
from synthaug.documents import UpscaledFakes
from synthaug.errors import SynthaugError, plural, shell_command
from synthaug.metrics.sharpness_auc import sharpness
from synthaug.models.family import to_uint8
from synthaug.progress import Progress
from synthaug.runs import find
from synthaug.sampling.generate import SeededGenerator
from synthaug.sampling.upscaling import TrainedUpscaler, load_upscaler
from synthaug.upscalers.resampling import doubled, halved

_JUDGED = 64
"""Images of the generator, of all classes together."""


def choose_upscaler(name: str, runs: Path | None, data: RunData, labels: Sequence[str], device: str) -> TrainedUpscaler:
    """Open the upscaler `name` for images of the classes `labels` that a generator of `data` makes.

    Its `reference().used` says whether it beats bicubic interpolation.

    Raises:
        SynthaugError: the run is no upscaler, or not scored; it enlarges other images than the generator makes, or has
            learnt from held-out images; no real image is larger than the generator's.
    """
    found = load_upscaler(find(name, runs), device=device)
    side, fit = data.config.data.resolution, data.config.data.fit
    if found.resolution != side:
        raise SynthaugError(
            f"the upscaler {found.run.name!r} enlarges {found.resolution} px to {found.resolution * found.scale} px, "
            f"but the generator makes {side} px",
            "train one with: " + shell_command("fit", data.folder, family="srgan", resolution=side, scale=found.scale),
        )
    if found.channels != data.channels:
        raise SynthaugError(
            f"the upscaler {found.run.name!r} is for images of {plural(found.channels, 'channel')}, but the generator "
            f"makes {data.channels}",
            f"train one on the generator's data, or with --set data.channels={data.channels}",
        )
    with quiet_decoding():
        rows = [row for row in data.split.of("train") if row.label in labels]
        largest = max((enlargement(*header_size(data.folder / row.path), fit, side) for row in rows), default=0.0)
    if labels and largest <= 1:
        raise SynthaugError(
            f"--upscaler {name}: no real image is larger than the {side} px of the generator", "leave --upscaler out"
        )
    _check_unseen(found, data)
    if found.scores is None:
        raise SynthaugError(
            f"the upscaler {found.run.name!r} has not been scored against bicubic interpolation",
            f"finish it with: {found.run.resuming()}",
        )
    return found


def upscaled_fakes(
    upscaler: TrainedUpscaler, sampler: SeededGenerator, data: RunData, labels: Sequence[str], cache: Path | None,
    progress: Progress,
) -> UpscaledFakes:  # fmt: skip
    """Judge an upscaler on images of the generator: do they stay what they are, and are they as sharp as real ones?

    Args:
        upscaler: the upscaler.
        sampler: its images number 0 and following of each class are judged.
        data: the real images.
        labels: the classes that get synthetic images.
        cache: the folder of decoded images.
        progress: shows the progress bars.
    """
    side, scale = sampler.trained.resolution, upscaler.scale
    count = -(-_JUDGED // len(labels))
    fakes = np.concatenate([sampler.sample(name, int(min(count, sampler.most(name)))) for name in labels])
    real = data.images("train", cache, progress, resolution=scale * side)
    shown = np.concatenate([real.of_class(name)[:count] for name in labels])
    ours = np.stack([upscaler.enlarge(image) for image in fakes])
    reduced, bicubic = as_float(torch.from_numpy(ours)), as_float(torch.from_numpy(fakes))
    while reduced.shape[2] > side:
        reduced, bicubic = halved(reduced), doubled(bicubic)
    sharp, plain, wanted = (float(np.median(sharpness(some))) for some in (ours, to_uint8(bicubic), shown))
    return UpscaledFakes(
        images=len(fakes), difference=float(np.abs(to_uint8(reduced).astype(float) - fakes).mean()),
        sharpness=math.exp(sharp - wanted), bicubic_sharpness=math.exp(plain - wanted),
    )  # fmt: skip


def _check_unseen(upscaler: TrainedUpscaler, data: RunData) -> None:
    """Raise if the upscaler has learnt from images that are held out from the generator."""
    learnt = {row.pixel_sha256 for row in RunData.open(upscaler.run).split.of("train")}
    seen = [row for side in ("val", "test") for row in data.split.of(side) if row.pixel_sha256 in learnt]
    if seen:
        raise SynthaugError(
            f"the upscaler {upscaler.run.name!r} has learnt from {len(seen)} images that are held out from the "
            f"generator, such as {seen[0].path!r}",
            "train both on the same data with the same --seed",
        )
