"""`evaluate --size`: the size at which classifiers see real and synthetic images, and the images at that size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from synthaug.classifiers import native_side
from synthaug.data.cache import LabelledImages
from synthaug.data.decode import header_size, quiet_decoding
from synthaug.data.enlargement import enlargement
from synthaug.data.run_data import RunData
from synthaug.documents import EvaluatedSize
from synthaug.evaluation.fold import JudgedImages
from synthaug.evaluation.images import RealImages
from synthaug.exporters.as_exported import AsExported
from synthaug.pipelines.chosen_upscaler import choose_upscaler
from synthaug.progress import Progress
from synthaug.requests import EvaluateRequest
from synthaug.runs import Run
from synthaug.sampling.upscaling import load_upscaler
from synthaug.seeds import evaluation_seed

ReadSynthetic = Callable[[AsExported, int], LabelledImages]
"""Gives the synthetic images as a reader of an export sees them, at a side in pixels."""


def evaluated_size(request: EvaluateRequest, data: RunData, classifier: str, labels: Sequence[str]) -> EvaluatedSize:
    """The size of an evaluation. `labels` are the classes that get synthetic images.

    Native size is the typical shorter side of the real training images, but at most the classifier's `native_side`, and
    at least the generator's size.

    Raises:
        SynthaugError: a training image cannot be read, or the upscaler does not fit the generator.
    """
    config = data.config.data
    with quiet_decoding():
        sizes = [(row.label, *header_size(data.folder / row.path)) for row in data.split.of("train")]
    real = round(float(np.median([min(width, height) for _, width, height in sizes])))
    factors = [
        enlargement(width, height, config.fit, config.resolution) for label, width, height in sizes if label in labels
    ]
    pixels = request.size if isinstance(request.size, int) else config.resolution
    if request.size == "native":
        pixels = max(config.resolution, min(native_side(classifier), real))
    enlarged = float(np.median(factors)) if factors else 1.0
    upscaler = None
    if request.upscaler is not None:
        upscaler = choose_upscaler(request.upscaler, request.runs, data, labels, request.device).reference()
    return EvaluatedSize(
        asked=request.size, pixels=pixels, generator=config.resolution, real=real, enlarged=enlarged, upscaler=upscaler
    )


def judged_images(
    real: RealImages, pool: LabelledImages, read_synthetic: ReadSynthetic, size: EvaluatedSize, *, cache: Path | None,
    device: str, progress: Progress,
) -> JudgedImages:  # fmt: skip
    """What the classifiers of a fold see.

    Args:
        real: real images at the generator's size.
        pool: synthetic images at the generator's size.
        read_synthetic: gives the same at another size.
        size: of the evaluation.
        cache: the folder of decoded images.
        device: where an upscaler computes.
        progress: shows the progress bars.

    Raises:
        SynthaugError: a real image is missing, or has changed.
    """
    if size.asked == "model":
        return JudgedImages(real.train, real.val, real.test, pool)
    data, side, upscaler = real.data, size.pixels, None
    if size.upscaler is not None and size.upscaler.used:
        upscaler = load_upscaler(Run(Path(size.upscaler.path)), size.upscaler.checkpoint, device)
    exported = AsExported.of(data, [real.classes[k] for k in np.unique(pool.labels)], progress, upscaler)
    # As many images as in the pool: the real ones of the class again and again, each time with another look.
    taken, numbers = [], []
    for label in np.unique(pool.labels):
        own, count = np.flatnonzero(real.train.labels == label), np.count_nonzero(pool.labels == label)
        taken.append(np.resize(own, count))
        numbers.append(np.arange(count))
    reduced = real.train.subset(np.concatenate(taken))
    return JudgedImages(
        train=data.images("train", cache, progress, resolution=side),
        val=data.images("val", cache, progress, resolution=side),
        test=data.load(real.test_root, real.test_rows, cache, progress, resolution=side),
        pool=read_synthetic(exported, side),
        down_up=exported.read_back(
            reduced, np.concatenate(numbers), side, seed=evaluation_seed(real.config.seed), progress=progress
        ),
    )
