"""How `run` divides its time: what an evaluation takes on this device, and how much of it fits into a budget."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synthaug.classifiers import check_classifier, make_classifier, takes_steps
from synthaug.classifiers.logistic import FEATURES
from synthaug.classifiers.steps import BATCH_SIZE
from synthaug.documents import EvaluationSize, FitPlan
from synthaug.errors import plural
from synthaug.evaluation.arms import DEFAULT_SHARES, choose_arms
from synthaug.evaluation.fold import trials_of
from synthaug.features import load_features
from synthaug.progress.counter import duration
from synthaug.requests import RunRequest
from synthaug.sampling.agreement_gate import FOLDS

FEW_STEPS = 150
"""Before classifiers train for fewer steps than this, there are fewer seeds."""
FEWEST_STEPS, FEWEST_SEEDS = 50, 3
PICTURES = 1000
"""Synthetic images of a target class that are compared with real ones, about."""
EXPORT = 15.0
"""Seconds: with the recommended numbers, most images are only copied."""
GATE_CLASSIFIER, GATE_STEPS = "cnn", "gate.steps"
Cost = Callable[[EvaluationSize], float]


@dataclass(frozen=True)
class Division:
    """Seconds of the training and of the evaluation (None: not known before), the evaluation's size, and warnings."""

    training: float
    evaluation: float | None
    size: EvaluationSize
    what: str
    warnings: list[str]


def divide(request: RunRequest, fit: FitPlan, seconds: float | None) -> Division:
    """Divide `seconds` for everything; None: nothing is reduced, and the training takes what it takes.

    At most half of the time is for the evaluation. If it does not fit, its classifiers take fewer steps, then fewer
    seeds; what the user gave stays. No control is left out, because the verdict would say less.
    """
    name = check_classifier(request.classifier)
    gate = int(fit.config[GATE_STEPS]) if fit.config["gate.agreement"] else 0
    asked = EvaluationSize(seeds=request.seeds, steps=request.steps, gate_steps=gate)
    known = takes_steps(name) and not name.startswith("finetune")
    cost = _cost(name, request, fit, known)
    if seconds is None:
        found = cost(asked) if known else None
        return Division(fit.estimated_seconds, found, asked, _in_words(name, fit, asked), [])
    half = seconds / 2
    size = fitting(asked, _fewest(asked, request, fit, known), half - EXPORT if known else half / 2, cost)
    evaluation = cost(size) if known else None
    training = half if evaluation is None else max(half, seconds - EXPORT - evaluation)
    warnings, budget = [], request.budget
    if size != asked:
        whole = math.ceil(2 * (cost(asked) + EXPORT) / 60)
        warnings.append(
            f"{budget} is too short for {asked.text()}, which take about {duration(cost(asked))} here: reduced to "
            f"{size.text()}, which find fewer effects; --budget {whole}min reduces nothing"
        )
    if evaluation is None:
        warnings.append(f"how long {name} classifiers take is not known before: the training takes half of {budget}")
    elif evaluation + EXPORT > half:
        rest = duration(training + evaluation + EXPORT)
        warnings.append(f"the evaluation does not fit into {budget} even so: everything takes about {rest}")
    return Division(training, evaluation, size, _in_words(name, fit, size), warnings)


