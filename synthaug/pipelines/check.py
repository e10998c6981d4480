"""Are the images any good? A run's generator, or any folder of synthetic images, against real ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from synthaug.config import Fit
from synthaug.data import store
from synthaug.data.cache import LabelledImages, load_images
from synthaug.data.folder import ImageRecord, Scan, scan
from synthaug.data.split import Split, SplitRow
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

SIDES = (16, 32, 64, 128)
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


@dataclass(frozen=True)
class _Shape:
    """How images become arrays, the same for all that are compared."""

    resolution: int
    channels: int
    fit: Fit
    cache: Path | None
    progress: Progress

    def load(self, root: Path, rows: Iterable[ImageRecord | SplitRow], classes: list[str]) -> LabelledImages:
        return load_images(
            root, list(rows), classes, resolution=self.resolution, channels=self.channels, fit=self.fit,
            cache=self.cache, progress=self.progress,
        )  # fmt: skip


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
    config, facts = run.config(), run.facts()
    data, classes = Path(facts["data"]), [str(name) for name in facts["classes"]]
    if not data.is_dir():
        raise SynthaugError(
            f"the data folder {str(data)!r} of run {run.name!r} is gone", "put it back where it was during the fit"
        )
    sampler = load(run, checkpoint=checkpoint, seed=_seed(config.seed), device=device)
    split = Split.read(run.split_file)
    shape = _Shape(config.data.resolution, int(facts["channels"]), config.data.fit, cache, progress)
    train = shape.load(data, split.of("train"), classes)
    kind: Reference
    if reference is not None:
        kind, real = "folder", _unseen(reference, split, classes, shape)
    else:
        kind, rows = next(
            ((name, rows) for name in ("test", "val") if (rows := split.of(name))), ("train", split.of("train"))
        )
        real = train if kind == "train" else shape.load(data, rows, classes)
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


def _unseen(reference: Path, split: Split, classes: list[str], shape: _Shape) -> LabelledImages:
    """The reference images that the run has not been trained on or chosen by."""
    found = _scan(reference, shape)
    held_out = [image for image in _held_out(found) if image.label in classes]
    seen = {row.pixel_sha256 for name in ("train", "val") for row in split.of(name)}
    kept = [image for image in held_out if image.pixel_sha256 not in seen]
    if not kept:
        many = f"none of the {len(held_out)} images" if held_out else "no image of the run's classes"
        raise SynthaugError(
            f"{str(reference)!r} holds {many} that the run has not seen", "give real images that were kept apart"
        )
    if len(kept) < len(held_out):
        shape.progress.warn(f"{len(held_out) - len(kept)} reference images were seen in training and are left out")
    return shape.load(found.root, kept, classes)


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
    unread = _Shape(0, 0, "pad", cache, progress)
    place = folder / "train" if (folder / "train" / "metadata.jsonl").is_file() else folder  # an export of ours
    candidates, real = _scan(place, unread), _scan(reference, unread)
    synthetic = [image for image in candidates.images if image.synthetic is not False]
    if not synthetic:
        raise SynthaugError(f"{str(folder)!r} holds no synthetic image", "check which folder was meant")
    held_out = _held_out(real)
    trained_on = [image for image in real.images if image.split == "train" and image not in held_out]
    root = real.root
    if not trained_on:
        trained_on, root = [image for image in candidates.images if image.synthetic is False], candidates.root
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
    shape = _Shape(_side(synthetic), 3 if any(image.coloured for image in everything) else 1, "pad", cache, progress)
    train = shape.load(root, trained_on, classes) if trained_on else None
    net = features_for(features or "efficientnet_lite0", train, device=device, progress=progress)
    kind: Reference = "test" if real.layout == "splits" and any(i.split == "test" for i in unseen) else "folder"
    return quality(
        shape.load(real.root, unseen, classes), train, shape.load(candidates.root, synthetic, classes), net,
        reference=kind, gated=place != folder, progress=progress, keep=store.cache_root(cache),
    )  # fmt: skip


def _scan(folder: Path, shape: _Shape) -> Scan:
    found = scan(folder, cache=shape.cache, progress=shape.progress)
    if found.unreadable:
        shape.progress.warn(f"{len(found.unreadable)} files in {str(folder)!r} cannot be read and are left out")
    return found


def _held_out(found: Scan) -> list[ImageRecord]:
    """Real images that a generator should not have seen: test/ if there is one, else val/, else all."""
    real = [image for image in found.images if image.synthetic is not True]
    for name in ("test", "val"):
        if part := [image for image in real if image.split == name]:
            return part
    return real


def _side(images: list[ImageRecord]) -> int:
    """The resolution at which to compare: that of the synthetic images, at most 128."""
    typical = float(np.median([max(image.width, image.height) for image in images]))
    return next((side for side in SIDES if typical <= side), SIDES[-1])
