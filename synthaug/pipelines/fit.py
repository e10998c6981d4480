"""`synthaug fit`: scan, split, decode, train, and leave a run directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from synthaug import processes
from synthaug import runs as run_directories
from synthaug.data.cache import LabelledImages
from synthaug.data.run_data import stored_conditions
from synthaug.data.split import Split
from synthaug.documents import FitDocument, MonitorScores
from synthaug.errors import Interrupted, RunFailed, SynthaugError, plural
from synthaug.features import FeatureNet, is_foreign
from synthaug.files import DISK_FULL, write_json
from synthaug.launched import follows
from synthaug.page_server import PageServer
from synthaug.pipelines.chosen_sources import choose_source_classes, sources_for
from synthaug.pipelines.environment import environment
from synthaug.pipelines.monitor_net import check_unchanged, monitor_net
from synthaug.pipelines.prepare import Prepared, fabric_for, game_for, prepare
from synthaug.pipelines.preview import previewed
from synthaug.pipelines.upscaler_images import upscaler_images
from synthaug.progress import Progress, Silent, shown
from synthaug.requests import FitRequest, documented
from synthaug.results.trained import FitResult
from synthaug.runs import Run, RunFacts, RunLike
from synthaug.sampling.attributes import RunAttributes
from synthaug.training import checkpoint
from synthaug.training.game import Game
from synthaug.training.interruption import StopRequest
from synthaug.training.loop import OnRow, train
from synthaug.training.monitor import Monitor
from synthaug.training.state import Counters
from synthaug.training.trackers import tracking
from synthaug.training.transfer import noted_starting_point, transfer
from synthaug.training.upscaling_monitor import UpscalingMonitor
from synthaug.upscalers.options import UpscalerOptions
from synthaug.version import __version__


@documented(FitRequest)
def fit(
    data: str | Path, *, target_class: str | Sequence[str] = "auto", budget: str | None = None,
    recipe: str | None = None, family: str | None = None, objective: str | None = None,
    config: str | Path | None = None,
    set: Sequence[str] | Mapping[str, Any] = (), source_classes: Sequence[str] | None = None,
    pairs: str | Path | None = None, condition: Sequence[str] | None = None,
    resolution: int | None = None, scale: int | None = None, fit: str | None = None,
    group_by: str | None = None, seed: int | None = None, device: str = "auto", devices: int | None = None,
    nodes: int | None = None, precision: str | None = None, features: str | None = None, name: str | None = None,
    runs: str | Path | None = None, resume: RunLike | None = None, checkpoint: str | Path | None = None,
    from_: RunLike | None = None, preview: bool = False, port: int | None = None, strict: bool = False,
    cache: str | Path | None = None, progress: Progress | bool = True,
) -> FitResult:  # fmt: skip
    """Train a class-conditional generator on a folder of images. Nothing is written into the folder.

    Raises:
        SynthaugError: bad input.
        RunFailed: the training diverged before there was a checkpoint to go back to, or another process ended.
        Interrupted: SIGINT or SIGTERM; the state was saved.
    """
    return FitResult.of(run_fit(FitRequest.of(locals()), shown(progress)))


def run_fit(request: FitRequest, progress: Progress) -> FitDocument:
    with ExitStack() as held, processes.together():
        server = None
        if request.preview and not follows():
            server = PageServer(request.port)  # a port in use is an error before any work
            held.callback(server.close)
        return _fit(request, progress, held, server)


def _fit(request: FitRequest, progress: Progress, held: ExitStack, server: PageServer | None) -> FitDocument:
    """`held` has the lock of the run from its beginning to its end; `server` shows the training."""
    prepared = prepare(request, progress)
    processes.join(prepared.device.type, *prepared.processes)
    continued, prepared.precision = processes.first(
        lambda: (_run_to_continue(request, prepared, progress, held), prepared.precision)
    )
    fabric = fabric_for(prepared)
    prepared.device = fabric.device
    if isinstance(prepared.config.model, UpscalerOptions):
        train_images, val_images = upscaler_images(prepared, request.cache, progress)
    else:
        train_images = prepared.data.images("train", request.cache, progress)
        val_images = prepared.data.images("val", request.cache, progress)
    game = game_for(prepared, train_images, fabric)  # fails before a run is created
    _load_starting_point(prepared, game, continued)
    run, judge = continued, None
    if processes.rank() == 0:
        # The self-trained net is stored in the run. Other nets are loaded first: if that fails, no run is created.
        if run is None and prepared.config.monitor.features == "own":
            run = _create(request, prepared, held)
        judge = _judge(request, prepared, run, continued, train_images, progress)
        choose_source_classes(prepared, continued, train_images, judge, progress)
    prepared.sources = processes.first(lambda: prepared.sources)
    game.sources = sources_for(request, prepared, train_images, progress)
    run = processes.first(lambda: run)
    judge = judge or _judge(request, prepared, run, continued, train_images, progress)
    monitor = _monitor(prepared, game, judge, train_images, val_images)
    run = processes.first(lambda: run or _create(request, prepared, held))
    if continued is not None:
        _restore(run, game)
    stop = StopRequest(progress.say)
    try:
        with previewed(run, server, stop.ask, progress) as page:
            _train(run, prepared, game, monitor, progress, page, stop)
    except Interrupted as end:
        raise Interrupted(end.message, f"continue with: {request.continuing(run.path)}", end.exit_status) from end
    return _document(run, prepared, game.state.counters)


def _judge(
    request: FitRequest, prepared: Prepared, run: Run | None, continued: Run | None, train: LabelledImages,
    progress: Progress,
) -> FeatureNet:  # fmt: skip
    """The monitor's feature net; that of a run that goes on must be the same one."""
    judge = monitor_net(run, prepared.config, prepared.features, train, device=request.device, progress=progress)
    if continued is not None:
        check_unchanged(continued, judge)
    elif is_foreign(prepared.features):
        prepared.features_sha256 = judge.sha256
    return judge


