"""The folds of an evaluation with their images: real ones, and synthetic ones of generators or of a folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from synthaug.data.cache import LabelledImages
from synthaug.data.folder import ImageRecord
from synthaug.data.run_data import RunData
from synthaug.documents import ByHand, EvaluatedSize, MadeFrom
from synthaug.errors import SynthaugError
from synthaug.evaluation.arms import TARGETS_ONLY
from synthaug.evaluation.fold import Fold
from synthaug.evaluation.images import RealImages, fresh_samples, synthetic_folder
from synthaug.exporters.as_exported import AsExported
from synthaug.exporters.manifest import MANIFEST, METADATA, read_manifest, read_rows
from synthaug.parsing import read_json
from synthaug.pipelines.balanced_conditions import balanced_sampler
from synthaug.pipelines.by_hand import choice_of, counted, images_of, kept_files, left_out, run_of
from synthaug.pipelines.judged_size import judged_images
from synthaug.pipelines.replicates import given_replicates, trained_replicates
from synthaug.progress import Progress
from synthaug.requests import EvaluateRequest
from synthaug.requests.options import OFF
from synthaug.runs import Run
from synthaug.sampling.curation import Images
from synthaug.sampling.generate import load
from synthaug.seeds import evaluation_seed
from synthaug.training.checkpoint import find_checkpoint
from synthaug.translators.options import SourceOptions


def generators_of(request: EvaluateRequest, reals: Sequence[RealImages], progress: Progress) -> list[Run]:
    """The runs whose generators make the synthetic images: one for each fold, or several for the only split.

    Raises:
        SynthaugError: the run has no replicates, or those given are none.
        RunFailed: the training of one diverged.
    """
    own = [real.data.run for real in reals if real.data.run is not None and request.synthetic is None]
    if request.generators is not None:
        return trained_replicates(
            own[0], request.generators, device=request.device, cache=request.cache, progress=progress
        )
    return given_replicates(own[0], request.replicates, request.runs) if request.replicates else own


def mix_of(request: EvaluateRequest, data: RunData) -> Literal["targets", "all"]:
    """Which classes get synthetic images: as asked, or all where the run makes them from images.

    If only rare images had passed through a network, its traces would say "rare" (the fingerprint control).
    """
    from_images = request.synthetic is None and isinstance(data.config.model, SourceOptions)
    return request.mix or ("all" if from_images else "targets")


def asked_arms(request: EvaluateRequest, data: RunData) -> tuple[str, ...] | None:
    """The arms that are asked for. By default, images from images also have an arm that shows what the mix changes."""
    default = request.mix is None and mix_of(request, data) == "all"
    return ("default", TARGETS_ONLY) if default and request.arms is None else request.arms


def make_folds(
    request: EvaluateRequest,
    reals: Sequence[RealImages],
    runs: Sequence[Run],
    mixed: list[str],
    size: EvaluatedSize,
    progress: Progress,
) -> tuple[list[Fold], list[str]]:
    """The folds with their synthetic images, and warnings.

    Args:
        request: asks for fresh images or for those of a folder.
        reals: the real images of each fold.
        runs: from `generators_of`. If there are more than folds, each has the only split: they are replicates.
        mixed: the classes that get synthetic images.
        size: at which classifiers see images.
        progress: shows the progress bars.

    Raises:
        SynthaugError: the checkpoint belongs to another run, or the folder of synthetic images is bad.
    """
    if request.synthetic is None:
        if len(runs) > 1 and reals[0].data.run is not None and (files := kept_files(reals[0].data.run)):
            progress.say(f"{files} of decisions by hand are not used: several generators are judged")
        splits = [*reals, *[reals[0]] * (len(runs) - len(reals))]
        made = [
            _fresh(request, real, run, mixed, size, progress, alone=len(runs) == 1)
            for real, run in zip(splits, runs, strict=True)
        ]
        return [fold for fold, _ in made], [line for _, notes in made for line in notes]
    (real,) = reals
    root, rows, warnings = synthetic_folder(request.synthetic, real, mixed, cache=request.cache, progress=progress)
    rows, by_hand = _curated(request, request.synthetic, rows, progress)
    pool = real.data.load(root, rows, request.cache, progress)

    def read(_: AsExported, side: int) -> LabelledImages:
        return real.data.load(root, rows, request.cache, progress, resolution=side)

    judged = judged_images(real, pool, read, size, cache=request.cache, device=request.device, progress=progress)
    run = real.data.run
    if run is None or not _exported_from(request.synthetic, run):
        warnings.append("it is unknown whether the generator of these images has seen the test images")
    made_from, extrapolated = _told(request.synthetic, mixed)
    warnings += [
        f"{n:,} of the synthetic images of {name!r} have conditions that no training image of it has (extrapolated)"
        for name, n in extrapolated.items()
    ]
    fold = Fold(real, pool, judged, made_from=made_from, extrapolated=extrapolated, by_hand=by_hand)
    return [fold], warnings


def _fresh(
    request: EvaluateRequest, real: RealImages, run: Run, mixed: list[str], size: EvaluatedSize, progress: Progress,
    *, alone: bool,
) -> tuple[Fold, list[str]]:  # fmt: skip
    """A fold with fresh images of a run's generator, and warnings; `alone` if there is no other generator."""
    checkpoint = request.checkpoint
    is_path = isinstance(checkpoint, Path) or os.sep in checkpoint
    if is_path and find_checkpoint(run, checkpoint).resolve().parent != run.checkpoints.resolve():
        raise SynthaugError(
            f"the checkpoint {str(checkpoint)!r} does not belong to the run {run.name!r}: its training images are not "
            "known",
            "give a checkpoint of the run, or evaluate the run of the checkpoint",
        )
    sampler = load(
        run, checkpoint=checkpoint, seed=evaluation_seed(run.config().seed), mode=request.mode, device=request.device,
        cache=request.cache,
    )  # fmt: skip
    counts = real.train.counts()
    more = {name: max(max(counts.values()) - n, 1) for name, n in counts.items()}  # as an export fills up
    sampler = balanced_sampler(sampler, request.balance, counts, more)
    choice = None
    if alone:  # decisions are about the images of an export, which are then judged instead of others
        exported_from = replace(sampler, seed=run.config().seed)
        choice = choice_of(request, run, Images.of(exported_from), progress)
        sampler = sampler if choice is None else exported_from
    made = fresh_samples(
        sampler, real, mixed, seeds=request.seeds, gate=request.gate, choice=choice, device=request.device,
        cache=request.cache, progress=progress,
    )  # fmt: skip

    def read(exported: AsExported, side: int) -> LabelledImages:
        return exported.read_back(made.gated, made.numbers, side, seed=sampler.seed, progress=progress)

    judged = judged_images(real, made.gated, read, size, cache=request.cache, device=request.device, progress=progress)
    made_from = {} if made.origins is None else made.origins.counts(made.gated)
    by_hand = {} if choice is None else counted(choice, mixed)
    fold = Fold(
        real, made.gated, judged, made.ungated, run, sampler.trained.checkpoint, made_from, made.origins, by_hand
    )
    return fold, made.warnings


