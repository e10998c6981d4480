"""Before and after, against honest controls: trials, verdict, quality of the images, report."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from synthaug.classifiers import check_classifier, takes_steps
from synthaug.config import MOST_FOLDS, leaves, resolve
from synthaug.data.cache import LabelledImages
from synthaug.data.run_data import RunData
from synthaug.device import resolve_device
from synthaug.documents import CheckDocument, EvaluateDocument, LearningCurve
from synthaug.errors import RunFailed, SynthaugError, suggest
from synthaug.evaluation.arms import CONTRASTS, MIXES, choose_arms
from synthaug.evaluation.held_out import HeldOut
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
from synthaug.evaluation.part import Part, predictions, shares_of, trials_of
from synthaug.evaluation.recommend import recommend
from synthaug.evaluation.report import ReportMaterial, write_report
from synthaug.evaluation.shares import candidates
from synthaug.evaluation.statistics import F1Table
from synthaug.evaluation.trial import Trial, run_trials
from synthaug.evaluation.verdict import judge
from synthaug.features import features_for
from synthaug.metrics.quality import quality
from synthaug.metrics.real import describe_real
from synthaug.pipelines.folds import FOLDER as FOLDS
from synthaug.pipelines.folds import fold_data
from synthaug.progress import Progress, Silent
from synthaug.runs import Run, find
from synthaug.sampling.generate import load
from synthaug.training.checkpoint import find_checkpoint

ENOUGH_SEEDS = 5
FOLDER = "evaluation"
"""Inside the run: the report unless it goes elsewhere, and finished trainings. Without a run: in the current folder."""


def evaluate(
    run: str | Path | Run | None = None,
    *,
    test: Path | None = None,
    synthetic: Path | None = None,
    data: Path | None = None,
    target_class: str | Sequence[str] = "auto",
    flags: Mapping[str, Any] | None = None,
    folds: int | None = None,
    classifier: str = "cnn",
    seeds: int = 5,
    steps: int = 600,
    shares: Sequence[float] | None = None,
    arms: Sequence[str] | None = None,
    mix: str = "targets",
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

    Finished trainings are kept in the run's folder `evaluation` (generators of folds in `folds`): the same call, made
    again after an interruption, goes on from there and ends with the same numbers.

    Args:
        run: a run's path, name or number; the latest when None.
        test: test images; the run's own when None.
        synthetic: judge this folder's images; fresh gated samples of the run when None.
        data: judge `synthetic` on this folder of real images, without a run; it is divided as `fit` would.
        target_class: with `data`: the classes that the synthetic images are of, or "auto": the rare ones.
        flags: with `data`: dotted keys of the configuration, such as `data.resolution`.
        folds: train a generator for each of so many folds, and judge on all images; for data too small to hold out.
        classifier: a name of `CLASSIFIERS`, or a Python file with `fit` and `predict` (see `classifiers.user_file`).
        seeds: classifiers an arm; seed s of one arm is paired with seed s of every other.
        steps: optimiser steps of each classifier; `logistic` has none.
        shares: shares of a class's draws for synthetic images; val chooses where there are several.
        arms: names of `ARMS`; all that the classifier can do when None.
        mix: the synthetic arms get synthetic images of the "targets", or of "all" classes.
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
    _check_numbers(seeds, steps, folds)
    if mix not in MIXES:
        raise SynthaugError(f"--mix {mix!r} is not known", suggest(mix, MIXES))
    _check_sources(run, data, synthetic, test, folds, checkpoint)
    resolve_device(device)
    names, warnings = choose_arms(arms, classifier)
    whole = (
        RunData.open(run if isinstance(run, Run) else find(run, runs))
        if data is None
        else RunData.of_folder(data, target_class, resolve(flags=flags).config, cache=cache, progress=progress)
    )
    kept = Path(FOLDER) if whole.run is None else whole.run.path / FOLDER
    target = _out(kept if out is None else Path(out))
    _outside(target, [whole.folder, test, synthetic])
    datas = [whole]
    if folds is not None:
        assert whole.run is not None  # _check_sources
        datas = fold_data(whole.run, folds, device=device, cache=cache, progress=progress)
    reals = [real_images(each, test, every_target=folds is None, cache=cache, progress=progress) for each in datas]
    held_out = HeldOut.of(reals)
    tried = candidates(shares, reals, mix)
    warnings += small_test_warnings(held_out, whole.targets, sum(real.alike for real in reals))
    warnings += [line for real in reals for line in real.warnings]
    if seeds < ENOUGH_SEEDS:
        warnings.append(f"{seeds} seeds are few: an interval over them is wide, and may be wrong")
    if tried.note:
        warnings.append(tried.note)
    parts: list[Part] = []
    mixed = whole.targets if mix == "targets" else whole.classes
    if synthetic is None:
        for real in reals:
            part, said = _fresh(real, mixed, gate=gate, checkpoint=checkpoint, device=device, progress=progress)
            parts.append(part)
            warnings += said
    else:
        pool, said = synthetic_folder(synthetic, reals[0], mixed, cache=cache, progress=progress)
        parts = [Part(reals[0], pool, None)]
        warnings += said
        if whole.run is None or not _exported_from(synthetic, whole.run):
            warnings.append("whether the generator of these images saw the test images cannot be known from here")
    warnings = list(dict.fromkeys(warnings))
    for line in warnings:
        progress.warn(line)

    trials = trials_of(names, tried.shares, seeds)
    contrast = control_of(names)
    if curve:
        trials += [Trial(contrast[2], 0.0, seed, share) for share in SHARES for seed in range(seeds)]
    for number, part in enumerate(parts, 1):
        if folds is not None:
            progress.say(f"fold {number} of {folds}: classifiers")
        grid = part.grid(classifier, steps, device)
        run_of_part = part.real.data.run
        place = run_of_part.path / FOLDER if run_of_part is not None else target
        part.outcomes = run_trials(grid, trials, progress, jobs, KeptTrials(place, grid))
        part.choose(names, tried, seeds)
    chosen = shares_of(parts)
    if tried.chosen_on == "val":
        _say_shares(chosen, progress)

    predicted = {name: predictions(parts, name, seeds) for name in names}
    tables = {name: held_out.table(rows) for name, rows in predicted.items()}
    steps_taken = steps if takes_steps(classifier) else None
    verdict = judge(
        tables, held_out.classes, whole.targets, held_out.groups_of_classes(), held_out.num_groups, folds=folds
    )
    curved = None
    if curve:
        curved = _learning_curve(contrast, tables, parts, held_out, seeds)
        verdict.real_image_equivalents = in_words(curved)
        for name, entry in curved.per_target.items():
            verdict.details[name].real_image_equivalents = entry.worth
    first = parts[0]
    gated_quality, generator_quality = _qualities(first, gate, device, progress)
    recommended = recommend(
        verdict, whole.target_indices, whole.split.counts()["train"],
        [(part.real.val.labels, part.outcomes) for part in parts],
        shares=tried.shares, seeds=seeds, chosen_on=tried.chosen_on, mixed=mixed, quality=gated_quality.per_class,
    )  # fmt: skip
    document = EvaluateDocument(
        run=whole.run.name if whole.run is not None else None,
        data=str(whole.folder),
        synthetic=_said_synthetic(synthetic, parts, gate),
        folds=folds,
        fold_runs=[f"{FOLDS}/{each.run.name}" for each in datas if each.run is not None] if folds is not None else [],
        classifier=classifier,
        seeds=seeds,
        classes=held_out.classes,
        targets=whole.targets,
        split={"train": first.real.train.counts(), "val": first.real.val.counts(), "test": held_out.counts()},
        mix=mix,
        share_chosen_on=tried.chosen_on,
        arms={
            name: held_out.arm(predicted[name], tables[name], shares=chosen[name], steps=steps_taken) for name in names
        },
        verdict=verdict,
        recommended=recommended,
        learning_curve=curved,
        quality=gated_quality,
        generator_quality=generator_quality,
        warnings=warnings,
        seconds=round(time.monotonic() - started, 3),
        report=str(target / "report.html"),
    )
    try:
        write_report(document, _material(document, first), target)
    except OSError as error:
        raise RunFailed(
            f"cannot write the report into {str(target)!r}: {error.strerror or error}", "give another folder with --out"
        ) from error
    if fail_under is not None:
        require_gain(document, fail_under)
    return document


def _check_numbers(seeds: int, steps: int, folds: int | None) -> None:
    if seeds < 2:
        raise SynthaugError(f"{seeds} seeds leave nothing to compare", "give --seeds 5, or at least 2")
    if steps < 1:
        raise SynthaugError(f"a classifier cannot be trained for {steps} steps", "give --steps a positive number")
    if folds is not None and not 2 <= folds <= MOST_FOLDS:
        raise SynthaugError(f"{folds} folds cannot be made", f"give --folds a number from 2 to {MOST_FOLDS}, such as 5")


def _check_sources(
    run: object, data: Path | None, synthetic: Path | None, test: Path | None, folds: int | None, checkpoint: str | Path
) -> None:
    """Refuse what contradicts itself before anything is read."""
    if data is not None:
        if run is not None:
            raise SynthaugError(
                f"--data {str(data)!r} and the run {str(run)!r} are both given", "leave one of them out"
            )
        if synthetic is None:
            raise SynthaugError(
                f"--data {str(data)!r} without a run has no synthetic images to judge",
                "give their folder with --synthetic DIR, or train a generator: synthaug fit DATA",
            )
    if folds is None:
        return
    for given, option in ((data, "--data"), (synthetic, "--synthetic"), (test, "--test")):
        if given is not None:
            raise SynthaugError(
                f"--folds {folds} trains a generator for each fold of the run's images, but {option} "
                f"{str(given)!r} was given too",
                "leave one of them out",
            )
    if str(checkpoint) not in ("best", "last"):
        raise SynthaugError(
            f"--folds {folds} has a generator for each fold, but one checkpoint {str(checkpoint)!r} was given",
            "give --checkpoint best or last",
        )


def _out(target: Path) -> Path:
    """Where the report goes; checked before the work begins, made after it."""
    target = target.absolute()
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


def _fresh(
    real: RealImages, names: Sequence[str], *, gate: bool, checkpoint: str | Path, device: str, progress: Progress
) -> tuple[Part, list[str]]:
    """Fresh images of the source's own generator, and warnings."""
    assert real.data.run is not None  # _check_sources
    run = real.data.run
    is_folder = isinstance(checkpoint, Path) or os.sep in checkpoint  # else a name, which is always one of the run's
    if is_folder and find_checkpoint(run, checkpoint).resolve().parent != run.checkpoints.resolve():
        raise SynthaugError(
            f"the checkpoint {str(checkpoint)!r} is none of the run {run.name!r}: what it learnt from cannot be known",
            "give a checkpoint of the run, or evaluate the run that it belongs to",
        )
    sampler = load(run, checkpoint=checkpoint, seed=fresh_seed(real.config.seed), device=device)
    pool, generator, said = fresh_samples(sampler, real, names, gate=gate, device=device, progress=progress)
    return Part(real, pool, generator, checkpoint=sampler.trained.checkpoint), said


