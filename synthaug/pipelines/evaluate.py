"""`evaluate`: do the synthetic images help? Trials, verdict, quality of the images, report."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from synthaug.classifiers import check_classifier, takes_steps
from synthaug.data.attributes import Column
from synthaug.data.run_data import RunData
from synthaug.device import resolve_device
from synthaug.documents import (
    Arm,
    ChangedImages,
    CombinationDocument,
    EvaluateDocument,
    EvaluatedSize,
    LearningCurve,
    Sharpness,
    VerdictDocument,
)
from synthaug.errors import Interrupted, RunFailed, plural
from synthaug.evaluation.arms import (
    ARMS,
    CONTRASTS,
    DOWN_UP,
    LONGER,
    choose_arms,
    needed_controls,
    shared_by_seeds,
)
from synthaug.evaluation.before_after import before_and_after
from synthaug.evaluation.best_control import BestControl, best_control
from synthaug.evaluation.changed_images import changed_images
from synthaug.evaluation.combinations import by_combination, divide
from synthaug.evaluation.fold import Fold, probabilities, shares_of, trials_of
from synthaug.evaluation.grid import Trial
from synthaug.evaluation.held_out import HeldOut, small_test_warnings
from synthaug.evaluation.images import real_images
from synthaug.evaluation.learning_curve import SHARES, curve_contrast, in_words, learning_curve
from synthaug.evaluation.longer import longer_training, with_longer
from synthaug.evaluation.next_step import ENOUGH_SEEDS, next_step
from synthaug.evaluation.recommend import Validation, recommend
from synthaug.evaluation.report.write import write_report
from synthaug.evaluation.scores import Probabilities
from synthaug.evaluation.shares import Candidates, candidates
from synthaug.evaluation.size_in_words import with_size
from synthaug.evaluation.statistics import F1Table
from synthaug.evaluation.suspects import SuspectImage, find_suspects, leaks
from synthaug.evaluation.suspects import in_words as suspects_in_words
from synthaug.evaluation.trial import run_trials, shared_features
from synthaug.evaluation.trial_cache import TrialCache
from synthaug.evaluation.verdict import judge
from synthaug.files import DISK_FULL, check_outside
from synthaug.metrics.sharpness_auc import compare_sharpness
from synthaug.pipelines.describe import EVALUATION
from synthaug.pipelines.evaluated_folds import asked_arms, generators_of, make_folds, mix_of, together
from synthaug.pipelines.folds import FOLDER as FOLDS
from synthaug.pipelines.folds import fold_data
from synthaug.pipelines.judged_data import judged_data, report_folder
from synthaug.pipelines.judged_quality import qualities
from synthaug.pipelines.judged_size import evaluated_size
from synthaug.pipelines.monitor_net import check_permitted
from synthaug.pipelines.report_material import report_material
from synthaug.progress import Progress, shown
from synthaug.requests import EvaluateRequest, documented
from synthaug.requests.options import workers_of
from synthaug.results.trained import EvaluateResult
from synthaug.runs import RunLike
from synthaug.seeds import named_stream


@documented(EvaluateRequest)
def evaluate(
    run: RunLike | None = None, *, test: str | Path | None = None, synthetic: str | Path | None = None,
    data: str | Path | None = None, target_class: str | Sequence[str] = "auto", resolution: int | None = None,
    group_by: str | None = None, folds: int | None = None, generators: int | None = None,
    replicates: Sequence[str] | None = None, classifier: str = "cnn", weights: str | Path | None = None,
    size: str | int = "model", upscaler: RunLike | None = None, seeds: int = 5, steps: int = 600,
    shares: Sequence[float] | None = None, arms: Sequence[str] | None = None, mix: str | None = None,
    mode: str | None = None, balance: Sequence[str] = (), by: str | Sequence[str] | None = None,
    learning_curve: bool = False,
    out: str | Path | None = None, fail_under: float | None = None, gate: bool = True,
    curation: str | Path | None = None, only_accepted: bool = False, checkpoint: str | Path = "best",
    runs: str | Path | None = None, features: str | None = None, device: str = "auto",
    cache: str | Path | None = None, jobs: int | None = None,
    backend: str = "loky", scheduler: str | None = None, progress: Progress | bool = True,
) -> EvaluateResult:  # fmt: skip
    """Train classifiers with and without synthetic images, and say whether they help.

    An interrupted evaluation continues when it is called again, and gives the same numbers: finished trials are in the
    run's folder `evaluation`, the generators of folds in `folds`, further ones in `generators`.

    Raises:
        SynthaugError: bad arguments, or test images that the generator has seen.
        RunFailed: the gain is below `fail_under` (the report is written), or a worker process died.
    """
    request = EvaluateRequest.of(locals())
    document = run_evaluate(request, shown(progress))
    if request.fail_under is not None:
        require_gain(document, request.fail_under)
    return EvaluateResult.of(document)


def run_evaluate(request: EvaluateRequest, progress: Progress) -> EvaluateDocument:
    """Evaluate and write the report. `fail_under` is not checked here: see `require_gain`.

    Raises:
        SynthaugError: bad data, test images that the generator has seen, or another process writes into the run.
        RunFailed: a worker process died, or the report cannot be written.
    """
    classifier = check_classifier(request.classifier, request.weights)  # missing weights are said in the first second
    workers_of(request).check_reachable()
    whole = judged_data(request, progress)
    with nullcontext() if whole.run is None else whole.run.writing():
        try:
            return _evaluate(request, classifier, whole, progress)
        except Interrupted as stop:  # of a generator that the evaluation trains
            raise Interrupted(stop.message, f"continue with: {request.command()}", stop.exit_status) from stop


def _evaluate(request: EvaluateRequest, classifier: str, whole: RunData, progress: Progress) -> EvaluateDocument:
    started = time.monotonic()
    evaluation = _prepare(request, classifier, whole, progress)
    for line in evaluation.warnings:
        progress.warn(line)
    best = _train(evaluation)
    document = _document(evaluation, best, started)
    document.changed = _changed(document, evaluation)
    document.combinations = _combinations(document, evaluation)
    document.next = next_step(document, None if whole.run is None else whole.run.reference())
    try:
        write_report(document, report_material(document, evaluation.splits, evaluation.suspects), evaluation.out)
    except OSError as error:
        if error.errno in DISK_FULL:
            raise
        raise RunFailed(
            f"cannot write the report into {str(evaluation.out)!r}: {error.strerror or error}",
            "give another folder with --out",
        ) from error
    return document


def require_gain(document: EvaluateDocument, least: float) -> None:
    """Check the gain in mean F1 of the target classes.

    Raises:
        RunFailed: the better contrast gains less than `least`.
    """
    name, best = max(document.verdict.contrasts.items(), key=lambda item: item[1].mean)
    if not best.mean >= least:
        pair = CONTRASTS[name]
        raise RunFailed(
            f"the gain in F1 of the target classes is {best.mean:+.4f} ({pair.arm.name} instead of "
            f"{pair.control.name}), below {least:g}",
            f"see the report: {document.report}",
        )


@dataclass
class _Evaluation:
    """A prepared evaluation. The trials fill in the folds.

    `whole` is all data of the run or folder, also with folds. With `replicates`, the folds are one split with several
    generators. `mixed` are the classes that get synthetic images, `suspects` for each split the test images that look
    like copies, `columns` those of `--by`, for the test images.
    """

    request: EvaluateRequest
    progress: Progress
    classifier: str
    arms: list[str]
    whole: RunData
    out: Path
    folds: list[Fold]
    replicates: bool
    held_out: HeldOut
    tried: Candidates
    mixed: list[str]
    suspects: list[list[SuspectImage]]
    size: EvaluatedSize
    columns: list[Column]
    warnings: list[str]

    @property
    def splits(self) -> list[Fold]:
        """The folds that differ in more than the generator."""
        return self.folds[:1] if self.replicates else self.folds

    def probabilities(self, arm: str, *, side: Literal["val", "test"] = "test", **trial: Any) -> Probabilities:
        seeds = self.request.seeds
        return probabilities(self.folds, arm, seeds, replicates=self.replicates, side=side, **trial)


def _prepare(request: EvaluateRequest, classifier: str, whole: RunData, progress: Progress) -> _Evaluation:
    """Read the data, train generators for folds, and load or generate all images."""
    resolve_device(request.device)
    check_permitted(whole, request.features, trains=request.folds is not None or request.generators is not None)
    mix = mix_of(request, whole)
    arms, warnings = choose_arms(
        asked_arms(request, whole), classifier, resized=request.size != "model", mix=mix, divided=bool(request.by)
    )
    default = Path(EVALUATION) if whole.run is None else whole.run.path / EVALUATION
    out = report_folder(default if request.out is None else request.out)
    check_outside(out, [whole.folder, request.test, request.synthetic], "--out")
    each = [whole]
    if request.folds is not None and whole.run is not None:
        each = fold_data(whole.run, request.folds, device=request.device, cache=request.cache, progress=progress)
    reals = [
        real_images(data, request.test, every_target=request.folds is None, cache=request.cache, progress=progress)
        for data in each
    ]
    columns = divide(request.by or (), reals)
    tried = candidates(request.shares, reals, mix)
    held_out = HeldOut.of(reals)
    warnings += small_test_warnings(held_out, whole.targets, sum(real.alike for real in reals))
    warnings += [line for real in reals for line in real.warnings]
    if request.seeds < ENOUGH_SEEDS:
        warnings.append(f"only {plural(request.seeds, 'seed')}: the intervals are wide, and not reliable")
    if tried.note:
        warnings.append(tried.note)
    mixed = whole.targets if mix == "targets" else whole.classes
    size = evaluated_size(request, whole, classifier, mixed)
    runs = generators_of(request, reals, progress)
    folds, notes = make_folds(request, reals, runs, mixed, size, progress)
    replicates = len(runs) > len(reals)
    judged = [(reals[0], together([f.pool for f in folds]))] if replicates else [(f.real, f.pool) for f in folds]
    suspects = [find_suspects(real, pool, progress) for real, pool in judged]
    notes += suspects_in_words([one for of_fold in suspects for one in of_fold])
    shared = sorted({name for f in folds for name in shared_by_seeds(f.pool, f.real.per_seed, request.seeds)})
    if shared:
        notes.append(
            f"there are too few synthetic images of {', '.join(shared)}: each of the {request.seeds} seeds should have "
            f"{reals[0].per_seed} of its own. They share some, so the intervals are too narrow"
        )
    warnings = list(dict.fromkeys([*warnings, *notes]))
    return _Evaluation(
        request, progress, classifier, arms, whole, out, folds, replicates, held_out, tried, mixed, suspects, size,
        columns, warnings,
    )  # fmt: skip


def _train(evaluation: _Evaluation) -> BestControl:
    """Train the classifiers of every fold; choose the shares on val, and the best control, which is trained longer."""
    request, progress, tried = evaluation.request, evaluation.progress, evaluation.tried
    trials = trials_of(evaluation.arms, tried.shares, request.seeds)
    if request.learning_curve:
        control = curve_contrast(evaluation.arms).control.name
        trials += [Trial(control, 0.0, seed, share) for share in SHARES for seed in range(request.seeds)]
    _run(evaluation, trials)
    for fold in evaluation.folds:
        fold.choose(evaluation.arms, tried, request.seeds)
    best = best_control(evaluation.splits, evaluation.arms, request.seeds)
    if LONGER in evaluation.arms:
        _run(evaluation, [Trial(best.name, 0.0, seed, times=ARMS[LONGER].times) for seed in range(request.seeds)])
    if tried.chosen_on == "val":
        chosen = {name: shares for name, shares in shares_of(evaluation.folds).items() if any(shares)}
        words = [f"{name} {', '.join(f'{share:.0%}' for share in shares)}" for name, shares in chosen.items()]
        progress.say(f"shares chosen on val: {'; '.join(words)}")
    if best.chosen_on == "val":
        progress.say(f"best control, chosen on val: {best.name}")
    return best


def _run(evaluation: _Evaluation, trials: Sequence[Trial]) -> None:
    """Add the outcomes of `trials` to every fold."""
    request, progress = evaluation.request, evaluation.progress
    kind = "generator" if evaluation.replicates else "fold"
    for number, fold in enumerate(evaluation.folds, 1):
        if evaluation.replicates and number > 1:  # the arms without synthetic images are those of the first generator
            trials = [trial for trial in trials if ARMS[trial.arm].synthetic]
        if not trials:
            break
        if len(evaluation.folds) > 1:
            progress.say(f"{kind} {number} of {len(evaluation.folds)}: classifiers")
        grid = fold.grid(evaluation.classifier, request.steps, request.device)
        run = fold.real.data.run
        cache = TrialCache(evaluation.out if run is None else run.path / EVALUATION, grid)
        fold.features = fold.features or shared_features(grid, progress)
        fold.outcomes |= run_trials(grid, trials, progress, workers_of(request), cache, fold.features)


def _document(evaluation: _Evaluation, best: BestControl, started: float) -> EvaluateDocument:
    """The verdict, the recommendation and the scores."""
    request, whole, folds = evaluation.request, evaluation.whole, evaluation.folds
    held_out, tried, first = evaluation.held_out, evaluation.tried, evaluation.folds[0]
    predicted = {name: evaluation.probabilities(name) for name in evaluation.arms if name != LONGER}
    if LONGER in evaluation.arms:
        predicted[LONGER] = evaluation.probabilities(best.name, times=ARMS[LONGER].times)
    tables = {name: held_out.table(rows) for name, rows in predicted.items()}
    needed = [*needed_controls(evaluation.classifier), *([] if request.size == "model" else DOWN_UP)]

    def judged(held_out: HeldOut, tables: Mapping[str, F1Table]) -> VerdictDocument:
        groups, compared = held_out.groups_of_classes(), {n: t for n, t in tables.items() if n != LONGER}
        verdict = judge(
            compared, held_out.classes, whole.targets, groups, best=best, folds=request.folds,
            generators=len(folds) if evaluation.replicates else 1, needed=needed,
        )  # fmt: skip
        if LONGER in tables:
            longer = longer_training(compared, tables[LONGER], best.name, first.real.target_indices, groups)
            verdict = with_longer(verdict, longer)
        return with_size(verdict, evaluation.size)

    verdict = judged(held_out, tables)
    curve = _learning_curve(evaluation, tables) if request.learning_curve else None
    if curve is not None:
        verdict.real_image_equivalents = in_words(curve)
        for name, entry in curve.per_target.items():
            verdict.details[name].real_image_equivalents = entry.worth
    gated_quality, generator_quality = qualities(
        first, features=request.features, gate=request.gate, device=request.device, progress=evaluation.progress
    )
    recommended = recommend(
        verdict, whole.target_indices, whole.split.counts()["train"], _validation(evaluation),
        judged={name: float(np.mean(shares)) for name, shares in shares_of(folds).items()},
        chosen_on=tried.chosen_on, mixed=evaluation.mixed, quality=gated_quality.per_class,
    )  # fmt: skip
    made_by = [fold.run for fold in folds if fold.run is not None]
    return EvaluateDocument(
        run=str(whole.run.path) if whole.run is not None else None, data=str(whole.folder),
        synthetic=_synthetic_in_words(evaluation), folds=request.folds,
        fold_runs=[f"{FOLDS}/{run.name}" for run in made_by] if request.folds is not None else [],
        generators=[str(run.path) for run in made_by] if evaluation.replicates else [],
        classifier=evaluation.classifier, seeds=request.seeds, classes=held_out.classes, targets=whole.targets,
        split={"train": first.real.train.counts(), "val": first.real.val.counts(), "test": held_out.counts()},
        size=evaluation.size, sharpness=_sharpness(evaluation), mix=mix_of(request, whole),
        balance=list(request.balance), made_from=first.made_from, extrapolated=first.extrapolated,
        by_hand=first.by_hand, share_chosen_on=tried.chosen_on,
        arms=_arms(evaluation, predicted, tables), verdict=verdict,
        leaks=leaks(evaluation.suspects, held_out, predicted, whole.targets, judged),
        recommended=recommended, learning_curve=curve, quality=gated_quality, generator_quality=generator_quality,
        warnings=evaluation.warnings, seconds=round(time.monotonic() - started, 3),
        report=str(evaluation.out / "report.html"),
    )  # fmt: skip


def _validation(evaluation: _Evaluation) -> Validation | None:
    """F1 on the validation images of every arm and share, if val can choose."""
    if evaluation.tried.chosen_on != "val":
        return None
    held_out = HeldOut.of_val([fold.real for fold in evaluation.splits])
    tables = {
        (name, share): held_out.table(evaluation.probabilities(name, side="val", share=share))
        for name in evaluation.arms
        if name != LONGER
        for share in (evaluation.tried.shares if ARMS[name].mixes else [0.0])
    }
    return Validation(tables, held_out.groups_of_classes())


def _sharpness(evaluation: _Evaluation) -> dict[str, Sharpness]:
    """Target class → whether sharpness alone tells its images apart; with folds, those of the first."""
    seen = evaluation.folds[0].judged
    found = {
        name: compare_sharpness(
            seen.test.of_class(name), seen.pool.of_class(name), seen.train.of_class(name),
            named_stream(evaluation.whole.config.seed, f"sharpness of {name}"),
        )
        for name in evaluation.whole.targets
    }  # fmt: skip
    return {name: comparison for name, comparison in found.items() if comparison is not None}


def _arms(
    evaluation: _Evaluation, predicted: Mapping[str, Probabilities], tables: Mapping[str, F1Table]
) -> dict[str, Arm]:
    chosen = shares_of(evaluation.folds)
    steps = evaluation.request.steps if takes_steps(evaluation.classifier) else None
    return {
        name: evaluation.held_out.arm(
            predicted[name], tables[name], shares=chosen[name], steps=steps and ARMS[name].times * steps
        )
        for name in evaluation.arms
    }


def _synthetic_in_words(evaluation: _Evaluation) -> str:
    """Where the synthetic images come from."""
    request = evaluation.request
    if request.synthetic is not None:
        return str(request.synthetic)
    kind = "gated" if request.gate else "ungated"
    made = [(f.run.name, f.checkpoint) for f in evaluation.folds if f.run is not None]
    if len(made) == 1:
        return f"fresh {kind} samples of {made[0][0]}, checkpoint {made[0][1]}"
    return f"fresh {kind} samples of {len(made)} generators: " + ", ".join(f"{n}, checkpoint {c}" for n, c in made)


def _learning_curve(evaluation: _Evaluation, tables: Mapping[str, F1Table]) -> LearningCurve:
    held_out, real = evaluation.held_out, evaluation.folds[0].real
    contrast = curve_contrast(evaluation.arms)
    arm, control = contrast.arm.name, contrast.control.name
    by_share = {s: held_out.table(evaluation.probabilities(control, real=s)) for s in SHARES}
    return learning_curve(
        by_share | {1.0: tables[control]}, tables[arm], contrast, real.data.target_indices, real.train.counts(),
        held_out.groups_of_classes(), seed=real.config.seed,
    )  # fmt: skip


def _changed(document: EvaluateDocument, evaluation: _Evaluation) -> ChangedImages | None:
    """What the best control and the synthetic arm of the report do differently; None if one was not trained."""
    before, after = before_and_after(document)
    if before is None or after is None:
        return None
    held_out, whole = evaluation.held_out, evaluation.whole
    paths = [path for fold in evaluation.splits for path in fold.real.test.paths]
    return changed_images(
        (before, after), evaluation.probabilities(before), evaluation.probabilities(after), held_out.labels, paths,
        held_out.classes, list(whole.target_indices.values()),
    )  # fmt: skip


def _combinations(document: EvaluateDocument, evaluation: _Evaluation) -> list[CombinationDocument]:
    """The parts of the test images that `--by` asks for."""
    before, after = before_and_after(document)
    if not evaluation.columns or before is None or after is None:
        return []
    predicted = evaluation.probabilities(before), evaluation.probabilities(after)
    targets = list(evaluation.whole.target_indices.values())
    return by_combination(evaluation.columns, evaluation.held_out, predicted, targets)
