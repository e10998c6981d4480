"""Before and after, against honest controls: trials, verdict, quality of the images, report."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from synthaug.classifiers import check_classifier, takes_steps
from synthaug.config import leaves
from synthaug.data.cache import LabelledImages
from synthaug.device import resolve_device
from synthaug.documents import Arm, CheckDocument, ClassScores, EvaluateDocument, LearningCurve
from synthaug.errors import RunFailed, SynthaugError
from synthaug.evaluation.arms import ARMS, CONTRASTS, choose_arms
from synthaug.evaluation.images import (
    RealImages,
    fresh_samples,
    fresh_seed,
    real_images,
    small_test_warnings,
    synthetic_folder,
)
from synthaug.evaluation.kept import KeptTrials
from synthaug.evaluation.learning_curve import SHARES, control_of, in_words, learning_curve
from synthaug.evaluation.recommend import recommend
from synthaug.evaluation.report import ReportMaterial, write_report
from synthaug.evaluation.scores import Floats, group_counts, score
from synthaug.evaluation.shares import candidates, choose
from synthaug.evaluation.statistics import F1Table, estimate, f1_table, resample_groups
from synthaug.evaluation.trial import Grid, Outcome, Trial, run_trials
from synthaug.evaluation.verdict import judge
from synthaug.features import features_for
from synthaug.metrics.quality import describe_real, quality
from synthaug.progress import Progress, Silent
from synthaug.runs import Run, find
from synthaug.sampling.generate import load

ENOUGH_SEEDS = 5
FOLDER = "evaluation"
"""Inside the run: the report unless it goes elsewhere, and finished trainings."""


def evaluate(
    run: str | Path | Run | None = None,
    *,
    test: Path | None = None,
    synthetic: Path | None = None,
    classifier: str = "cnn",
    seeds: int = 5,
    steps: int = 600,
    shares: Sequence[float] | None = None,
    arms: Sequence[str] | None = None,
    curve: bool = False,
    out: Path | None = None,
    fail_under: float | None = None,
    gate: bool = True,
    checkpoint: str | Path = "best",
    runs: Path | None = None,
    device: str = "auto",
    cache: Path | None = None,
    jobs: int | None = None,
    progress: Progress = Silent(),
) -> EvaluateDocument:
    """Train classifiers with and without synthetic images, and say whether they help.

    Finished trainings are kept in the run's folder `evaluation`: the same call, made again after an interruption, goes
    on from there and ends with the same numbers.

    Args:
        run: a run's path, name or number; the latest when None.
        test: test images; the run's own when None.
        synthetic: judge this folder's images; fresh gated samples of the run when None.
        classifier: a name of `CLASSIFIERS`, or a Python file with `fit` and `predict` (see `classifiers.own`).
        seeds: classifiers an arm; seed s of one arm is paired with seed s of every other.
        steps: optimiser steps of each classifier; `logistic` has none.
        shares: shares of a target class's draws for synthetic images; val chooses where there are several.
        arms: names of `ARMS`; all that the classifier can do when None.
        curve: measure a learning curve of the real images as well, and say what the synthetic ones are worth on it.
        out: folder of `report.html`, `.md` and `.json`; `evaluation` inside the run when None.
        fail_under: least gain in the mean F1 of the target classes, of the better contrast.
        gate: judge gated samples, as an export holds them.
        checkpoint: which generator.
        runs: where runs are.
        device: where classifiers and generator run.
        cache: where decoded images are kept.
        jobs: processes that train classifiers on a CPU; one a core when None. The numbers do not depend on it.
        progress: where to report.

    Raises:
        SynthaugError: bad arguments, or a test set that the run has seen.
        RunFailed: the gain is below `fail_under` (the report is written), or a worker died.
    """
    started = time.monotonic()
    classifier = check_classifier(classifier)
    _check_numbers(seeds, steps)
    resolve_device(device)
    names, warnings = choose_arms(arms, classifier)
    found = run if isinstance(run, Run) else find(run, runs)
    target = _out(found, out)
    real = real_images(found, test, cache=cache, progress=progress)
    _outside(target, [real.data, test, synthetic])
    tried = candidates(shares, real)
    warnings += small_test_warnings(real)
    if seeds < ENOUGH_SEEDS:
        warnings.append(f"{seeds} seeds are few: an interval over them is wide, and may be wrong")
    if tried.note:
        warnings.append(tried.note)
    generator: LabelledImages | None = None
    if synthetic is None:
        sampler = load(found, checkpoint=checkpoint, seed=fresh_seed(real.config.seed), device=device)
        pool, generator, notes = fresh_samples(sampler, real, gate=gate, device=device, progress=progress)
        kind = "gated" if gate else "ungated"
        source = f"fresh {kind} samples of {found.name}, checkpoint {sampler.trained.checkpoint}"
    else:
        pool, notes = synthetic_folder(synthetic, real, cache=cache, progress=progress)
        source = str(synthetic)
    warnings += notes
    for line in warnings:
        progress.warn(line)

    # Every share predicts the test images as well, so that the chosen one need not be trained twice; only the
    # predictions of the share that val chose are ever compared with the test labels.
    trials = [
        Trial(name, share, seed)
        for name in names
        for share in (tried.shares if ARMS[name].synthetic else [0.0])
        for seed in range(seeds)
    ]
    contrast = control_of(names)
    if curve:
        trials += [Trial(contrast[2], 0.0, seed, share) for share in SHARES for seed in range(seeds)]
    grid = Grid(
        classifier=classifier, steps=steps, device=device, train=_plain(real.train), groups=real.train_groups,
        pool=_plain(pool), val=np.array(real.val.pixels), test=np.array(real.test.pixels), per_seed=real.per_seed,
        targets=tuple(real.target_indices),
    )  # fmt: skip
    outcomes = run_trials(grid, trials, progress, jobs, KeptTrials(found.path / FOLDER, grid))
    chosen = {
        name: choose(name, tried.shares, seeds, outcomes, real.val.labels, real.target_indices)
        if ARMS[name].synthetic
        else 0.0
        for name in names
    }
    if tried.chosen_on == "val":
        progress.say(f"shares chosen on val: {', '.join(f'{n} {s:.0%}' for n, s in chosen.items() if s)}")
    final = {name: [outcomes[Trial(name, chosen[name], seed)] for seed in range(seeds)] for name in names}

    tables = _tables(final, real)
    steps_taken = steps if takes_steps(classifier) else None
    described = {name: _arm(final[name], tables[name], chosen[name], steps_taken, real) for name in names}
    verdict = judge(tables, real.classes, real.targets, real.groups_of_classes(), int(real.test_groups.max()) + 1)
    curved = None
    if curve:
        curved = _learning_curve(contrast, tables, outcomes, seeds, real)
        verdict.real_image_equivalents = in_words(curved)
        for name, entry in curved.per_target.items():
            verdict.details[name].real_image_equivalents = entry.worth
    recommended = recommend(
        verdict, real.targets, real.train, real.val, outcomes,
        shares=tried.shares, seeds=seeds, chosen_on=tried.chosen_on,
    )  # fmt: skip
    gated_quality, generator_quality = _qualities(real, pool, generator, gate, device, progress)
    document = EvaluateDocument(
        run=found.name,
        data=str(real.data),
        synthetic=source,
        classifier=classifier,
        seeds=seeds,
        classes=real.classes,
        targets=real.targets,
        split=real.counts(),
        share_chosen_on=tried.chosen_on,
        arms=described,
        verdict=verdict,
        recommended=recommended,
        learning_curve=curved,
        quality=gated_quality,
        generator_quality=generator_quality,
        warnings=warnings,
        seconds=round(time.monotonic() - started, 3),
        report=str(target / "report.html"),
    )
    material = _material(document, real, pool, generator)
    try:
        write_report(document, material, target)
    except OSError as error:
        raise RunFailed(
            f"cannot write the report into {str(target)!r}: {error.strerror or error}", "give another folder with --out"
        ) from error
    if fail_under is not None:
        require_gain(document, fail_under)
    return document


def _check_numbers(seeds: int, steps: int) -> None:
    if seeds < 2:
        raise SynthaugError(f"{seeds} seeds leave nothing to compare", "give --seeds 5, or at least 2")
    if steps < 1:
        raise SynthaugError(f"a classifier cannot be trained for {steps} steps", "give --steps a positive number")


def _out(run: Run, out: Path | None) -> Path:
    """Where the report goes; checked before the work begins, made after it."""
    target = (run.path / FOLDER if out is None else Path(out)).absolute()
    if target.exists() and not target.is_dir():
        raise SynthaugError(f"{str(target)!r} is a file", "give a folder with --out")
    nearest = next(place for place in (target, *target.parents) if place.exists())
    if not os.access(nearest, os.W_OK):
        raise SynthaugError(
            f"the report cannot be written: {str(nearest)!r} is not writable", "give another folder with --out"
        )
    return target


def _outside(target: Path, inputs: Sequence[Path | None]) -> None:
    for folder in inputs:
        if folder is not None and target.resolve().is_relative_to(folder.resolve()):
            raise SynthaugError(
                f"the report's folder {str(target)!r} lies inside the data folder {str(folder)!r}",
                "give a folder outside with --out",
            )


def _plain(images: LabelledImages) -> LabelledImages:
    """In ordinary memory: what goes to other processes must not depend on the cache."""
    return LabelledImages(np.array(images.pixels), images.labels, images.classes, images.paths)


def _tables(final: Mapping[str, list[Outcome]], real: RealImages) -> dict[str, F1Table]:
    groups = int(real.test_groups.max()) + 1
    times = resample_groups(groups, np.random.default_rng([real.config.seed, 0xB0]))
    return {
        name: f1_table(
            real.test.labels, [o.test.argmax(axis=1) for o in outcomes], real.test_groups, len(real.classes), times
        )
        for name, outcomes in final.items()
    }


def _learning_curve(
    names: tuple[str, str, str],
    tables: Mapping[str, F1Table],
    outcomes: Mapping[Trial, Outcome],
    seeds: int,
    real: RealImages,
) -> LearningCurve:
    _, arm, control = names
    fewer = {share: [outcomes[Trial(control, 0.0, seed, share)] for seed in range(seeds)] for share in SHARES}
    by_share = {1.0: tables[control]}
    by_share |= {share: _tables({control: found}, real)[control] for share, found in fewer.items()}
    return learning_curve(
        by_share,
        tables[arm],
        names,
        dict(zip(real.targets, real.target_indices, strict=True)),
        real.train.counts(),
        real.groups_of_classes(),
        seed=real.config.seed,
    )


def _arm(outcomes: list[Outcome], table: F1Table, share: float, steps: int | None, real: RealImages) -> Arm:
    """Scores of one arm: means over seeds, intervals for the summaries."""
    scored = [score(real.test.labels, outcome.test) for outcome in outcomes]
    present = [k for k, n in enumerate(real.groups_of_classes()) if n]
    groups = int(real.test_groups.max()) + 1
    times = resample_groups(groups, np.random.default_rng([real.config.seed, 0xB1]), 200)
    recalls = _recall_resamples(outcomes, real, times)[:, :, present]
    with np.errstate(divide="ignore"):
        geometric = np.exp(np.log(recalls).mean(axis=2))

    def interval(values: list[float], resamples: Floats) -> Any:
        found = estimate(np.array(values), float(np.var(resamples, ddof=1)), groups)
        return {"mean": found.mean, "low": found.low, "high": found.high, "per_seed": found.per_seed}

    def mean(field: str, k: int) -> float:
        return float(np.mean([getattr(s, field)[k] for s in scored]))

    fields = ("precision", "recall", "f1", "average_precision")
    return Arm(
        share=share,
        steps=steps,
        macro_f1=interval([s.macro_f1 for s in scored], table.resamples[:, present].mean(axis=1)),
        balanced_accuracy=interval([s.balanced_accuracy for s in scored], recalls.mean(axis=(0, 2))),
        geometric_mean=interval([s.geometric_mean for s in scored], geometric.mean(axis=0)),
        per_class={real.classes[k]: ClassScores(**{f: mean(f, k) for f in fields}) for k in present},
        f1_per_seed={real.classes[k]: [float(s.f1[k]) for s in scored] for k in present},
        confusion=sum((s.confusion for s in scored[1:]), scored[0].confusion).tolist(),
    )


def _recall_resamples(outcomes: list[Outcome], real: RealImages, times: Floats) -> Floats:
    """Recalls [S, B, K] under bootstrap resamples of the test groups; a class that a resample misses counts as 0."""
    rows = []
    for outcome in outcomes:
        hits, _, images = group_counts(
            real.test.labels, outcome.test.argmax(axis=1), real.test_groups, len(real.classes)
        )
        rows.append((times @ hits) / np.maximum(times @ images, 1))
    return np.stack(rows)


def _qualities(
    real: RealImages,
    pool: LabelledImages,
    generator: LabelledImages | None,
    gated: bool,
    device: str,
    progress: Progress,
) -> tuple[CheckDocument, CheckDocument | None]:
    """The images that were trained on, and the generator's as they come; the real side is described once."""
    features = features_for(
        real.config.monitor.features, real.train,
        folder=real.run.path, seed=real.config.seed, device=device, progress=progress,
    )  # fmt: skip
    described = describe_real(real.test, real.train, features, kind="test", classes=real.targets, progress=progress)
    both: list[CheckDocument | None] = [
        quality(
            real.test, real.train, images, features,
            reference="test", gated=by_gate, progress=progress, real=described,
        )
        if images is not None
        else None
        for images, by_gate in ((pool, gated and generator is not None), (generator, False))
    ]  # fmt: skip
    assert both[0] is not None
    return both[0], both[1]