def _exported_from(folder: Path, run: Run) -> bool:
    """Whether a folder says of itself that it is an export of this run."""
    try:
        path = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["run"]["path"]
        return Path(path).resolve() == run.path.resolve()
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _said_synthetic(synthetic: Path | None, parts: Sequence[Part], gate: bool) -> str:
    """Where the synthetic images came from, in words."""
    if synthetic is not None:
        return str(synthetic)
    kind = "gated" if gate else "ungated"
    made = [(part.real.data.run.name, part.checkpoint) for part in parts if part.real.data.run is not None]
    if len(made) == 1:
        return f"fresh {kind} samples of {made[0][0]}, checkpoint {made[0][1]}"
    return f"fresh {kind} samples of {len(made)} generators: " + ", ".join(f"{n}, checkpoint {c}" for n, c in made)


def _learning_curve(
    names: tuple[str, str, str], tables: Mapping[str, F1Table], parts: Sequence[Part], held_out: HeldOut, seeds: int
) -> LearningCurve:
    _, arm, control = names
    by_share = {share: held_out.table(predictions(parts, control, seeds, real=share)) for share in SHARES}
    source = parts[0].real.data
    return learning_curve(
        by_share | {1.0: tables[control]},
        tables[arm],
        names,
        source.target_indices,
        parts[0].real.train.counts(),
        held_out.groups_of_classes(),
        seed=source.config.seed,
    )


