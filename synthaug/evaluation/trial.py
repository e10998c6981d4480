"""Train the classifiers of a grid, in parallel processes on a CPU.

Every trial on a CPU uses one thread. Processes with several threads slow each other down, and the last bits of a sum
depend on the number of threads. With one thread, any number of processes gives the same numbers.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import joblib
import torch
from joblib.externals.loky.process_executor import BrokenProcessPool, TerminatedWorkerError

from synthaug.classifiers import in_feature_space, make_classifier
from synthaug.classifiers.logistic import FEATURES, Logistic, RememberedFeatures
from synthaug.device import resolve_device
from synthaug.errors import RunFailed
from synthaug.evaluation.arms import ARMS, DOWN_UP
from synthaug.evaluation.grid import Grid, Outcome, Trial
from synthaug.evaluation.trial_cache import TrialCache
from synthaug.features import load_features
from synthaug.progress import Progress, Task

LOGISTIC = "logistic"


def run_trials(
    grid: Grid, trials: Sequence[Trial], progress: Progress, jobs: int | None = None, cache: TrialCache | None = None,
    features: RememberedFeatures | None = None,
) -> dict[Trial, Outcome]:  # fmt: skip
    """Train and predict. Outcomes do not depend on `jobs` or on the content of the cache.

    Args:
        grid: images and settings.
        trials: each is run once.
        progress: shows one bar.
        jobs: processes; None: one per core, but no more than trials.
        cache: of finished trials; new ones are stored in it.
        features: from `shared_features`, with what earlier trials of the grid have computed.

    Raises:
        RunFailed: a worker process died.
        KeyboardInterrupt: after the workers have ended.
    """
    ordered = list(dict.fromkeys(trials))
    on_cpu = resolve_device(grid.device).type == "cpu"
    name = Path(grid.classifier).name
    with progress.task(f"training {name} classifiers", len(ordered), "classifiers") as task:
        done: dict[Trial, Outcome] = {}
        for trial in ordered:
            if cache is not None and (outcome := cache.find(trial)) is not None:
                done[trial] = _advance(task, trial, outcome, None)
        left = [trial for trial in ordered if trial not in done]
        jobs = min(jobs or joblib.cpu_count(), len(left)) if on_cpu else 1
        if left and (shared := features or shared_features(grid, progress)) is not None:
            if grid.classifier == LOGISTIC:
                _run_logistic(grid, ordered, shared, done, task, cache)
            else:
                done |= {trial: _advance(task, trial, _run(grid, trial, features=shared), cache) for trial in left}
        elif jobs <= 1:
            with _threads(1 if on_cpu else None):
                done |= {trial: _advance(task, trial, _run(grid, trial), cache) for trial in left}
        else:
            _run_in_processes(grid, left, done, jobs, task, cache)
    if cache is not None:
        cache.tidy()
    return done


def _run_in_processes(
    grid: Grid, trials: list[Trial], done: dict[Trial, Outcome], jobs: int, task: Task, cache: TrialCache | None
) -> None:
    finished = 0
    try:
        with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
            outcomes = joblib.Parallel(n_jobs=jobs, return_as="generator", batch_size=1)(
                joblib.delayed(_run_in_worker)(grid, trial) for trial in trials
            )
            try:
                for trial, outcome in zip(trials, outcomes, strict=True):
                    done[trial] = _advance(task, trial, outcome, cache)
                    finished += 1
            finally:
                outcomes.close()
    except (BrokenProcessPool, TerminatedWorkerError) as error:
        raise RunFailed(
            f"a process that trained a classifier died after {finished} of {len(trials)} classifiers",
            "it ran out of memory or was killed from outside; close other programs and run the command again: it "
            "continues from there",
        ) from error


def _run_in_worker(grid: Grid, trial: Trial) -> Outcome:
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends the workers
    with _threads(1):
        return _run(grid, trial)


def _run(grid: Grid, trial: Trial, **shared: RememberedFeatures) -> Outcome:
    data = grid.training_set(trial)
    classifier = make_classifier(grid.classifier)(device=grid.device, **shared).fit(
        data.pixels, data.labels, data.draw_weights,
        num_classes=len(grid.train.classes), loss_weights=data.loss_weights, steps=trial.times * grid.steps,
        seed=trial.seed, augment=data.augment, groups=data.groups, **data.options,
    )  # fmt: skip
    return Outcome(classifier.predict_proba(grid.val), classifier.predict_proba(grid.test))


def shared_features(grid: Grid, progress: Progress) -> RememberedFeatures | None:
    """The feature net of all trials; None if the classifier has none of its own for each image.

    These trials run in one process: the net and linear algebra use all threads.
    """
    if not in_feature_space(grid.classifier):
        return None
    if grid.classifier == LOGISTIC:
        return RememberedFeatures(load_features(FEATURES, device=grid.device), progress)
    classifier: Any = make_classifier(grid.classifier)(device=grid.device)
    found: RememberedFeatures = classifier.remembered(grid.test.shape[2], progress)
    return found


def _run_logistic(
    grid: Grid,
    trials: list[Trial],
    features: RememberedFeatures,
    done: dict[Trial, Outcome],
    task: Task,
    cache: TrialCache | None,
) -> None:
    """Logistic regression.

    An arm whose data does not depend on the seed is fitted once. The penalty of an arm is chosen on its first seed. An
    arm of reduced and enlarged real images takes that of its control: a cross-validation would hold out images of
    which it has blurred copies.
    """
    penalties: dict[tuple[str, float, float], float | None] = {}
    fixed: dict[str, Outcome] = {}
    for trial in trials:
        kind = ARMS[trial.arm]
        key = (trial.arm, trial.share, trial.real)
        by_seed = kind.mixes or kind.smote or trial.real < 1
        if kind.down_up and (own := penalties.get((DOWN_UP[trial.arm].control.name, 0.0, 1.0))) is not None:
            penalties[key] = own
        outcome = done.get(trial)
        if outcome is None:
            outcome = None if by_seed else fixed.get(trial.arm)
            if outcome is None:
                data = grid.training_set(trial)
                classifier = Logistic(device=grid.device, features=features, penalty=penalties.get(key)).fit(
                    data.pixels, data.labels, data.draw_weights,
                    num_classes=len(grid.train.classes), loss_weights=data.loss_weights, seed=trial.seed,
                    augment=data.augment, groups=data.groups, **data.options,
                )  # fmt: skip
                outcome = Outcome(
                    classifier.predict_proba(grid.val), classifier.predict_proba(grid.test), classifier.penalty
                )
            done[trial] = _advance(task, trial, outcome, cache)
        penalties.setdefault(key, outcome.penalty)
        if not by_seed:
            fixed.setdefault(trial.arm, outcome)


def _advance(task: Task, trial: Trial, outcome: Outcome, cache: TrialCache | None) -> Outcome:
    if cache is not None:
        cache.store(trial, outcome)
    task.advance()
    share = f" {trial.share:.0%}" if trial.share else ""
    less = f", {trial.real:.0%} of the real images" if trial.real < 1 else ""
    longer = f", {trial.times} × the steps" if trial.times > 1 else ""
    task.note(f"{trial.arm}{share}{less}{longer}, seed {trial.seed}")
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