def _material(
    document: EvaluateDocument, real: RealImages, pool: LabelledImages, generator: LabelledImages | None
) -> ReportMaterial:
    synthetic_rows = {path: i for i, path in enumerate(pool.paths)}
    train_rows = {path: i for i, path in enumerate(real.train.paths)}
    pairs = []
    for pair in document.quality.worst_pairs:
        nearest = real.train.pixels[train_rows[pair.train]]
        if pair.mirrored:
            nearest = nearest[..., ::-1]
        pairs.append(
            (pool.pixels[synthetic_rows[pair.synthetic]], np.ascontiguousarray(nearest), pair.label, pair.distance)
        )
    try:
        environment = json.loads((real.run.path / "environment.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        environment = {}
    return ReportMaterial(
        real=real.train,
        test=real.test,
        synthetic=pool,
        generator=generator,
        pairs=pairs,
        training=real.run.metrics(),
        settings=leaves(real.config.model_dump(mode="json")),
        environment=environment,
    )


def require_gain(document: EvaluateDocument, least: float) -> None:
    """Make sure that the better contrast gains at least `least` of mean F1 of the target classes.

    Raises:
        RunFailed: it does not.
    """
    name, best = max(document.verdict.contrasts.items(), key=lambda item: item[1].mean)
    if not best.mean >= least:
        arm, control = CONTRASTS[name]
        raise RunFailed(
            f"the gain in F1 of the target classes is {best.mean:+.4f} ({arm} instead of {control}), below {least:g}",
            f"the report says more: {document.report}",
        )
