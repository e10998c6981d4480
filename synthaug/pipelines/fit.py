"""`synthaug fit`: scan, split, cache, train, and leave a run directory."""

from __future__ import annotations

import importlib.util
import logging
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

import torch
from lightning_fabric import Fabric

import synthaug
from synthaug import runs as run_directories
from synthaug.config import Config, Resolved, leaves, parse_budget, resolve
from synthaug.data.batches import BalancedBatches, class_probabilities
from synthaug.data.cache import LabelledImages, load_images
from synthaug.data.folder import Scan, scan
from synthaug.data.plan import check_targets
from synthaug.data.split import Split, check_trainable, split
from synthaug.documents import FitDocument, FitPlan, MonitorScores
from synthaug.errors import Interrupted, SynthaugError
from synthaug.features import check_features, features_for
from synthaug.features.base import resolve_device
from synthaug.files import write_json
from synthaug.losses import OBJECTIVES, REGULARIZERS
from synthaug.models import MODELS
from synthaug.models.family import Family, ImageShape
from synthaug.progress import Progress, Silent
from synthaug.runs import Run
from synthaug.training import checkpoint
from synthaug.training.checkpoint import Counters
from synthaug.training.loop import Parts, adversarial_step, build, train
from synthaug.training.monitor import Monitor


@dataclass
class _Prepared:
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


def _prepare(
    data: str | Path,
    target_class: str | Sequence[str],
    resolved: Resolved,
    device: str,
    strict: bool,
    cache: Path | None,
    progress: Progress,
) -> _Prepared:
    config = resolved.config
    _check_names(config)
    chosen = resolve_device(device)
    scanned = scan(Path(data), group_by=config.data.group_by, strict=strict, cache=cache, progress=progress)
    parts = split(scanned, config.data, config.seed)
    check_trainable(scanned, parts)
    targets = check_targets(target_class, parts.counts()["train"])
    for warning in parts.warnings:
        progress.warn(warning)
    return _Prepared(
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
    OBJECTIVES.check(config.training.objective)
    for name in config.training.regularizers:
        REGULARIZERS.check(name)
    DiffAugment(config.training.augment)
    for features in (config.monitor.features, config.gate.features):
        check_features(features)
    if config.training.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise SynthaugError(
            "training.tensorboard = true needs the package tensorboard", "pip install 'synthaug[tensorboard]'"
        )


def _precision(asked: str, device: torch.device) -> str:
    """bf16 where the hardware computes in it; elsewhere it is emulated and slow."""
    if asked != "auto":
        return asked
    if device.type == "cuda":
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "32-true"
    if device.type == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()):
        return "bf16-mixed"
    return "32-true"


def _fabric(prepared: _Prepared) -> Fabric:
    device = prepared.device
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces the precision, which we do ourselves
    devices: Any = [device.index] if device.index is not None else 1
    return Fabric(accelerator=device.type, devices=devices, precision=cast(Any, prepared.precision))


def _train_images(prepared: _Prepared, name: Any, cache: Path | None, progress: Progress) -> LabelledImages:
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


def _build(prepared: _Prepared, images: LabelledImages, fabric: Fabric) -> Parts:
    config = prepared.config
    # Initial weights come from the global generator, which is put back: a library must not reseed its user.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        family: Family = MODELS.get(config.model.family)(prepared.shape, config.model)
    batches = BalancedBatches(
        torch.from_numpy(images.pixels.copy()).to(fabric.device),
        torch.from_numpy(images.labels.copy()).to(fabric.device),
        _draws(prepared, images),
        config.training.batch_size,
        config.training.flip,
    )
    return build(config, family, batches, fabric)


def _draws(prepared: _Prepared, images: LabelledImages) -> torch.Tensor:
    training = prepared.config.training
    indices = [images.index(name) for name in prepared.targets]
    return class_probabilities(list(images.counts().values()), training.balance, indices, training.target_boost)


