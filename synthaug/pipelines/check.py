"""Are the images any good? A run's generator, or any folder of synthetic images, against real ones."""

from __future__ import annotations

import hashlib
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
from synthaug.errors import SynthaugError, suggest
from synthaug.features import check_features, features_for
from synthaug.files import write_json
from synthaug.metrics.quality import quality
from synthaug.metrics.real import Reference
from synthaug.progress import Progress, Silent
from synthaug.runs import Run, find
from synthaug.sampling.generate import Sampler, load

MIN_COUNT, COUNT = 8, 500
MAX_COUNT = 100_000
DOCUMENT = "check.json"


def check(
    target: str | Path | Run | None = None,
    *,
    reference: Path | None = None,
    features: str | None = None,
    count: int | None = None,
    checkpoint: str | Path = "best",
    runs: Path | None = None,
    device: str = "auto",
    cache: Path | None = None,
    progress: Progress | None = None,
) -> CheckDocument:
    """Judge fresh, ungated samples of a run, or the images of a folder.

    A run is held against its own test images; where it kept none, against its val images; failing these, against its
    training images, and the document says so. The document is left in the run as `check.json`.

    Args:
        target: a run (path, name, number; the latest when None), or a folder of class folders. An export of ours may be
            given as it is: its synthetic images are judged, and its real ones are known to be the training images.
        reference: real images to judge against. Where it holds train/ and test/, the latter is the reference and the
            former is what the generator is taken to have seen.
        features: who judges; for a run its monitor's net, else efficientnet_lite0.
        count: images made per class of a run (default: 500). A folder's images are all judged.
        checkpoint: which generator of the run.
        runs: where runs are.
        device: where generator and features run.
        cache: where decoded images are kept.
        progress: where to report.

    Raises:
        SynthaugError: no such run or folder, a folder without a reference or with a `count` or `checkpoint`, unknown
            features or classes.
    """
    bar = progress or Silent()
    if count is not None and not MIN_COUNT <= count <= MAX_COUNT:
        raise SynthaugError(f"{count} images a class were asked for", f"give a number from {MIN_COUNT} to {MAX_COUNT}")
    resolve_device(device)
    if features is not None:
        check_features(features)
    if isinstance(target, Run) or not _is_folder_of_images(target):
        found = target if isinstance(target, Run) else find(target, runs)
        return _check_run(found, reference, features, count or COUNT, checkpoint, device, cache, bar)
    assert target is not None
    if count is not None or checkpoint != "best":
        option = "--count" if count is not None else "--checkpoint"
        raise SynthaugError(
            f"{option} is for a run, and {str(target)!r} is a folder of images", "leave it out: all images are judged"
        )
    return _check_folder(Path(target), reference, features, device, cache, bar)


def _is_folder_of_images(target: str | Path | None) -> bool:
    return target is not None and Path(target).is_dir() and not (Path(target) / "config.yaml").exists()


def _check_run(
    run: Run,
    reference: Path | None,
    features: str | None,
    count: int,
    checkpoint: str | Path,
    device: str,
    cache: Path | None,
    progress: Progress,
) -> CheckDocument:
    data = RunData.open(run)
    config = data.config
    sampler = load(run, checkpoint=checkpoint, seed=_seed(config.seed), device=device)
    train = data.images("train", cache, progress)
    kind: Reference
    if reference is not None:
        kind, real = "folder", _unseen(reference, data, cache, progress)
    else:
        kind = "test" if data.split.of("test") else "val" if data.split.of("val") else "train"
        real = train if kind == "train" else data.images(kind, cache, progress)
    if kind == "train":
        progress.warn(
            "the run kept no held-out images: it is judged against its training images, which flatters copies"
        )
    net = features_for(
        features or config.monitor.features, train, folder=run.path, seed=config.seed, device=device, progress=progress
    )
    synthetic = _generate(sampler, count, progress)
    document = quality(
        real, train, synthetic, net,
        reference=kind, gated=False, seed=config.seed, progress=progress, keep=store.cache_root(cache),
    )  # fmt: skip
    with suppress(OSError):  # a run that cannot be written can be judged all the same
        write_json(run.path / DOCUMENT, document.model_dump(mode="json"))
    return document


