"""Train the classifiers of a grid, each in a task: any number of processes gives the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from synthaug.classifiers import in_feature_space, make_classifier
from synthaug.classifiers.logistic import FEATURES, Logistic, RememberedFeatures
from synthaug.device import resolve_device
from synthaug.evaluation.arms import ARMS, DOWN_UP
from synthaug.evaluation.grid import Grid, Outcome, Trial
from synthaug.evaluation.trial_cache import TrialCache
from synthaug.features import load_features
from synthaug.progress import Progress, Task
from synthaug.tasks import Workers, run_tasks

LOGISTIC = "logistic"


def run_trials(
    grid: Grid, trials: Sequence[Trial], progress: Progress, workers: Workers = Workers(),
    cache: TrialCache | None = None, features: RememberedFeatures | None = None,
) -> dict[Trial, Outcome]:  # fmt: skip
    """Train and predict. Outcomes do not depend on `workers` or on the content of the cache.

    Args:
        grid: images and settings.
        trials: each is run once.
        progress: shows one bar.
        workers: where. Trials that share features run in this process, those of a GPU of this machine one by one.
        cache: of finished trials; new ones are stored in it.
        features: from `shared_features`, with what earlier trials of the grid have computed.

    Raises:
        RunFailed: a worker process died.
        KeyboardInterrupt: after the processes of this machine have ended.
    """
    ordered = list(dict.fromkeys(trials))
    device = resolve_device(grid.device)
    if workers.backend == "loky" and device.type != "cpu":
        workers = Workers(jobs=1)
    name = Path(grid.classifier).name
    with progress.task(f"training {name} classifiers", len(ordered), "classifiers") as task:
        done: dict[Trial, Outcome] = {}
        for trial in ordered:
            if cache is not None and (outcome := cache.find(trial)) is not None:
                done[trial] = _advance(task, trial, outcome, None)
        left = [trial for trial in ordered if trial not in done]
        if left and (shared := features or shared_features(grid, progress)) is not None:
            if grid.classifier == LOGISTIC:
                _run_logistic(grid, ordered, shared, done, task, cache)
            else:
                done |= {trial: _advance(task, trial, _run(grid, trial, features=shared), cache) for trial in left}
        elif left:
            told = replace(grid, device=str(device))  # what `auto` means here, and not on another machine
            outcomes = run_tasks(_run, told, left, workers, what="classifiers")
            done |= {t: _advance(task, t, outcome, cache) for t, outcome in zip(left, outcomes, strict=True)}
    if cache is not None:
        cache.tidy()
    return done


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
