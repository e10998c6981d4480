"""Features of held-out and training images, computed once for all synthetic sets that are compared with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from synthaug.data.cache import LabelledImages
from synthaug.features.base import FeatureNet, Pixels
from synthaug.features.feature_cache import describe
from synthaug.metrics.bias import looks
from synthaug.metrics.class_judge import MAX_PER_CLASS, ClassJudge, class_judge
from synthaug.metrics.ms_ssim import MAX_IMAGES as MAX_PICTURES
from synthaug.metrics.pixel_copies import CopyFinder
from synthaug.metrics.threads import one_thread
from synthaug.progress import Progress, Silent
from synthaug.seeds import stream

Features = NDArray[np.float32]
Looks = dict[str, NDArray[np.float64]]
Reference = Literal["test", "val", "train", "folder"]


@dataclass(frozen=True, slots=True)
class Head:
    """The feature net's own classifier: features [N, d] → logits [N, K] of the classes that it was trained on."""

    weight: NDArray[np.float64]
    bias: NDArray[np.float64] | float

    @classmethod
    def of(cls, net: FeatureNet) -> Head | None:
        """None if the net has none."""
        layer = getattr(net, "head", None)
        if layer is None:
            return None
        bias = 0.0 if layer.bias is None else layer.bias.detach().cpu().double().numpy()
        return cls(layer.weight.detach().cpu().double().numpy(), bias)

    def __call__(self, features: Features) -> NDArray[np.float64]:
        logits: NDArray[np.float64] = features @ self.weight.T + self.bias
        return logits


@dataclass(frozen=True)
class RealFeatures:
    """The real images as the metrics need them; the same for ungated and gated samples."""

    classes: list[str]
    reference: dict[str, Features]
    train: dict[str, Features]
    mirrored: dict[str, Features]
    train_paths: dict[str, list[str]]
    held_out: bool
    judge: ClassJudge | None
    fitted: bool = False
    """The feature net was trained on the training images, so that they cannot serve as a floor."""
    reference_looks: dict[str, Looks] = field(default_factory=dict)
    train_looks: dict[str, Looks] = field(default_factory=dict)
    pictures: dict[str, Pixels] = field(default_factory=dict)
    """Some real images of each class that will be judged."""
    copy_finders: dict[str, CopyFinder] = field(default_factory=dict)
    """The training images of each class that will be judged, to find copies by their pixels."""
    held_out_nearness: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    """Pixel distance ÷ limit (`CopyFinder.closest`) of the held-out images, in their order."""
    head: Head | None = None


def describe_real(
    reference: LabelledImages,
    train: LabelledImages | None,
    features: FeatureNet,
    *,
    kind: Reference,
    classes: Sequence[str] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    keep: Path | None = None,
) -> RealFeatures:
    """Compute the features of the real images, and of the training images mirrored.

    Args:
        reference: real images to judge against; the training images if `kind` is "train".
        train: the generator's training images; None if unknown.
        features: the feature net.
        kind: what `reference` is.
        classes: those that will be judged; None: all. The others only help to tell the classes apart: at most 500
            images of each are used, and none is mirrored.
        seed: of the class judge and of the choice among the other classes' images.
        progress: shows the progress bars.
        keep: the folder in which features are cached; None: no cache.
    """
    bar = progress or Silent()
    held_out = kind != "train"
    trained_on = train if train is not None else reference.subset([]) if held_out else reference
    wanted = set(classes) if classes is not None else {*reference.classes, *trained_on.classes}
    trained_on = _limited(trained_on, wanted, stream(seed, 0))
    of_train = by_class(
        trained_on, describe(features, trained_on.pixels, name="features of training images", progress=bar, keep=keep)
    )
    to_mirror = trained_on.subset([i for i, k in enumerate(trained_on.labels) if trained_on.classes[k] in wanted])
    flipped = describe(
        features, to_mirror.pixels[..., ::-1], name="features of mirrored training images", progress=bar, keep=keep
    )
    of_reference = of_train
    if held_out:
        reference = _limited(reference, wanted, stream(seed, 0))
        of_reference = by_class(
            reference, describe(features, reference.pixels, name="features of held-out images", progress=bar, keep=keep)
        )
    names = list(dict.fromkeys([*reference.classes, *trained_on.classes]))
    fitted = features.name == "own"
    with one_thread():
        finders = {name: CopyFinder(x) for name in sorted(wanted) if len(x := _pixels_of(trained_on, name))}
        return RealFeatures(
            classes=names,
            reference=of_reference,
            train=of_train,
            mirrored={name: found for name, found in by_class(to_mirror, flipped).items() if name in wanted},
            train_paths=paths_of(trained_on),
            held_out=held_out,
            judge=_judge(names, of_reference, of_train, held_out, fitted, stream(seed, 0)),
            fitted=fitted,
            reference_looks=_looks(reference, wanted),
            train_looks=_looks(trained_on, wanted),
            pictures=_pictures(reference, trained_on, wanted, held_out, stream(seed, 0)),
            copy_finders=finders,
            held_out_nearness={
                name: images.closest(_pixels_of(reference, name))[0] for name, images in finders.items() if held_out
            },
            head=Head.of(features),
        )