def _generate(sampler: Sampler, count: int, progress: Progress) -> LabelledImages:
    """`count` ungated images of every class, named by class and index."""
    classes = sampler.classes
    parts = []
    with progress.task("generate", count * len(classes), "image") as task:
        for name in classes:
            parts.append(sampler.sample(name, count))
            task.advance(count)
    return LabelledImages(
        np.concatenate(parts),
        np.repeat(np.arange(len(classes), dtype=np.int64), count),
        classes,
        [f"{name}/{i:06d}" for name in classes for i in range(count)],
    )


def _seed(seed: int) -> int:
    """Judge other images than those that an export makes or the monitor has seen, the same ones each time."""
    return int.from_bytes(hashlib.blake2b(f"check {seed}".encode(), digest_size=4).digest(), "big") >> 1


def _unseen(reference: Path, data: RunData, cache: Path | None, progress: Progress) -> LabelledImages:
    """The reference images that the run has not been trained on or chosen by."""
    found = scan_readable(reference, cache=cache, progress=progress)
    held_out = [image for image in held_out_images(found) if image.label in data.classes]
    seen = {row.pixel_sha256 for side in ("train", "val") for row in data.split.of(side)}
    kept = [image for image in held_out if image.pixel_sha256 not in seen]
    if not kept:
        many = f"none of the {len(held_out)} images" if held_out else "no image of the run's classes"
        raise SynthaugError(
            f"{str(reference)!r} holds {many} that the run has not seen", "give real images that were kept apart"
        )
    if len(kept) < len(held_out):
        progress.warn(f"{len(held_out) - len(kept)} reference images were seen in training and are left out")
    return data.load(found.root, kept, cache, progress)


def _check_folder(
    folder: Path, reference: Path | None, features: str | None, device: str, cache: Path | None, progress: Progress
) -> CheckDocument:
    if reference is None:
        raise SynthaugError(
            f"{str(folder)!r} is a folder of images, with nothing to judge them by",
            "give real images of the same classes with --reference DIR, best those that the generator has not seen",
        )
    if reference.resolve() == folder.resolve():
        raise SynthaugError(f"{str(folder)!r} cannot be judged by itself", "give real images with --reference DIR")
    candidates = scan_synthetic(folder, cache=cache, progress=progress)
    real = scan_readable(reference, cache=cache, progress=progress)
    synthetic = synthetic_images(candidates)
    if not synthetic:
        raise SynthaugError(f"{str(folder)!r} holds no synthetic image", "check which folder was meant")
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
        raise SynthaugError(
            f"the generator has seen every real image of {str(reference)!r}", "give real images that were kept apart"
        )
    if len(unseen) < len(held_out):
        progress.warn(f"{len(held_out) - len(unseen)} reference images are training images and are left out")
    everything = [*synthetic, *unseen, *trained_on]
    loaded = partial(
        load_images, classes=classes, resolution=_side(synthetic), fit="pad", cache=cache, progress=progress,
        channels=3 if any(image.coloured for image in everything) else 1,
    )  # fmt: skip
    train = loaded(root, trained_on) if trained_on else None
    net = features_for(features or "efficientnet_lite0", train, device=device, progress=progress)
    kind: Reference = "test" if real.layout == "splits" and any(i.split == "test" for i in unseen) else "folder"
    return quality(
        loaded(real.root, unseen), train, loaded(candidates.root, synthetic), net,
        reference=kind, gated=is_export(folder), progress=progress, keep=store.cache_root(cache),
    )  # fmt: skip


def _side(images: list[ImageRecord]) -> int:
    """The resolution at which to compare: that of the synthetic images, at most 128."""
    typical = float(np.median([max(image.width, image.height) for image in images]))
    return next((side for side in RESOLUTIONS if typical <= side), RESOLUTIONS[-1])
