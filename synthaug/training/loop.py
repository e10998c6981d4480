"""The training loop: steps, scores and checkpoints until the budget is spent.

The randomness of step k comes from a generator seeded by (seed, k), and schedules count images. So N + M steps equal
N steps, a kill, a resume and M steps, bit for bit.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from synthaug import processes
from synthaug.budget import parse_budget
from synthaug.errors import Interrupted
from synthaug.progress import Progress, Task
from synthaug.runs import Run
from synthaug.seeds import attempt_seed
from synthaug.training import checkpoint, schedule
from synthaug.training.compilation import pays
from synthaug.training.game import Game, Scalars
from synthaug.training.interruption import StopRequest
from synthaug.training.monitor import Monitor
from synthaug.training.stability import Diverged, Recovery, Watch
from synthaug.training.state import Counters
from synthaug.training.steps import take_step
from synthaug.training.upscaling_monitor import UpscalingMonitor

OnRow = Callable[[dict[str, Any]], None]


def train(
    run: Run,
    game: Game,
    monitor: Monitor | UpscalingMonitor,
    progress: Progress,
    on_row: OnRow = lambda row: None,
    stop: StopRequest | None = None,
) -> Counters:
    """Train until the budget is spent. Checkpoints are written, scored and pruned on the way.

    Of several processes, all train and score; the first one writes and decides.

    After a divergence the training goes back to the last good checkpoint (`synthaug.training.stability`). When no
    rollback is left, it ends with that checkpoint, and the counters say why in `diverged`.

    Args:
        on_row: gets each row of metrics.jsonl.
        stop: by which others than the user at the terminal may end the training.

    Raises:
        RunFailed: it diverged before there was any checkpoint.
        Interrupted: SIGINT or SIGTERM came, or `stop` was asked; the state was saved first.
    """
    counters = game.state.counters
    _decide_what_is_known(game)
    recovery = Recovery(run, game, progress, on_row)
    started = time.monotonic() - counters.seconds
    with stop or StopRequest(progress.say) as stop:
        while True:
            loop = _Loop(run, game, monitor, progress, on_row, stop, started)
            try:
                if counters.images < schedule.WARM_UP_IMAGES:
                    loop.first_images()
                loop.remaining_images()
                break
            except Diverged as divergence:
                if not recovery.roll_back(str(divergence), divergence.since):
                    break
    counters.seconds = time.monotonic() - started
    return counters


def _decide_what_is_known(game: Game) -> None:
    """Fix the length of the training and whether to compile, where the configuration says so."""
    counters, config = game.state.counters, game.config
    _, kimg = parse_budget(config.training.budget)
    if counters.total is None and kimg is not None:
        schedule.set_length(counters, config, kimg * 1000)
    if counters.compiled is None and config.training.compile != "auto":
        counters.compiled = config.training.compile
    if counters.compiled:
        game.compile()


class _Loop:
    """A training from its start, or from the checkpoint that it resumes or goes back to."""

    def __init__(
        self,
        run: Run,
        game: Game,
        monitor: Monitor | UpscalingMonitor,
        progress: Progress,
        on_row: OnRow,
        stop: StopRequest,
        started: float,
    ) -> None:
        self._run, self._game, self._monitor = run, game, monitor
        self._progress, self._on_row, self._stop, self._started = progress, on_row, stop, started
        self._state, self._config, self._counters = game.state, game.config, game.state.counters
        self._images_per_step = schedule.images_per_step(game.config)
        self._watch = Watch(run, game.objective.floor, self._images_per_step)
        self._last_row = (time.monotonic(), self._counters.images)

    def first_images(self) -> None:
        """Measure the speed, turn a time budget into images, and write the first checkpoint."""
        counters = self._counters
        seconds, _ = parse_budget(self._config.training.budget)
        first = min(schedule.WARM_UP_IMAGES, counters.total or schedule.WARM_UP_IMAGES)
        with self._progress.task("first images", first / 1000, "kimg") as task:
            per_image = self._seconds_per_image(task, first)
            if counters.compiled is None:
                left = seconds or ((counters.total or 0) - counters.images) * per_image
                counters.compiled = processes.first(lambda: pays(self._game.fabric.device.type, left))
                if counters.compiled:
                    self._game.compile()
                    per_image = self._seconds_per_image(task, counters.images + schedule.WARM_UP_IMAGES)
        begun = time.monotonic()
        self._score()
        per_score = time.monotonic() - begun
        if counters.total is None:
            assert seconds is not None
            left = seconds - (time.monotonic() - self._started)
            length = schedule.images_in_budget(left, per_image, per_score, self._config, counters.images)
            schedule.set_length(counters, self._config, *processes.first(lambda: length))
        self._save()

    def remaining_images(self) -> None:
        """Train to the end; each interval ends with a score and a checkpoint."""
        counters = self._counters
        assert counters.total is not None
        with self._progress.task("training", counters.total / 1000, "kimg") as task:
            task.advance(counters.images / 1000)
            self._last_row = (time.monotonic(), counters.images)
            while counters.images < counters.total:
                self._advance(task, schedule.next_score(counters))
                self._score()
                self._save()

    def _seconds_per_image(self, task: Task, until: int) -> float:
        """Train until then. The first steps are not timed (they allocate memory and compile); the last one is."""
        self._advance(task, min(self._counters.images + self._images_per_step * 4, until - self._images_per_step))
        begun, images = time.monotonic(), self._counters.images
        self._advance(task, until)
        return (time.monotonic() - begun) / max(self._counters.images - images, 1)

    def _advance(self, task: Task, until: int) -> None:
        """Take steps until the discriminator was shown `until` images."""
        game, counters = self._game, self._counters
        while counters.images < until:
            game.set_progress(schedule.progress(counters), known=counters.total is not None)
            scalars = take_step(game, counters.step, attempt_seed(self._config.seed, counters.attempt))
            counters.step += 1
            counters.images += self._images_per_step
            self._state.average.update(game.family.exported_network, counters.images, self._images_per_step)
            task.advance(self._images_per_step / 1000)
            if schedule.row_is_due(counters.images, self._last_row[1]) or counters.images >= until:
                self._write_row(scalars, task)
            # A score that is due comes before a stop: a resumed run scores where an uninterrupted one does.
            stop = processes.largest(self._stop.signal or 0)
            if stop and counters.images < until:
                processes.first(partial(self._end_early, scalars, stop))

    def _write_row(self, scalars: Scalars, task: Task) -> None:
        """Write the losses and the rate to metrics.jsonl, after a look for divergence."""
        scalars = {name: value.clone() for name, value in scalars.items()}
        processes.average_(list(scalars.values()))
        (before, images), now = self._last_row, time.monotonic()
        rate = (self._counters.images - images) / max(now - before, 1e-9)
        self._last_row = (now, self._counters.images)
        processes.first(lambda: self._note(scalars, rate, task))

    def _note(self, scalars: Scalars, rate: float, task: Task) -> None:
        losses = {name: round(float(value), 5) for name, value in scalars.items()}
        self._watch.step(losses, self._game.family)
        row = {"kind": "step", "kimg": self._kimg, **losses, "images_per_second": round(rate, 1)}
        self._report(row)
        self._watch.discriminator(row, self._counters.interval)
        d = f"D {losses['loss_d']:.2f} " if "loss_d" in losses else ""
        task.note(f"{d}G {losses['loss_g']:.2f} {self._monitor.latest}")

    def _score(self) -> None:
        """Score the averaged network, note whether it is the best so far, and draw the sample grid."""
        counters, network = self._counters, self._state.average.network
        name = checkpoint.name_for(counters.images)
        processes.first(lambda: self._watch.averaged(network))
        row = self._monitor.score(network)
        found = processes.first(lambda: self._compared(row, name))
        counters.best_score, counters.best_checkpoint, counters.best_strength = found
        self._monitor.save_grid(network, self._run.samples / f"{name}.png")
        processes.first(lambda: self._report({"kind": "monitor", "kimg": self._kimg, **row}))

    def _compared(self, row: dict[str, Any], name: str) -> tuple[float | None, str | None, float]:
        """The best score so far, its checkpoint and the strength of its condition; `row` says if it is this one."""
        counters = self._counters
        self._watch.monitor(row, counters.images, counters.total)
        # While the class fades in, a less conditioned generator may score better. Its score does not count.
        strength = self._game.condition_strength
        fading = counters.best_strength < strength
        row["best"] = counters.best_score is None or fading or row["score"] <= counters.best_score
        if row["best"]:
            return row["score"], name, strength
        return counters.best_score, counters.best_checkpoint, counters.best_strength

    def _save(self) -> None:
        processes.first(self._write)

    def _write(self) -> None:
        self._counters.seconds = time.monotonic() - self._started
        name = checkpoint.save(self._run, self._state)
        best = self._counters.best_checkpoint
        total = None if self._counters.total is None else self._counters.total / 1000
        self._run.set_status(kimg=self._kimg, total_kimg=total, best_checkpoint=best, last_checkpoint=name)
        checkpoint.prune(self._run, best, self._config.training.keep_checkpoints)

    def _end_early(self, scalars: Scalars, signal: int) -> None:
        """Save, unless the state has diverged, and raise `Interrupted`."""
        named_alike = checkpoint.name_for(self._counters.images) in checkpoint.names(self._run)
        if self._watch.healthy(scalars, self._game) and not named_alike:  # a scored checkpoint is not replaced
            self._write()
        self._run.set_status(state="interrupted")
        raise Interrupted(
            f"interrupted at {self._kimg:.1f} kimg; the state is saved",
            f"continue with: {self._run.resuming()}",
            128 + signal,
        )

    @property
    def _kimg(self) -> float:
        return self._counters.images / 1000

    def _report(self, row: dict[str, Any]) -> None:
        self._run.append_metrics(row)
        self._on_row(row)
