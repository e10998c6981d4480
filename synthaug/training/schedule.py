"""When things happen in a training. Every schedule counts images shown to the discriminator, never seconds."""

from __future__ import annotations

import math

from synthaug.config import Config
from synthaug.training.state import Counters

WARM_UP_IMAGES = 1024
"""Images after which the first checkpoint is written and a time budget becomes a number of images."""
ROW_IMAGES = 500
"""At most so many images lie between two rows of metrics.jsonl."""
NAME_IMAGES = 1000
"""Checkpoints are named by kimg: two of them are at least this far apart."""


def images_per_step(config: Config) -> int:
    """Images that the discriminator is shown in one step."""
    return config.training.batch_size * config.training.discriminator_steps


def progress(counters: Counters) -> float:
    """Share of the training that is done, in [0, 1]; 0 until its length is known."""
    return counters.images / counters.total if counters.total else 0.0


def condition_strength(config: Config, progress: float) -> float:
    """How much of the class condition counts at `progress` ∈ [0, 1] of the training (2201.06578, eq. 4: linear)."""
    start, end = config.training.fade_start, config.training.fade_end
    if progress >= end:
        return 1.0
    return max(0.0, (progress - start) / (end - start))


def penalty_decay(last: float, progress: float) -> float:
    """Factor of the penalties' weights: from 1 at the beginning to `last` at the end, by cosine."""
    return last + (1 - last) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def set_length(counters: Counters, config: Config, images: float, scores: int | None = None) -> None:
    """Fix the length of the training and the images between two scores; by default there are at least five scores."""
    step = images_per_step(config)
    counters.total = max(step, round(images / step) * step)
    interval = counters.total / scores if scores else min(config.monitor.every_kimg * 1000, counters.total / 5)
    counters.interval = max(NAME_IMAGES, math.ceil(interval))


def images_in_budget(
    seconds: float, per_image: float, per_score: float, config: Config, done: int
) -> tuple[float, int]:
    """How many images, `done` ones included, and how many scores fit into `seconds`. Scores take a fifth at most.

    Args:
        seconds: that are left.
        per_image: seconds that an image takes.
        per_score: seconds that a score takes.
    """
    wanted = max(5, round(seconds / per_image / (config.monitor.every_kimg * 1000)))
    scores = max(1, min(wanted, int(0.2 * seconds / per_score)))
    return done + max((seconds - scores * per_score) / per_image, 0.0), scores


def next_score(counters: Counters) -> int:
    """Number of images at which the next score is due: a multiple of the interval, or the end."""
    assert counters.total is not None
    assert counters.interval is not None
    following = (counters.images // counters.interval + 1) * counters.interval
    # A checkpoint this near to the end would have the last one's name.
    return counters.total if counters.total - following < NAME_IMAGES else following


def row_is_due(images: int, last: int) -> bool:
    """Whether a row of metrics.jsonl is due at `images`, the last one having been written at `last`."""
    return images // ROW_IMAGES != last // ROW_IMAGES
