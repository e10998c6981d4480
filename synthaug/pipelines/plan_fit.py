"""`synthaug fit --dry-run`: the plan and the cost of a training; writes nothing."""

from __future__ import annotations

import math
import time

import torch

from synthaug.budget import parse_budget
from synthaug.config import leaves
from synthaug.data.cache import LabelledImages
from synthaug.documents import FitPlan
from synthaug.pipelines.prepare import Prepared, class_shares, fabric_for, game_for, prepare
from synthaug.progress import Progress
from synthaug.requests import FitRequest
from synthaug.sampling.sources import sources_of
from synthaug.training.game import Game
from synthaug.training.schedule import images_per_step
from synthaug.training.steps import take_step


def plan_fit(request: FitRequest, progress: Progress) -> FitPlan:
    """The plan of `fit` for this request. A few steps on noise measure the speed; nothing is written.

    Raises:
        SynthaugError: bad input.
    """
    prepared = prepare(request, progress)
    config, data = prepared.config, prepared.data
    placeholders = _placeholders(prepared)
    game = game_for(prepared, placeholders, fabric_for(prepared))
    game.sources = sources_of(placeholders, {}, "vary")
    # Measured in one process; several share the work, in the best case without loss.
    per_image = _seconds_per_image(game) / math.prod(prepared.processes)
    seconds, kimg = parse_budget(config.training.budget)
    parameters = {name: sum(p.numel() for p in network.parameters()) for name, network in game.family.networks.items()}
    # A checkpoint holds the networks, two moments of each parameter, and the averaged network.
    per_checkpoint = 4 * (3 * sum(parameters.values()) + parameters[game.family.exported])
    pixels = len(data.split.rows) * data.channels * prepared.training_side**2
    shares = class_shares(prepared, placeholders).tolist()
    return FitPlan(
        data=str(data.folder), images=len(data.split.rows), split=data.split.counts(),
        targets=data.targets,
        draws={name: round(share, 4) for name, share in zip(data.classes, shares, strict=True)},
        channels=data.channels, device=str(prepared.device), precision=prepared.precision, parameters=parameters,
        config=leaves(config.model_dump(mode="json")), origins=dict(prepared.resolved.origins),
        estimated_seconds=round(seconds if seconds is not None else (kimg or 0.0) * 1000 * per_image, 1),
        estimated_kimg=round(kimg if kimg is not None else (seconds or 0.0) / per_image / 1000, 1),
        estimated_megabytes=round((per_checkpoint * (3 + config.training.keep_checkpoints) + pixels) / 1e6, 1),
        warnings=list(data.split.warnings),
    )  # fmt: skip


def _placeholders(prepared: Prepared) -> LabelledImages:
    """Noise in place of the training images, so that none has to be decoded."""
    rows, side = prepared.data.split.of("train"), prepared.training_side
    rng = torch.Generator().manual_seed(0)
    noise = torch.randint(256, (len(rows), prepared.data.channels, side, side), generator=rng)
    labels = torch.tensor([prepared.data.classes.index(row.label) for row in rows])
    paths = [row.path for row in rows]
    return LabelledImages(noise.to(torch.uint8).numpy(), labels.numpy(), prepared.data.classes, paths)


def _seconds_per_image(game: Game, steps: int = 5) -> float:
    seed = game.config.seed
    for step in range(2):
        take_step(game, step, seed)
    started = time.monotonic()
    for step in range(steps):
        float(take_step(game, step, seed)["loss_g"])  # waits for the device
    return (time.monotonic() - started) / (steps * images_per_step(game.config))
