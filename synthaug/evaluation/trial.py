"""One trial is one classifier: an arm, a share, a seed. Trials run beside each other, one thread each.

Two processes of two threads each slow each other many times over, and the last bits of a sum depend on the number of
threads. So every trial on a CPU uses one thread, wherever it runs: any number of processes gives the same numbers.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import joblib
import numpy as np
import numpy.typing as npt
import torch
from joblib.externals.loky.process_executor import BrokenProcessPool, TerminatedWorkerError

from synthaug.classifiers import CLASSIFIERS
from synthaug.classifiers.logistic import FEATURES, Logistic, RememberedFeatures
from synthaug.data.cache import LabelledImages
from synthaug.device import resolve_device
from synthaug.errors import RunFailed
from synthaug.evaluation.arms import ARMS, training_set
from synthaug.features import load_features
from synthaug.progress import Progress, Task


@dataclass(frozen=True, order=True)
class Trial:
    """`share` is 0 in arms without synthetic images."""

    arm: str
    share: float
    seed: int


@dataclass(frozen=True)
class Outcome:
    """Class probabilities [N, K] of the validation and of the test images."""

    val: npt.NDArray[np.float32]
    test: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Grid:
    """What all trials of an evaluation share."""

    classifier: str
    steps: int
    device: str
    train: LabelledImages
    groups: npt.NDArray[np.int64]
    pool: LabelledImages
    val: npt.NDArray[np.uint8]
    test: npt.NDArray[np.uint8]
    per_seed: int


def run_trials(
    grid: Grid, trials: Sequence[Trial], progress: Progress, jobs: int | None = None
) -> dict[Trial, Outcome]:
    """Train and predict; equal trials give equal outcomes whatever `jobs` is.

    Args:
        grid: images and settings.
        trials: each is run once.
        progress: shows one bar.
        jobs: processes; None: one a core, as far as there are trials.

    Raises:
        RunFailed: a worker process died.
        KeyboardInterrupt: after the workers are gone.
    """
    ordered = list(dict.fromkeys(trials))
    on_cpu = resolve_device(grid.device).type == "cpu"
    with progress.task(f"training {grid.classifier} classifiers", len(ordered), "classifiers") as task:
        if not CLASSIFIERS.get(grid.classifier).uses_steps:
            return _run_without_steps(grid, ordered, task)
        jobs = min(jobs or joblib.cpu_count(), len(ordered)) if on_cpu else 1
        if jobs <= 1:
            with _threads(1 if on_cpu else None):
                return {trial: _advance(task, trial, _run(grid, trial)) for trial in ordered}
        return _run_in_processes(grid, ordered, jobs, task)


def _run_in_processes(grid: Grid, trials: list[Trial], jobs: int, task: Task) -> dict[Trial, Outcome]:
    done: dict[Trial, Outcome] = {}
    try:
        with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
            outcomes = joblib.Parallel(n_jobs=jobs, return_as="generator", batch_size=1)(
                joblib.delayed(_run_in_worker)(grid, trial) for trial in trials
            )
            try:
                for trial, outcome in zip(trials, outcomes, strict=True):
                    done[trial] = _advance(task, trial, outcome)
            finally:
                outcomes.close()
    except (BrokenProcessPool, TerminatedWorkerError) as error:
        raise RunFailed(
            f"a process that trained a classifier died after {len(done)} of {len(trials)} classifiers",
            "it was killed from outside or ran out of memory; close other programs and run the command again",
        ) from error
    return done


def _run_in_worker(grid: Grid, trial: Trial) -> Outcome:
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends the workers
    with _threads(1):
        return _run(grid, trial)


def _run(grid: Grid, trial: Trial) -> Outcome:
    data = training_set(
        trial.arm, grid.train, grid.groups, grid.pool, share=trial.share, seed=trial.seed, per_seed=grid.per_seed
    )
    classifier = CLASSIFIERS.get(grid.classifier)(device=grid.device).fit(
        data.pixels, data.labels, data.draw_weights,
        num_classes=len(grid.train.classes), loss_weights=data.loss_weights, steps=grid.steps, seed=trial.seed,
        augment=data.augment, groups=data.groups,
    )  # fmt: skip
    return Outcome(classifier.predict_proba(grid.val), classifier.predict_proba(grid.test))


def _run_without_steps(grid: Grid, trials: list[Trial], task: Task) -> dict[Trial, Outcome]:
    """Logistic regression: one process, since its linear algebra and its feature net use all threads by themselves.

    Arms whose data does not depend on the seed are fitted once. The penalty of an arm is chosen on its first seed.
    """
    features = RememberedFeatures(load_features(FEATURES, device=grid.device))
    penalties: dict[tuple[str, float], float | None] = {}
    fixed: dict[str, Outcome] = {}
    done = {}
    for trial in trials:
        kind = ARMS[trial.arm]
        outcome = fixed.get(trial.arm)
        if outcome is None:
            data = training_set(
                trial.arm,
                grid.train,
                grid.groups,
                grid.pool,
                share=trial.share,
                seed=trial.seed,
                per_seed=grid.per_seed,
            )
            key = (trial.arm, trial.share)
            classifier = Logistic(
                device=grid.device, features=features, penalty=penalties.get(key), smote=kind.smote
            ).fit(
                data.pixels, data.labels, data.draw_weights,
                num_classes=len(grid.train.classes), loss_weights=data.loss_weights, seed=trial.seed,
                augment=data.augment, groups=data.groups,
            )  # fmt: skip
            penalties[key] = classifier.penalty
            outcome = Outcome(classifier.predict_proba(grid.val), classifier.predict_proba(grid.test))
            if not kind.synthetic and not kind.smote:
                fixed[trial.arm] = outcome
        done[trial] = _advance(task, trial, outcome)
    return done


def _advance(task: Task, trial: Trial, outcome: Outcome) -> Outcome:
    task.advance()
    task.note(f"{trial.arm}{f' {trial.share:.0%}' if trial.share else ''}, seed {trial.seed}")
    return outcome


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    try:
        if count is not None:
            torch.set_num_threads(count)
        yield
    finally:
        torch.set_num_threads(before)
