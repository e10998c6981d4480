"""`synthaug fit --dry-run`: what a training would do and cost; writes nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from synthaug import runs as run_directories
from synthaug.config import leaves, parse_budget
from synthaug.data.cache import LabelledImages
from synthaug.documents import FitPlan
from synthaug.pipelines.auto import Asked
from synthaug.pipelines.prepare import (
    draws,
    fabric_for,
    game_for,
    named_run,
    prepare,
    settings,
    starting_point,
)
from synthaug.progress import Progress, Silent
from synthaug.training.game import Game
from synthaug.training.schedule import images_per_step
from synthaug.training.steps import STEPS


def plan_fit(
    data: str | Path,
    *,
    target_class: str | Sequence[str] = "auto",
    recipe: str | None = None,
    config_file: Path | None = None,
    sets: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
    name: str | None = None,
    runs: Path | None = None,
    resume: str | Path | None = None,
    start: str | Path | None = None,
    device: str = "auto",
    strict: bool = False,
    cache: Path | None = None,
    progress: Progress = Silent(),
) -> FitPlan:
    """What `fit` with the same arguments would do; takes a few steps on noise to measure the speed, writes nothing.

    Raises:
        SynthaugError: bad input.
    """
    root = run_directories.default_root() if runs is None else runs
    continued = named_run(resume, root, recipe, config_file, sets, flags)
    asked = Asked(Path(data), recipe, config_file, sets, flags, device, strict, cache)
    resolved, target_class = settings(continued, asked, target_class, progress)
    prepared = prepare(data, target_class, resolved, device, strict, cache, progress)
    starting_point(start, root, prepared, continued)
    config, shape = prepared.config, prepared.shape
    rows = prepared.split.of("train")
    labels = [prepared.scanned.classes.index(row.label) for row in rows]
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(256, (len(rows), shape.channels, shape.resolution, shape.resolution), generator=generator)
    placeholders = LabelledImages(
        noise.to(torch.uint8).numpy(),
        torch.tensor(labels).numpy(),
        prepared.scanned.classes,
        [row.path for row in rows],
    )
    game = game_for(prepared, placeholders, fabric_for(prepared))
    per_image = _seconds_per_image(game)
    seconds, kimg = parse_budget(config.training.budget)
    parameters = {
        "generator": sum(p.numel() for p in game.family.generator.parameters()),
        "discriminator": sum(p.numel() for p in game.family.discriminator.parameters()),
    }
    # a checkpoint holds both networks, two moments of each parameter, and the averaged generator
    per_checkpoint = 4 * (3 * sum(parameters.values()) + parameters["generator"])
    images = len(prepared.split.rows) * shape.channels * shape.resolution**2
    return FitPlan(
        data=str(prepared.scanned.root.resolve()),
        images=len(prepared.scanned.images),
        split=prepared.split.counts(),
        targets=prepared.targets,
        draws={
            c: round(float(p), 4) for c, p in zip(prepared.scanned.classes, draws(prepared, placeholders), strict=True)
        },
        channels=prepared.channels,
        device=str(prepared.device),
        precision=prepared.precision,
        parameters=parameters,
        config=leaves(config.model_dump(mode="json")),
        origins=dict(resolved.origins),
        estimated_seconds=round(seconds if seconds is not None else (kimg or 0.0) * 1000 * per_image, 1),
        estimated_kimg=round(kimg if kimg is not None else (seconds or 0.0) / per_image / 1000, 1),
        estimated_megabytes=round((per_checkpoint * (3 + config.training.keep_checkpoints) + images) / 1e6, 1),
        warnings=list(prepared.split.warnings),
    )


def _seconds_per_image(game: Game, steps: int = 5) -> float:
    take, seed = STEPS.get(game.family.step), game.config.seed
    for step in range(2):
        take(game, step, seed)
    started = time.monotonic()
    for step in range(steps):
        float(take(game, step, seed)["loss_g"])  # waits for the device
    return (time.monotonic() - started) / (steps * images_per_step(game.config))