def _say_shares(chosen: Mapping[str, Sequence[float]], progress: Progress) -> None:
    said = [f"{name} {', '.join(f'{share:.0%}' for share in shares)}" for name, shares in chosen.items() if any(shares)]
    progress.say(f"shares chosen on val: {'; '.join(said)}")


def _qualities(part: Part, gated: bool, device: str, progress: Progress) -> tuple[CheckDocument, CheckDocument | None]:
    """The images that were trained on, and the generator's as they come; the real side is described once."""
    real = part.real
    features = features_for(
        real.config.monitor.features, real.train,
        folder=real.data.run.path if real.data.run is not None else None, seed=real.config.seed, device=device,
        progress=progress,
    )  # fmt: skip
    described = describe_real(real.test, real.train, features, kind="test", classes=real.targets, progress=progress)

    def judged(images: LabelledImages, by_gate: bool) -> CheckDocument:
        return quality(
            real.test, real.train, images, features,
            reference="test", gated=by_gate, progress=progress, real=described,
        )  # fmt: skip

    pool = part.pool.subset(np.flatnonzero(np.isin(part.pool.labels, real.target_indices)))
    if part.generator is None:
        return judged(pool, False), None
    return judged(pool, gated), judged(part.generator, False)


def _material(document: EvaluateDocument, part: Part) -> ReportMaterial:
    """What the page shows beside the numbers; with folds, the first one's images."""
    real, pool = part.real, part.pool
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
    run = real.data.run
    environment = {}
    if run is not None:
        with suppress(OSError, ValueError):
            environment = json.loads((run.path / "environment.json").read_text(encoding="utf-8"))
    return ReportMaterial(
        real=real.train,
        test=real.test,
        synthetic=pool,
        generator=part.generator,
        pairs=pairs,
        training=run.metrics() if run is not None else [],
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