def _curated(
    request: EvaluateRequest, folder: Path, rows: list[ImageRecord], progress: Progress
) -> tuple[list[ImageRecord], dict[str, ByHand]]:
    """The images of a folder without those that decisions by hand leave out, if it is an export of a run that is here.

    Raises:
        SynthaugError: as `choice_of`; or decisions are asked for, and it is no such export.
    """
    asked = request.only_accepted or request.curation not in (None, OFF)
    try:
        manifest = read_manifest(folder / MANIFEST)
        run = run_of(manifest, request.runs)
    except SynthaugError as error:
        if not asked:
            return rows, {}
        raise SynthaugError(
            f"there are no decisions by hand about {str(folder)!r}: {error.message}",
            "leave --curation and --only-accepted out",
        ) from error
    choice = choice_of(request, run, images_of(manifest), progress)
    if choice is None:
        return rows, {}
    out, by_hand = left_out(folder, choice)
    kept = [row for row in rows if (row.label, row.pixel_sha256) not in out]
    if lost := sorted({row.label for row in rows} - {row.label for row in kept}):
        raise SynthaugError(f"decisions by hand leave no image of {lost[0]!r}", "accept some, or give --curation off")
    return kept, by_hand


def _exported_from(folder: Path, run: Run) -> bool:
    """Whether the manifest of a folder names this run."""
    try:
        path = read_json(folder / "manifest.json")["run"]["path"]
        return Path(path).resolve() == run.path.resolve()
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _told(folder: Path, names: Sequence[str]) -> tuple[dict[str, MadeFrom], dict[str, int]]:
    """What the metadata of a folder tells about its synthetic images of these classes, if it is an export.

    Class → the real images behind them, and class → how many have conditions that no training image of it has.
    """
    sources: dict[str, list[str]] = {name: [] for name in names}
    extrapolated = dict.fromkeys(names, 0)
    with suppress(SynthaugError):
        for _, row in read_rows(folder / "train" / METADATA):
            if (label := str(row.get("label"))) in sources:
                extrapolated[label] += row.get("extrapolated") is True
                if row.get("source_path"):
                    sources[label].append(str(row["source_path"]))
    made_from = {name: MadeFrom(images=len(paths), sources=len(set(paths))) for name, paths in sources.items() if paths}
    return made_from, {name: n for name, n in extrapolated.items() if n}


def together(pools: Sequence[LabelledImages]) -> LabelledImages:
    """The images of several generators."""
    return LabelledImages(
        np.concatenate([pool.pixels for pool in pools]), np.concatenate([pool.labels for pool in pools]),
        pools[0].classes, [path for pool in pools for path in pool.paths],
    )  # fmt: skip