def _monitor(
    prepared: Prepared, game: Game, judge: FeatureNet, train: LabelledImages, val: LabelledImages
) -> Monitor | UpscalingMonitor:
    config = prepared.config
    if isinstance(config.model, UpscalerOptions):
        return UpscalingMonitor(val, config.model.scale, config.monitor, judge, game.fabric.device)
    return Monitor(
        train, val, prepared.data.targets, config.monitor, judge, game.family.generator.z_dim, config.seed,
        game.fabric.device, game.sources,
        None if (told := prepared.data.conditions) is None else RunAttributes.of(told, sources=game.sources).images,
    )  # fmt: skip


def _run_to_continue(request: FitRequest, prepared: Prepared, progress: Progress, held: ExitStack) -> Run | None:
    """The run that `resume` names, locked; None for a new one. Its precision is that of its beginning.

    Checkpoints that the training cannot or shall not continue from are set aside.

    Raises:
        SynthaugError: it is finished or in use, was trained on other images or maps, or has no such checkpoint.
    """
    run = prepared.named
    if request.resume == "auto":
        run = _latest_equal(prepared)
        if run is None:
            progress.say("no unfinished run of equal configuration: a new one starts")
    if run is None:
        if request.checkpoint is not None and request.from_ is None:
            raise SynthaugError(
                f"there is no run to continue from --checkpoint {request.checkpoint}", "name one with --resume RUN"
            )
        return None
    held.enter_context(run.writing())
    facts = run.facts()
    if facts.fingerprint != prepared.data.fingerprint:
        raise SynthaugError(
            f"the images in {str(prepared.data.folder)!r} are not those that {run.name!r} was trained on: "
            f"{_difference(Split.read(run.split_file), prepared.data.split)}",
            f"it was trained on {facts.data}: put the images back, or start a new run without --resume",
        )
    if _maps_of(run) != prepared.maps:
        raise SynthaugError(
            f"the maps of the images are not those that {run.name!r} was trained on",
            "put them back, or start a new run without --resume",
        )
    if stored_conditions(run) != prepared.data.conditions:
        raise SynthaugError(
            f"the conditions of the images are not those that {run.name!r} was trained on",
            "put the table back, or start a new run without --resume",
        )
    if run.status().get("state") == "finished":
        raise SynthaugError(
            f"the run {str(run.path)!r} is finished",
            f"start another from its weights: {FitRequest(data=request.data, from_=run.path).command()}",
        )
    prepared.precision = facts.precision
    _choose_checkpoint(run, None if request.from_ is not None else request.checkpoint, progress)
    return run


def _difference(before: Split, now: Split) -> str:
    """The first image that is not in both splits with the same pixels."""
    old, new = ({row.path: row.pixel_sha256 for row in side.rows} for side in (before, now))
    for path in sorted({*old, *new}):
        if path not in new:
            return f"{path!r} is gone"
        if old.get(path) != new[path]:
            return f"{path!r} {'has changed' if path in old else 'is new'}"
    return "their classes or splits have changed"