def fitting(asked: EvaluationSize, fewest: EvaluationSize, seconds: float, cost: Cost) -> EvaluationSize:
    """The largest size, from `asked` down to `fewest`, that costs at most `seconds`; else `fewest`.

    >>> size = EvaluationSize(seeds=5, steps=600, gate_steps=600)
    >>> fewest = EvaluationSize(seeds=3, steps=50, gate_steps=50)
    >>> fitting(size, fewest, 400, lambda size: size.seeds * size.steps / 5).text()
    '5 seeds of 396 steps and a gate of 396'
    """

    def scaled(seeds: int, percent: int) -> EvaluationSize:
        steps = max(fewest.steps, asked.steps * percent // 100)
        return EvaluationSize(
            seeds=seeds, steps=steps, gate_steps=max(fewest.gate_steps, asked.gate_steps * percent // 100)
        )

    for seeds in (asked.seeds, fewest.seeds):
        sizes = (scaled(seeds, percent) for percent in range(100, -1, -1))
        size = next((size for size in sizes if cost(size) <= seconds), fewest)
        if size.seeds == seeds and size.steps >= min(FEW_STEPS, asked.steps):
            break
    return size


def _fewest(asked: EvaluationSize, request: RunRequest, fit: FitPlan, known: bool) -> EvaluationSize:
    """The smallest size that a budget may ask for; what the user gave stays, and where it would gain nothing known."""
    kept = request.model_fields_set if known else {"seeds", "steps"}
    gate_kept = fit.origins[GATE_STEPS] in ("--set", "flag")
    return EvaluationSize(
        seeds=asked.seeds if "seeds" in kept else min(FEWEST_SEEDS, asked.seeds),
        steps=asked.steps if "steps" in kept else min(FEWEST_STEPS, asked.steps),
        gate_steps=asked.gate_steps if gate_kept else min(FEWEST_STEPS, asked.gate_steps),
    )


def _classifiers(name: str, fit: FitPlan, seeds: int) -> int:
    """How many at most; those that train for twice the steps count twice. With validation images, shares are tried."""
    arms, _ = choose_arms(None, name)
    shares = DEFAULT_SHARES if all(fit.split["val"].get(target) for target in fit.targets) else DEFAULT_SHARES[:1]
    return len(trials_of(arms, shares, seeds)) + 2 * seeds


def _in_words(name: str, fit: FitPlan, size: EvaluationSize) -> str:
    steps = f", {size.steps} steps" if takes_steps(name) else ""
    return f"about {plural(_classifiers(name, fit, size.seeds), 'classifier')} ({name}{steps})"


def _cost(name: str, request: RunRequest, fit: FitPlan, known: bool) -> Cost:
    """Seconds of an evaluation by its size, as measured here; of a classifier that is not `known`, without it."""
    gate = _seconds_per_step(GATE_CLASSIFIER, request.device, fit)
    step = gate if name == GATE_CLASSIFIER else _seconds_per_step(name, request.device, fit) if known else 0.0
    pictures = fit.images + PICTURES * len(fit.targets)
    features = pictures * _seconds_per_picture(request.device, fit)

    def cost(size: EvaluationSize) -> float:
        steps = size.steps * _classifiers(name, fit, size.seeds)
        return round(steps * step + FOLDS * size.gate_steps * gate + features, 1)

    return cost


def _seconds_per_step(classifier: str, device: str, fit: FitPlan) -> float:
    """Of a classifier's training: a few steps on noise, with the random changes that most arms have."""
    pixels, labels, took = _noise(BATCH_SIZE, fit), np.arange(BATCH_SIZE) % len(fit.split["train"]), []
    for steps in (1, 1, 6):  # the first one prepares the device
        made = make_classifier(classifier)(device=device)
        started = time.monotonic()
        made.fit(
            pixels, labels, np.ones(BATCH_SIZE), num_classes=len(fit.split["train"]), steps=steps, augment="classical"
        )
        made.predict_proba(pixels)  # waits for the device
        took.append(time.monotonic() - started)
    return max(took[2] - took[1], 0.0) / 5


def _seconds_per_picture(device: str, fit: FitPlan) -> float:
    """Of the features that images are compared by."""
    net, pixels, took = load_features(FEATURES, device=device), _noise(16, fit), []
    for _ in range(2):  # the first call prepares the net
        started = time.monotonic()
        net(pixels)
        took.append(time.monotonic() - started)
    return took[-1] / len(pixels)


def _noise(count: int, fit: FitPlan) -> npt.NDArray[np.uint8]:
    side = int(fit.config["data.resolution"])
    return np.random.default_rng(0).integers(256, size=(count, fit.channels, side, side), dtype=np.uint8)