def fit(
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
    device: str = "auto",
    strict: bool = False,
    cache: Path | None = None,
    progress: Progress = Silent(),
) -> FitDocument:
    """Train a class-conditional generator on a folder of images.

    Args:
        data: the folder; nothing is written into it.
        target_class: the classes that images are wanted of, or "auto": the rare ones.
        recipe: a shipped recipe; `config_file`, `sets` (KEY=VALUE) and `flags` (dotted keys) override it in turn.
        name: the run's name behind its number.
        runs: where runs stand (default: `$SYNTHAUG_RUNS` or `./runs`).
        resume: a run to go on with, or "auto": the latest unfinished one of equal configuration, else a new one.
        device: auto, cpu, cuda, cuda:N or mps.
        strict: unreadable images are errors.
        cache: where decoded images are kept.
        progress: where to report.

    Raises:
        SynthaugError: bad input.
        RunFailed: the training diverged.
        Interrupted: SIGINT or SIGTERM; the state was saved.
    """
    root = run_directories.default_root() if runs is None else runs
    continued = _named_run(resume, root, recipe, config_file, sets, flags)
    if continued is not None:
        stored = continued.config()
        resolved = Resolved(stored, dict.fromkeys(leaves(stored.model_dump()), "resumed run"))
        target_class = list(continued.facts()["targets"])
    else:
        resolved = resolve(recipe, config_file, sets, flags)
    prepared = _prepare(data, target_class, resolved, device, strict, cache, progress)
    if resume == "auto":
        continued = _latest_equal(root, prepared)
        if continued is None:
            progress.say("no unfinished run of equal configuration: a new one starts")
    if continued is not None:
        _check_same_data(continued, prepared)
        if continued.status().get("state") == "finished":
            raise SynthaugError(
                f"the run {str(continued.path)!r} is finished",
                "start another without --resume, or with a larger --budget",
            )
        prepared.precision = continued.facts()["precision"]

    train_images = _train_images(prepared, "train", cache, progress)
    val_images = _train_images(prepared, "val", cache, progress)
    run = continued
    if run is None and prepared.config.monitor.features == "own":
        run = _create(root, prepared, name)  # where the net is kept; other nets may fail to load, and leave no run
    judge = features_for(
        prepared.config.monitor.features,
        train_images,
        folder=run.path if run is not None else None,
        seed=prepared.config.seed,
        device=device,
        progress=progress,
    )
    fabric = _fabric(prepared)
    parts = _build(prepared, train_images, fabric)
    z_dim = parts.family.generator.z_dim
    monitor = Monitor(
        train_images,
        val_images,
        prepared.targets,
        prepared.config.monitor,
        judge,
        z_dim,
        prepared.config.seed,
        fabric.device,
    )

    run = run if run is not None else _create(root, prepared, name)
    counters = _restore(run, parts) if continued is not None else Counters()
    run_directories.point_latest(run)
    run.set_status(state="running")
    run.log(f"training from {counters.images / 1000:.1f} kimg on {fabric.device} in {prepared.precision}")
    progress.say(f"run {run.path}: {_described(prepared)}")
    _say_what_is_held_out(prepared, progress)
    try:
        with _tensorboard(run, prepared.config) as on_row:
            counters = train(run, parts, counters, monitor, prepared.architecture, progress, on_row)
    except Interrupted:
        raise
    except BaseException as error:
        run.log(f"stopped: {type(error).__name__}: {error}")
        run.set_status(state="failed")
        raise
    run.set_status(state="finished", kimg=counters.images / 1000, seconds=counters.seconds)
    run.log(f"finished at {counters.images / 1000:.1f} kimg")
    return _document(run, prepared, counters)


def _named_run(
    resume: str | Path | None,
    root: Path,
    recipe: str | None,
    config_file: Path | None,
    sets: Sequence[str],
    flags: Mapping[str, Any] | None,
) -> Run | None:
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


def _latest_equal(root: Path, prepared: _Prepared) -> Run | None:
    for run in reversed(run_directories.all_runs(root)):
        try:
            unfinished = run.status().get("state") != "finished"
            same = run.config() == prepared.config and run.facts()["targets"] == prepared.targets
        except (SynthaugError, KeyError):
            continue  # a folder that a crash left before its first status
        if unfinished and same and run.facts()["fingerprint"] == prepared.scanned.fingerprint:
            return run
    return None


def _check_same_data(run: Run, prepared: _Prepared) -> None:
    if run.facts()["fingerprint"] != prepared.scanned.fingerprint:
        raise SynthaugError(
            f"the images in {str(prepared.scanned.root)!r} are not those that {run.name!r} was trained on",
            f"it was trained on {run.facts()['data']}; start a new run without --resume",
        )


def _create(root: Path, prepared: _Prepared, name: str | None) -> Run:
    config = prepared.config
    targets = "-".join(prepared.targets[:3]) or "all"
    run = run_directories.create(
        root, name or f"{config.model.family}-{targets}-{config.data.resolution}px-seed{config.seed}"
    )
    facts = {
        "tool_version": synthaug.__version__,
        "data": str(prepared.scanned.root.resolve()),
        "fingerprint": prepared.scanned.fingerprint,
        "classes": prepared.scanned.classes,
        "targets": prepared.targets,
        "channels": prepared.channels,
        "precision": prepared.precision,
    }
    prepared.split.write(run.split_file)
    write_json(run.path / "environment.json", _environment(prepared))
    run.set_status(state="running", kimg=0.0)
    run_directories.write_config(run, prepared.resolved, facts)
    return run