def _choose_checkpoint(run: Run, which: str | Path | None, progress: Progress) -> None:
    """Set aside the checkpoints that are newer than `which`; or else those of the newest that are damaged.

    Raises:
        SynthaugError: there is no such checkpoint, or it is damaged.
    """
    place = run.path / checkpoint.ASIDE
    if which is not None:
        chosen = checkpoint.find_own(run, which)
        checkpoint.check_whole(chosen)
        newer = [name for name in checkpoint.names(run) if name > chosen.name]
        for name in newer:
            checkpoint.set_aside(run, name)
        notes = [f"going back to {chosen.name}: {', '.join(newer)} are kept in {str(place)!r}"] if newer else []
    else:
        notes = [f"{fault.message}; it is kept in {str(place)!r}" for fault in checkpoint.set_damaged_aside(run)]
        if notes:
            left = checkpoint.names(run)
            notes.append(f"continuing from {left[-1] if left else 'the start, for no checkpoint is left'}")
    for note in notes:
        run.log(note)
        progress.warn(note)


def _latest_equal(prepared: Prepared) -> Run | None:
    """The latest unfinished run of the same configuration, targets, images, maps and starting point."""
    start = prepared.start.note() if prepared.start is not None else None
    data = prepared.data
    wanted = (prepared.config, data.targets, data.fingerprint, start, prepared.maps, data.conditions)
    for run in reversed(run_directories.all_runs(prepared.root)):
        try:
            facts = run.facts()
            given = (facts.started_from, _maps_of(run), stored_conditions(run))
            found = (run.config(), facts.targets, facts.fingerprint, *given)
            if run.status().get("state") != "finished" and found == wanted:
                return run
        except SynthaugError:
            continue  # a folder that a crash left before its first status
    return None


def _maps_of(run: Run) -> Split | None:
    return Split.read(run.maps_file) if run.maps_file.exists() else None


def _load_starting_point(prepared: Prepared, game: Game, continued: Run | None) -> None:
    """Load the weights that a training starts from, unless the run to continue has a checkpoint of its own."""
    if continued is not None and processes.first(lambda: checkpoint.names(continued)):
        return
    if prepared.start is None and continued is not None:
        prepared.start = noted_starting_point(continued)
    if prepared.start is not None:
        transfer(prepared.start, game.family.networks, game.state.average.network, prepared.data.classes)


def _create(request: FitRequest, prepared: Prepared, held: ExitStack) -> Run:
    """Make the run's folder, locked, with all that is known before the training."""
    config = prepared.config
    targets = "-".join(prepared.data.targets[:3]) or "all"
    name = request.name or f"{config.model.family}-{targets}-{config.data.resolution}px-seed{config.seed}"
    conditions = prepared.data.conditions
    facts = RunFacts(
        tool_version=__version__, data=prepared.data.folder,
        data_url=request.data if isinstance(request.data, str) else None, fingerprint=prepared.data.fingerprint,
        classes=prepared.data.classes, targets=prepared.data.targets, channels=prepared.data.channels,
        precision=prepared.precision, started_from=prepared.start.note() if prepared.start is not None else None,
        features_sha256=prepared.features_sha256, sources=prepared.sources,
        conditions=list(conditions.columns) if conditions is not None else [],
    )  # fmt: skip

    def fill(run: Run) -> None:
        prepared.data.split.write(run.split_file)
        if conditions is not None:
            conditions.write(run.conditions_file)
        if prepared.maps is not None:
            prepared.maps.write(run.maps_file)
        write_json(run.path / "environment.json", environment(prepared.device, prepared.precision))
        run.set_status(state="running", kimg=0.0)
        run_directories.write_config(run, prepared.resolved, facts)

    run = run_directories.create(prepared.root, name, fill)
    held.enter_context(run.writing())
    return run


def _restore(run: Run, game: Game) -> None:
    """Load the last checkpoint, and drop later rows of metrics.jsonl, which a crash may leave."""
    existing = processes.first(lambda: checkpoint.names(run))  # another machine may see what was set aside
    if existing:
        checkpoint.restore(run, existing[-1], game.state)
    last = existing[-1] if existing else None
    run.set_status(best_checkpoint=game.state.counters.best_checkpoint, last_checkpoint=last)
    reached = game.state.counters.images / 1000
    rows = [row for row in run.metrics() if existing and row.get("kimg", 0.0) <= reached]
    processes.first(lambda: run.replace_metrics(rows))


