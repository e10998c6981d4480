"""What a training and its dry run begin with: a folder and a configuration that are known to fit each other."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from lightning_fabric import Fabric

from synthaug import runs as run_directories
from synthaug.config import AUTO, Config, Resolved, leaves, resolve
from synthaug.data.batches import BalancedBatches, class_probabilities
from synthaug.data.cache import LabelledImages, load_images
from synthaug.data.folder import Scan, scan
from synthaug.data.plan import check_targets
from synthaug.data.split import Split, check_trainable, split
from synthaug.device import has_bf16, resolve_device
from synthaug.errors import SynthaugError
from synthaug.losses.auxiliary import build_heads
from synthaug.models import build_family
from synthaug.models.codes import codes_of
from synthaug.models.family import ImageShape
from synthaug.pipelines.auto import Asked, resolve_auto
from synthaug.pipelines.config_checks import check_config
from synthaug.progress import Progress
from synthaug.runs import Run
from synthaug.training.game import Game, build_game
from synthaug.training.transfer import StartingPoint, open_starting_point


@dataclass
class Prepared:
    """A folder and a configuration that are known to fit each other."""

    scanned: Scan
    split: Split
    targets: list[str]
    resolved: Resolved
    channels: int
    device: torch.device
    precision: str

    @property
    def config(self) -> Config:
        return self.resolved.config

    @property
    def shape(self) -> ImageShape:
        return ImageShape(self.config.data.resolution, self.channels, len(self.scanned.classes))

    @property
    def architecture(self) -> dict[str, Any]:
        return {"family": self.config.model.family, **vars(self.shape), **self.config.model.model_dump()}


def prepare(
    data: str | Path,
    target_class: str | Sequence[str],
    resolved: Resolved,
    device: str,
    strict: bool,
    cache: Path | None,
    progress: Progress,
) -> Prepared:
    config = resolved.config
    check_config(config)
    chosen = resolve_device(device)
    scanned = scan(
        Path(data),
        group_by=config.data.group_by,
        strict=strict,
        cache=cache,
        progress=progress,
    )
    parts = split(scanned, config.data, config.seed)
    check_trainable(scanned, parts)
    targets = check_targets(target_class, parts.counts()["train"])
    for warning in parts.warnings:
        progress.warn(warning)
    if config.model.discriminator == "projected" and config.monitor.features == "efficientnet_lite0":
        progress.warn(
            "the monitor judges by the net that the projected discriminator is made of, which flatters the generator: "
            "--set monitor.features=own"
        )
    return Prepared(
        scanned=scanned,
        split=parts,
        targets=targets,
        resolved=resolved,
        channels=scanned.channels if config.data.channels == "auto" else config.data.channels,
        device=chosen,
        precision=_precision(config.training.precision, chosen),
    )


def _precision(asked: str, device: torch.device) -> str:
    """bf16 where the hardware computes in it; elsewhere it is emulated and slow."""
    if asked != "auto":
        return asked
    return "bf16-mixed" if has_bf16(device) else "32-true"


def fabric_for(prepared: Prepared) -> Fabric:
    device = prepared.device
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces the precision, which we do ourselves
    devices: Any = [device.index] if device.index is not None else 1
    return Fabric(accelerator=device.type, devices=devices, precision=cast(Any, prepared.precision))


def split_images(prepared: Prepared, name: Any, cache: Path | None, progress: Progress) -> LabelledImages:
    data = prepared.config.data
    return load_images(
        prepared.scanned.root,
        prepared.split.of(name),
        prepared.scanned.classes,
        resolution=data.resolution,
        channels=prepared.channels,
        fit=data.fit,
        cache=cache,
        progress=progress,
    )


def game_for(prepared: Prepared, images: LabelledImages, fabric: Fabric) -> Game:
    config = prepared.config
    # Initial weights come from the global generator, which is put back: a library must not reseed its user.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        family = build_family(config.model.family, prepared.shape, config.model)
        heads = build_heads(config.training.auxiliary, family, prepared.shape, codes_of(config.model))
    batches = BalancedBatches(
        torch.from_numpy(images.pixels.copy()).to(fabric.device),
        torch.from_numpy(images.labels.copy()).to(fabric.device),
        draws(prepared, images),
        config.training.batch_size,
        config.training.flip,
    )
    return build_game(config, family, batches, fabric, heads, prepared.architecture)


def draws(prepared: Prepared, images: LabelledImages) -> torch.Tensor:
    training = prepared.config.training
    indices = [images.index(name) for name in prepared.targets]
    return class_probabilities(list(images.counts().values()), training.balance, indices, training.target_boost)


def named_run(
    resume: str | Path | None,
    root: Path,
    recipe: str | None,
    config_file: Path | None,
    sets: Sequence[str],
    flags: Mapping[str, Any] | None,
) -> Run | None:
    """The run that `--resume PATH` names; None without one, and for `auto`.

    Raises:
        SynthaugError: there is no such run, or other settings were given beside it.
    """
    if resume is None or str(resume) == "auto":
        return None
    given = [key for key, value in (flags or {}).items() if value is not None]
    if recipe or config_file or sets or given:
        what = ", ".join([*(["recipe"] if recipe else []), *(["--config"] if config_file else []), *sets, *given])
        raise SynthaugError(
            f"--resume {resume} goes on with the run's own configuration, but {what} was given too",
            "leave the other settings out, or start a new run without --resume",
        )
    return run_directories.find(resume, root)


def starting_point(
    start: str | Path | None, root: Path, prepared: Prepared, continued: Run | None = None
) -> StartingPoint | None:
    """The run that `--from` names; None without one.

    Raises:
        SynthaugError: there is no such run, its weights do not fit, or layers are frozen that come from nowhere.
    """
    if start is None:
        if prepared.config.training.freeze_discriminator and continued is None:
            raise SynthaugError(
                f"training.freeze_discriminator = {prepared.config.training.freeze_discriminator} would freeze layers "
                "that have learnt nothing",
                "give the run that they come from with --from RUN, or leave it at 0",
            )
        return None
    if continued is not None:
        raise SynthaugError(
            f"--from {start} begins a new training, but --resume goes on with one", "leave one of them out"
        )
    return open_starting_point(run_directories.find(start, root), prepared.config, prepared.shape)


def settings(
    continued: Run | None, asked: Asked, target_class: str | Sequence[str], progress: Progress
) -> tuple[Resolved, str | Sequence[str]]:
    """The configuration and the target classes: of the run that goes on, as given, or, for `auto`, as the data are."""
    if continued is not None:
        stored = continued.config()
        resolved = Resolved(stored, dict.fromkeys(leaves(stored.model_dump()), "resumed run"))
        return resolved, continued.facts().targets
    if asked.recipe == AUTO:
        return resolve_auto(asked, progress), target_class
    return resolve(asked.recipe, asked.config_file, asked.sets, asked.flags), target_class
