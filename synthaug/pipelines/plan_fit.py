"""`synthaug fit --dry-run`: the plan and the cost of a training; writes nothing."""

from __future__ import annotations

import math

import numpy as np

from synthaug.budget import parse_budget
from synthaug.data.cache import LabelledImages
from synthaug.documents import FitPlan, GuessForGPU
from synthaug.dotted import leaves
from synthaug.pipelines.cost import TERAFLOPS, Guess, cost_of
from synthaug.pipelines.prepare import Prepared, class_shares, prepare
from synthaug.progress import Progress
from synthaug.requests import FitRequest


def plan_fit(request: FitRequest, progress: Progress) -> FitPlan:
    """The plan of `fit` for this request. A few steps on noise measure the speed; nothing is written.

    Raises:
        SynthaugError: bad input.
    """
    prepared = prepare(request, progress)
    config, data = prepared.config, prepared.data
    placeholders = _placeholders(prepared)
    cost = cost_of(prepared, placeholders)
    # Measured in one process; several share the work, in the best case without loss.
    per_image = cost.seconds / math.prod(prepared.processes)
    seconds, kimg = parse_budget(config.training.budget)
    estimated_kimg = round(kimg if kimg is not None else (seconds or 0.0) / per_image / 1000, 1)
    # A checkpoint holds the networks, two moments of each parameter, and the averaged network.
    per_checkpoint = 4 * (3 * sum(cost.networks.values()) + cost.networks[cost.exported])
    pixels = len(data.split.rows) * data.channels * prepared.training_side**2
    shares = class_shares(prepared, placeholders).tolist()
    return FitPlan(
        data=str(data.folder), images=len(data.split.rows), split=data.split.counts(),
        targets=data.targets,
        draws={name: round(share, 4) for name, share in zip(data.classes, shares, strict=True)},
        channels=data.channels, device=str(prepared.device), precision=prepared.precision, parameters=cost.networks,
        config=leaves(config.model_dump(mode="json")), origins=dict(prepared.resolved.origins),
        estimated_seconds=round(seconds if seconds is not None else (kimg or 0.0) * 1000 * per_image, 1),
        estimated_kimg=estimated_kimg,
        estimated_megabytes=round((per_checkpoint * (3 + config.training.keep_checkpoints) + pixels) / 1e6, 1),
        memory_megabytes=None if cost.memory is None else round(cost.memory / 1e6, 1),
        guess_for_gpu=_for_gpu(cost.guess, seconds, estimated_kimg),
        warnings=list(data.split.warnings),
    )  # fmt: skip


def _for_gpu(guess: Guess | None, seconds: float | None, kimg: float) -> GuessForGPU | None:
    """The guess for a budget of seconds, or of kimg."""
    if guess is None:
        return None
    return GuessForGPU(
        images_per_second=round(1 / guess.seconds, 1),
        seconds=round(seconds if seconds is not None else kimg * 1000 * guess.seconds, 1),
        gigaflops_per_image=round(guess.operations / 1e9, 6), teraflops_per_second=TERAFLOPS,
        memory_megabytes=None if guess.memory is None else round(guess.memory / 1e6, 1),
    )  # fmt: skip


def _placeholders(prepared: Prepared) -> LabelledImages:
    """Noise in place of the training images, one image for all, so that none has to be decoded."""
    rows, side = prepared.data.split.of("train"), prepared.training_side
    noise = np.random.default_rng(0).integers(256, size=(1, prepared.data.channels, side, side), dtype=np.uint8)
    labels = np.array([prepared.data.classes.index(row.label) for row in rows])
    pixels = np.broadcast_to(noise, (len(rows), *noise.shape[1:]))
    return LabelledImages(pixels, labels, prepared.data.classes, [row.path for row in rows])