def _train(
    run: Run, prepared: Prepared, game: Game, monitor: Monitor | UpscalingMonitor, progress: Progress, page: OnRow,
    stop: StopRequest,
) -> None:  # fmt: skip
    """Train, and in the first process write the outcome into the run's status and log.

    `page` gets each row of metrics.jsonl, and so do the trackers.

    Raises:
        RunFailed: the disk is full, or the training diverged before there was a checkpoint to go back to.
        Interrupted: SIGINT or SIGTERM; the state was saved.
    """
    if processes.rank() != 0:
        train(run, game, monitor, Silent(), stop=stop)
        return
    counters = game.state.counters
    run_directories.point_latest(run)
    run.set_status(state="running")
    if prepared.start is not None:
        run.log(f"weights of {prepared.start.run.name}, {prepared.start.checkpoint}")
    place = "in the memory map" if game.batches.mapped else "on the device"
    run.log(
        f"training from {counters.images / 1000:.1f} kimg on {game.fabric.device} in {prepared.precision}; "
        f"training images {place}"
    )
    progress.say(f"run {run.path}: {_described(prepared)}")
    progress.say(f"samples of each checkpoint: {run.samples}")
    if isinstance(monitor, Monitor):
        _say_targets_without_val(prepared, progress)
    try:
        with tracking(prepared.config.training.trackers, run) as track:

            def on_row(row: dict[str, Any]) -> None:
                track(row)
                page(row)

            train(run, game, monitor, progress, on_row, stop)
    except Interrupted:
        raise
    except BaseException as error:
        with suppress(OSError):  # the disk may be full
            run.log(f"stopped: {type(error).__name__}: {error}")
            run.set_status(state="failed")
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            raise RunFailed(
                f"the disk is full while writing into the run {str(run.path)!r}: {error.strerror}",
                f"free some space, then: {run.resuming()}",
            ) from error
        raise
    kimg = counters.images / 1000
    run.set_status(state="finished", kimg=kimg, seconds=counters.seconds, diverged=counters.diverged)
    run.log(f"finished at {kimg:.1f} kimg")
    if counters.diverged:
        progress.warn(
            f"the training ended early: it diverged {counters.diverged}. The run holds {kimg:.1f} kimg, and its best "
            f"checkpoint, {counters.best_checkpoint}, can be used like any other"
        )


def _described(prepared: Prepared) -> str:
    config = prepared.config
    classes = plural(len(prepared.data.classes), "class", "classes")
    told = f"conditions {', '.join(config.data.conditions)}; " if config.data.conditions else ""
    return (
        f"{config.model.family}, {prepared.shape.resolution} px, {plural(prepared.data.channels, 'channel')}, "
        f"{classes}, targets {', '.join(prepared.data.targets) or 'none'}; {told}"
        f"{prepared.device}, {prepared.precision}; budget {config.training.budget}"
    )


def _say_targets_without_val(prepared: Prepared, progress: Progress) -> None:
    val = prepared.data.split.counts().get("val", {})
    without = [t for t in prepared.data.targets if not val.get(t)]
    if without:
        progress.say(
            f"too few images of {', '.join(map(repr, without))} for validation (fewer than "
            f"{prepared.config.data.min_images_for_val}): choosing the checkpoint by overall quality and variety, and "
            "checking for copies"
        )


def _document(run: Run, prepared: Prepared, counters: Counters) -> FitDocument:
    best = checkpoint.scores_of(run, counters.best_checkpoint)
    scores = {**best.get("per_class", {}), "pooled": best.get("pooled", {})}
    known = set(MonitorScores.model_fields)
    return FitDocument(
        run=str(run.path), kimg=counters.images / 1000, seconds=round(counters.seconds, 1),
        images_per_second=round(counters.images / max(counters.seconds, 1e-9), 1),
        best_checkpoint=counters.best_checkpoint or "", diverged=counters.diverged, targets=prepared.data.targets,
        split=prepared.data.split.counts(),
        monitor={name: MonitorScores(**{k: v for k, v in s.items() if k in known}) for name, s in scores.items()},
        upscaling=best.get("upscaling"),
    )  # fmt: skip