def _pixels_of(images: LabelledImages, name: str) -> Pixels:
    """The images of a class; empty if there is no such class."""
    return images.of_class(name) if name in images.classes else images.pixels[:0]


def _judge(
    names: list[str],
    reference: Mapping[str, Features],
    train: Mapping[str, Features],
    held_out: bool,
    fitted: bool,
    rng: np.random.Generator,
) -> ClassJudge | None:
    """Trained on all real images and cross-validated; with a fitted net, trained on its training images and tested on
    held-out ones."""
    apart = fitted and held_out
    known = {name: all_real(reference.get(name), train.get(name), held_out and not apart) for name in names}
    x, y = _labelled(names, known)
    if not len(y):
        return None
    return class_judge(x, y, unseen=_labelled(names, reference) if apart else None, rng=rng)


def _labelled(names: list[str], features: Mapping[str, Features]) -> tuple[Features, NDArray[np.int64]]:
    present = {name: features[name] for name in names if len(features.get(name, ()))}
    labels = np.repeat([names.index(name) for name in present], [len(x) for x in present.values()]).astype(np.int64)
    return np.concatenate(list(present.values())) if present else np.empty((0, 0), np.float32), labels


def _looks(images: LabelledImages, wanted: set[str]) -> dict[str, Looks]:
    return {name: looks(images.of_class(name)) for name, count in images.counts().items() if count and name in wanted}


def _pictures(
    reference: LabelledImages, train: LabelledImages, wanted: set[str], held_out: bool, rng: np.random.Generator
) -> dict[str, Pixels]:
    """Some real images of each class: twice as many as MS-SSIM compares."""
    out = {}
    sets = [reference, train] if held_out else [train]
    for name in sorted(wanted):
        here = [(images, images.index(name)) for images in sets if name in images.classes]
        rows = [(images, row) for images, label in here for row in np.flatnonzero(images.labels == label)]
        if rows:
            chosen = [rows[i] for i in rng.permutation(len(rows))[: 2 * MAX_PICTURES]]
            out[name] = np.stack([images.pixels[row] for images, row in chosen])
    return out


def _limited(images: LabelledImages, wanted: set[str], rng: np.random.Generator) -> LabelledImages:
    """All images of the wanted classes, at most `MAX_PER_CLASS` of the others."""
    kept = np.ones(len(images), bool)
    for index, name in enumerate(images.classes):
        of_class = np.flatnonzero(images.labels == index)
        if name not in wanted and len(of_class) > MAX_PER_CLASS:
            kept[rng.permutation(of_class)[MAX_PER_CLASS:]] = False
    return images if kept.all() else images.subset(kept)


def paths_of(images: LabelledImages) -> dict[str, list[str]]:
    """Class → the paths of its images."""
    return {
        name: [images.paths[i] for i in np.flatnonzero(images.labels == index)]
        for index, name in enumerate(images.classes)
    }


def by_class(images: LabelledImages, features: Features) -> dict[str, Features]:
    """Class → its rows of `features` [len(images), d]."""
    return {name: features[images.labels == index] for index, name in enumerate(images.classes)}


def all_real(reference: Any, train: Any, held_out: bool) -> Any:
    """Features [n + t, d] of the held-out (if any) and training images of one class together."""
    parts = [part for part in ((reference, train) if held_out else (train,)) if part is not None]
    return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)