def _environment(prepared: _Prepared) -> dict[str, Any]:
    packages = {}
    for package in ("torch", "torchvision", "lightning-fabric", "numpy", "pillow", "scikit-learn", "timm"):
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            packages[package] = "not installed"
    return {
        "synthaug": synthaug.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "command": sys.argv,
        "device": str(prepared.device),
        "device_name": torch.cuda.get_device_name(prepared.device)
        if prepared.device.type == "cuda"
        else platform.processor(),
        "threads": torch.get_num_threads(),
        "precision": prepared.precision,
        "packages": packages,
    }


def _restore(run: Run, parts: Parts) -> Counters:
    """Load the last checkpoint and drop metrics that a crash left behind it."""
    existing = checkpoint.names(run)
    if not existing:
        return Counters()
    counters = checkpoint.restore(run, existing[-1], parts.networks(), parts.average.generator, parts.optimizers())
    rows = [row for row in run.metrics() if row.get("kimg", 0.0) <= counters.images / 1000]
    run.replace_metrics(rows)
    return counters


def _described(prepared: _Prepared) -> str:
    config = prepared.config
    return (
        f"{config.model.family}, {prepared.shape.resolution} px, {prepared.channels} channel(s), "
        f"{len(prepared.scanned.classes)} classes, targets {', '.join(prepared.targets) or 'none'}; "
        f"{prepared.device}, {prepared.precision}; budget {config.training.budget}"
    )


def _say_what_is_held_out(prepared: _Prepared, progress: Progress) -> None:
    val = prepared.split.counts().get("val", {})
    without = [t for t in prepared.targets if not val.get(t)]
    if without:
        progress.say(
            f"no val images of {', '.join(without)} (fewer than {prepared.config.data.min_images_for_val} to train "
            "on): the checkpoint is picked by the pooled score on val and by coverage against train, with the copy "
            "test on"
        )


def _tensorboard(run: Run, config: Config) -> AbstractContextManager[Any]:
    if not config.training.tensorboard:
        return nullcontext(lambda row: None)
    from synthaug.training.tensorboard import Board

    return Board(run.path / "tensorboard")


def _document(run: Run, prepared: _Prepared, counters: Counters) -> FitDocument:
    best: dict[str, Any] = {}
    for row in run.metrics():
        if row["kind"] == "monitor" and checkpoint.name_for(round(row["kimg"] * 1000)) == counters.best_checkpoint:
            best = row
    scores = {**best.get("per_class", {}), "pooled": best.get("pooled", {})}
    known = set(MonitorScores.model_fields)
    return FitDocument(
        run=str(run.path),
        kimg=counters.images / 1000,
        seconds=round(counters.seconds, 1),
        images_per_second=round(counters.images / max(counters.seconds, 1e-9), 1),
        best_checkpoint=counters.best_checkpoint or "",
        targets=prepared.targets,
        split=prepared.split.counts(),
        monitor={name: MonitorScores(**{k: v for k, v in s.items() if k in known}) for name, s in scores.items()},
    )


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
    continued = _named_run(resume, root, recipe, config_file, sets, flags)
    if continued is not None:
        stored = continued.config()
        resolved = Resolved(stored, dict.fromkeys(leaves(stored.model_dump()), "resumed run"))
        target_class = list(continued.facts()["targets"])
    else:
        resolved = resolve(recipe, config_file, sets, flags)
    prepared = _prepare(data, target_class, resolved, device, strict, cache, progress)
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
    parts = _build(prepared, placeholders, _fabric(prepared))
    per_image = _seconds_per_image(parts)
    seconds, kimg = parse_budget(config.training.budget)
    parameters = {
        "generator": sum(p.numel() for p in parts.family.generator.parameters()),
        "discriminator": sum(p.numel() for p in parts.family.discriminator.parameters()),
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
            c: round(float(p), 4) for c, p in zip(prepared.scanned.classes, _draws(prepared, placeholders), strict=True)
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


def _seconds_per_image(parts: Parts, steps: int = 5) -> float:
    for step in range(2):
        adversarial_step(parts, step, parts.config.seed)
    started = time.monotonic()
    for step in range(steps):
        float(adversarial_step(parts, step, parts.config.seed)["loss_g"])
    training = parts.config.training
    return (time.monotonic() - started) / (steps * training.batch_size * training.discriminator_steps)
