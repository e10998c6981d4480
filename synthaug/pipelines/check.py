"""`check`: compare images of a run's generator, or of any folder, with real images."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np

from synthaug.config import RESOLUTIONS
from synthaug.data import store
from synthaug.data.cache import LabelledImages, load_images
from synthaug.data.folder import ImageRecord
from synthaug.data.roles import held_out_images, is_export, marked_real, scan_readable, scan_synthetic, synthetic_images
from synthaug.data.run_data import RunData
from synthaug.device import resolve_device
from synthaug.documents import CheckDocument
from synthaug.errors import SynthaugError, plural, suggest
from synthaug.features import check_features, features_for
from synthaug.files import write_json
from synthaug.locks import Held
from synthaug.metrics.quality import quality
from synthaug.metrics.real import Reference
from synthaug.metrics.second_judge import load_second_net
from synthaug.pipelines.condition_effects import condition_effects
from synthaug.pipelines.monitor_net import check_permitted, monitor_net
from synthaug.progress import Progress, shown
from synthaug.requests import CheckRequest, documented
from synthaug.requests.options import workers_of
from synthaug.results.commands import CheckResult
from synthaug.runs import Run, RunLike, find
from synthaug.sampling.generate import SeededGenerator, load
from synthaug.seeds import check_seed

COUNT = 500
DOCUMENT = "check.json"


@documented(CheckRequest)
def check(
    target: RunLike | None = None, *, reference: str | Path | None = None, features: str | None = None,
    second_judge: str = "auto", count: int | None = None, checkpoint: str | Path = "best",
    runs: str | Path | None = None,
    device: str = "auto", cache: str | Path | None = None, jobs: int = 1, backend: str = "loky",
    scheduler: str | None = None, progress: Progress | bool = True,
) -> CheckResult:  # fmt: skip
    """Judge fresh, ungated samples of a run, or the images of a folder.

    A run is compared with its own test images; without any, with its val images; without these, with its
    training images, as the document records. The document is also written into the run, as `check.json`.

    In an export, the synthetic images are judged, and the real ones are the training images. If `reference` holds
    train/ and test/, the images in test/ are the reference, and those in train/ count as training images.

    Raises:
        SynthaugError: no such run or folder, a folder without a reference or with a `count` or `checkpoint`, unknown
            features or classes.
    """
    return CheckResult.of(run_check(CheckRequest.of(locals()), shown(progress)))


def run_check(request: CheckRequest, progress: Progress) -> CheckDocument:
    resolve_device(request.device)
    workers_of(request).check_reachable()
    if request.features is not None:
        check_features(request.features)
    if request.target is None or not _is_folder_of_images(Path(request.target)):
        return _check_run(find(request.target, request.runs), request, progress)
    if request.count is not None or request.checkpoint != "best":
        option = "--count" if request.count is not None else "--checkpoint"
        raise SynthaugError(
            f"{option} is for a run, and {request.target!r} is a folder of images",
            "leave it out: all images are judged",
        )
    return _check_folder(Path(request.target), request, progress)


def _is_folder_of_images(target: Path) -> bool:
    return target.is_dir() and not (target / "config.yaml").exists()


def _check_run(run: Run, request: CheckRequest, progress: Progress) -> CheckDocument:
    data, cache = RunData.open(run), request.cache
    config = data.config
    check_permitted(data, request.features)
    sampler = load(run, checkpoint=request.checkpoint, seed=check_seed(config.seed), device=request.device, cache=cache)
    train = data.images("train", cache, progress)
    kind: Reference
    if request.reference is not None:
        kind, real = "folder", _unseen(request.reference, data, cache, progress)
    else:
        kind = "test" if data.split.of("test") else "val" if data.split.of("val") else "train"
        real = train if kind == "train" else data.images(kind, cache, progress)
    if kind == "train":
        progress.warn(
            "the run has no test or val images: its images are compared with the training images, so that copies get "
            "too good a score"
        )
    net = monitor_net(run, config, request.features, train, device=request.device, progress=progress)
    second = load_second_net(
        request.second_judge, net.name, train,
        folder=run.path, seed=config.seed, device=request.device, progress=progress,
    )  # fmt: skip
    synthetic = _generate(sampler, request.count or COUNT, progress)
    document = quality(
        real, train, synthetic, net,
        reference=kind, gated=False, seed=config.seed, progress=progress, keep=store.cache_root(cache), second=second,
        workers=workers_of(request),
    )  # fmt: skip
    document.conditions = condition_effects(data, sampler, request.count or COUNT, net, cache, progress)
    try:
        with suppress(OSError), run.writing():  # the run may not be writable
            write_json(run.path / DOCUMENT, document.model_dump(mode="json"))
    except Held as held:
        progress.warn(f"{DOCUMENT} is not written: {held.message}")
    return document


def _generate(sampler: SeededGenerator, count: int, progress: Progress) -> LabelledImages:
    """`count` ungated images of every class, named by class and index; fewer where an export could have no more."""
    classes = sampler.classes
    counts = [int(min(count, sampler.most(name))) for name in classes]
    pixels = []
    with progress.task("generate", sum(counts), "images") as task:
        for name, number in zip(classes, counts, strict=True):
            pixels.append(sampler.sample(name, number))
            task.advance(number)
    return LabelledImages(
        np.concatenate(pixels),
        np.repeat(np.arange(len(classes), dtype=np.int64), counts),
        classes,
        [f"{name}/{i:06d}" for name, number in zip(classes, counts, strict=True) for i in range(number)],
    )


def _unseen(reference: Path, data: RunData, cache: Path | None, progress: Progress) -> LabelledImages:
    """The reference images that the run has used neither for training nor for choosing a checkpoint."""
    found = scan_readable(reference, cache=cache, progress=progress)
    held_out = [image for image in held_out_images(found) if image.label in data.classes]
    seen = {row.pixel_sha256 for side in ("train", "val") for row in data.split.of(side)}
    kept = [image for image in held_out if image.pixel_sha256 not in seen]
    if not kept:
        fault = "the run has seen every image of" if held_out else "there is no image of the run's classes in"
        raise SynthaugError(f"{fault} {str(reference)!r}", "give other real images")
    if len(kept) < len(held_out):
        images = plural(len(held_out) - len(kept), "reference image")
        progress.warn(f"left out {images} that the run has used for training or validation")
    return data.load(found.root, kept, cache, progress)


def _check_folder(folder: Path, request: CheckRequest, progress: Progress) -> CheckDocument:
    reference, cache = request.reference, request.cache
    if reference is None:
        raise SynthaugError(
            f"{str(folder)!r} is a folder of images, and there are no real images to compare with",
            "give real images of the same classes that the generator has not seen: --reference DIR",
        )
    if reference.resolve() == folder.resolve():
        raise SynthaugError(f"{str(folder)!r} cannot be compared with itself", "give real images with --reference DIR")
    candidates = scan_synthetic(folder, cache=cache, progress=progress)
    real = scan_readable(reference, cache=cache, progress=progress)
    synthetic = synthetic_images(candidates)
    if not synthetic:
        raise SynthaugError(f"{str(folder)!r} holds no synthetic image", "give a folder of synthetic images")
    held_out = held_out_images(real)
    trained_on = [image for image in real.images if image.split == "train" and image not in held_out]
    root = real.root
    if not trained_on:
        trained_on, root = marked_real(candidates), candidates.root
    classes = sorted({image.label for image in [*real.images, *trained_on]})
    for label in sorted({image.label for image in synthetic}):
        if label not in classes:
            raise SynthaugError(
                f"the synthetic class {label!r} has no real image in {str(reference)!r}", suggest(label, classes)
            )
    seen = {image.pixel_sha256 for image in trained_on}
    unseen = [image for image in held_out if image.pixel_sha256 not in seen]
    if not unseen:
        raise SynthaugError(f"the generator has seen every real image of {str(reference)!r}", "give other real images")
    if len(unseen) < len(held_out):
        images = plural(len(held_out) - len(unseen), "reference image")
        progress.warn(f"left out {images} that the generator was trained on")
    everything = [*synthetic, *unseen, *trained_on]
    loaded = partial(
        load_images, classes=classes, resolution=_side(synthetic), fit="pad", cache=cache, progress=progress,
        channels=3 if any(image.coloured for image in everything) else 1,
    )  # fmt: skip
    train = loaded(root, trained_on) if trained_on else None
    net = features_for(request.features or "efficientnet_lite0", train, device=request.device, progress=progress)
    second = load_second_net(request.second_judge, net.name, train, device=request.device, progress=progress)
    kind: Reference = (
        "test" if real.layout in ("splits", "shards") and any(i.split == "test" for i in unseen) else "folder"
    )
    return quality(
        loaded(real.root, unseen), train, loaded(candidates.root, synthetic), net,
        reference=kind, gated=is_export(folder), progress=progress, keep=store.cache_root(cache), second=second,
        workers=workers_of(request),
    )  # fmt: skip


def _side(images: list[ImageRecord]) -> int:
    """The resolution at which to compare: that of the synthetic images, at most 256."""
    typical = float(np.median([max(image.width, image.height) for image in images]))
    return next((side for side in RESOLUTIONS if typical <= side), RESOLUTIONS[-1])
