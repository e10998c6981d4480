"""What a training and its dry run begin with: a folder and a configuration that are known to fit each other."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from lightning_fabric import Fabric

from synthaug import runs as run_directories
from synthaug.config import Config, Resolved, leaves, resolve
from synthaug.data.batches import BalancedBatches, class_probabilities
from synthaug.data.cache import LabelledImages, load_images
from synthaug.data.folder import Scan, scan
from synthaug.data.plan import check_targets
from synthaug.data.split import Split, check_trainable, split
from synthaug.device import has_bf16, resolve_device
from synthaug.errors import SynthaugError
from synthaug.features import check_features
from synthaug.losses import OBJECTIVES, REGULARIZERS
from synthaug.models import DISCRIMINATORS, MODELS, build_family
from synthaug.models.family import Family, ImageShape
from synthaug.progress import Progress
from synthaug.runs import Run
from synthaug.training.loop import Parts, build


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
    _check_names(config)
    chosen = resolve_device(device)
    scanned = scan(Path(data), group_by=config.data.group_by, strict=strict, cache=cache, progress=progress)
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


def _check_names(config: Config) -> None:
    """Refuse unknown names before anything is scanned or written."""
    from synthaug.augment.diffaugment import DiffAugment

    MODELS.check(config.model.family)
    DISCRIMINATORS.check(config.model.discriminator)
    OBJECTIVES.check(config.training.objective)
    for name in config.training.regularizers:
        REGULARIZERS.check(name)
    DiffAugment(config.training.augment)
    check_features(config.monitor.features)
    if config.training.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise SynthaugError(
            "training.tensorboard = true needs the package tensorboard", "pip install 'synthaug[tensorboard]'"
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


def build_parts(prepared: Prepared, images: LabelledImages, fabric: Fabric) -> Parts:
    config = prepared.config
    # Initial weights come from the global generator, which is put back: a library must not reseed its user.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        family: Family = build_family(config.model.family, prepared.shape, config.model)
    batches = BalancedBatches(
        torch.from_numpy(images.pixels.copy()).to(fabric.device),
        torch.from_numpy(images.labels.copy()).to(fabric.device),
        draws(prepared, images),
        config.training.batch_size,
        config.training.flip,
    )
    return build(config, family, batches, fabric)


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


def settings(
    continued: Run | None,
    target_class: str | Sequence[str],
    recipe: str | None,
    config_file: Path | None,
    sets: Sequence[str],
    flags: Mapping[str, Any] | None,
) -> tuple[Resolved, str | Sequence[str]]:
    """The configuration and the target classes: of the run that goes on, or as given."""
    if continued is None:
        return resolve(recipe, config_file, sets, flags), target_class
    stored = continued.config()
    resolved = Resolved(stored, dict.fromkeys(leaves(stored.model_dump()), "resumed run"))
    return resolved, list(continued.facts()["targets"])
