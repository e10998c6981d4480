"""`synthaug fit`: scan, split, cache, train, and leave a run directory."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import synthaug
from synthaug import runs as run_directories
from synthaug.config import Config
from synthaug.documents import FitDocument, MonitorScores
from synthaug.errors import Interrupted, SynthaugError
from synthaug.features import features_for
from synthaug.files import write_json
from synthaug.pipelines.auto import Asked
from synthaug.pipelines.prepare import (
    Prepared,
    fabric_for,
    game_for,
    named_run,
    prepare,
    settings,
    split_images,
    starting_point,
)
from synthaug.progress import Progress, Silent
from synthaug.runs import Run, RunFacts
from synthaug.training import checkpoint
from synthaug.training.game import Game
from synthaug.training.loop import train
from synthaug.training.monitor import Monitor
from synthaug.training.state import Counters
from synthaug.training.transfer import StartingPoint, noted_starting_point, transfer


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
    start: str | Path | None = None,
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
        start: a run to start from: its weights, with the classes of `data` (fine-tuning).
        device: auto, cpu, cuda, cuda:N or mps.
        strict: unreadable images are errors.
        cache: where decoded images are kept.
        progress: where to report.

    Raises:
        SynthaugError: bad input.
        RunFailed: the training diverged before there was a checkpoint to go back to.
        Interrupted: SIGINT or SIGTERM; the state was saved.
    """
    root = run_directories.default_root() if runs is None else runs
    continued = named_run(resume, root, recipe, config_file, sets, flags)
    asked = Asked(Path(data), recipe, config_file, sets, flags, device, strict, cache)
    resolved, target_class = settings(continued, asked, target_class, progress)
    prepared = prepare(data, target_class, resolved, device, strict, cache, progress)
    source = starting_point(start, root, prepared, continued)
    if resume == "auto":
        continued = _latest_equal(root, prepared, source)
        if continued is None:
            progress.say("no unfinished run of equal configuration: a new one starts")
    if continued is not None:
        _check_same_data(continued, prepared)
        if continued.status().get("state") == "finished":
            raise SynthaugError(
                f"the run {str(continued.path)!r} is finished",
                "start another without --resume, or with a larger --budget",
            )
        prepared.precision = continued.facts().precision

    train_images = split_images(prepared, "train", cache, progress)
    val_images = split_images(prepared, "val", cache, progress)
    # refuses what does not fit together, before there is a run
    fabric = fabric_for(prepared)
    game = game_for(prepared, train_images, fabric)
    untrained = continued is None or not checkpoint.names(continued)  # it may have been killed before the first
    if continued is not None and untrained and source is None:
        source = noted_starting_point(continued)
    if source is not None and untrained:
        transfer(source, game.family.networks, game.state.average.network, prepared.scanned.classes)
    run = continued
    if run is None and prepared.config.monitor.features == "own":
        # where the net is kept; other nets may fail to load, and leave no run
        run = _create(root, prepared, name, source)
    judge = features_for(
        prepared.config.monitor.features,
        train_images,
        folder=run.path if run is not None else None,
        seed=prepared.config.seed,
        device=device,
        progress=progress,
    )
    z_dim = game.family.generator.z_dim
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

    run = run if run is not None else _create(root, prepared, name, source)
    if continued is not None:
        _restore(run, game)
    counters = game.state.counters
    run_directories.point_latest(run)
    run.set_status(state="running")
    if source is not None:
        run.log(f"weights of {source.run.name}, {source.checkpoint}")
    run.log(f"training from {counters.images / 1000:.1f} kimg on {fabric.device} in {prepared.precision}")
    progress.say(f"run {run.path}: {_described(prepared)}")
    _say_what_is_held_out(prepared, progress)
    try:
        with _tensorboard(run, prepared.config) as on_row:
            train(run, game, monitor, progress, on_row)
    except Interrupted:
        raise
    except BaseException as error:
        run.log(f"stopped: {type(error).__name__}: {error}")
        run.set_status(state="failed")
        raise
    run.set_status(state="finished", kimg=counters.images / 1000, seconds=counters.seconds, diverged=counters.diverged)
    run.log(f"finished at {counters.images / 1000:.1f} kimg")
    if counters.diverged:
        progress.warn(
            f"the training ended early: it diverged {counters.diverged}. The run holds {counters.images / 1000:.1f} "
            f"kimg, and its best checkpoint, {counters.best_checkpoint}, can be used as any other"
        )
    return _document(run, prepared, counters)


def _latest_equal(root: Path, prepared: Prepared, source: StartingPoint | None) -> Run | None:
    start = source.note() if source is not None else None
    for run in reversed(run_directories.all_runs(root)):
        try:
            unfinished = run.status().get("state") != "finished"
            facts = run.facts()
            same = run.config() == prepared.config and facts.targets == prepared.targets
        except SynthaugError:
            continue  # a folder that a crash left before its first status
        same = same and facts.started_from == start and facts.fingerprint == prepared.scanned.fingerprint
        if unfinished and same:
            return run
    return None


def _check_same_data(run: Run, prepared: Prepared) -> None:
    if run.facts().fingerprint != prepared.scanned.fingerprint:
        raise SynthaugError(
            f"the images in {str(prepared.scanned.root)!r} are not those that {run.name!r} was trained on",
            f"it was trained on {run.facts().data}; start a new run without --resume",
        )


def _create(root: Path, prepared: Prepared, name: str | None, source: StartingPoint | None) -> Run:
    config = prepared.config
    targets = "-".join(prepared.targets[:3]) or "all"
    run = run_directories.create(
        root, name or f"{config.model.family}-{targets}-{config.data.resolution}px-seed{config.seed}"
    )
    facts = RunFacts(
        tool_version=synthaug.__version__,
        data=prepared.scanned.root.resolve(),
        fingerprint=prepared.scanned.fingerprint,
        classes=prepared.scanned.classes,
        targets=prepared.targets,
        channels=prepared.channels,
        precision=prepared.precision,
        started_from=source.note() if source is not None else None,
    )
    prepared.split.write(run.split_file)
    write_json(run.path / "environment.json", _environment(prepared))
    run.set_status(state="running", kimg=0.0)
    run_directories.write_config(run, prepared.resolved, facts)
    return run


def _environment(prepared: Prepared) -> dict[str, Any]:
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


def _restore(run: Run, game: Game) -> None:
    """Load the last checkpoint, and drop the rows of metrics.jsonl that a crash left behind it."""
    existing = checkpoint.names(run)
    if existing:
        checkpoint.restore(run, existing[-1], game.state)
    reached = game.state.counters.images / 1000
    run.replace_metrics([row for row in run.metrics() if existing and row.get("kimg", 0.0) <= reached])


def _described(prepared: Prepared) -> str:
    config = prepared.config
    return (
        f"{config.model.family}, {prepared.shape.resolution} px, {prepared.channels} channel(s), "
        f"{len(prepared.scanned.classes)} classes, targets {', '.join(prepared.targets) or 'none'}; "
        f"{prepared.device}, {prepared.precision}; budget {config.training.budget}"
    )


def _say_what_is_held_out(prepared: Prepared, progress: Progress) -> None:
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


def _document(run: Run, prepared: Prepared, counters: Counters) -> FitDocument:
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
        diverged=counters.diverged,
        targets=prepared.targets,
        split=prepared.split.counts(),
        monitor={name: MonitorScores(**{k: v for k, v in s.items() if k in known}) for name, s in scores.items()},
    )
