"""Are the images any good? All metrics of all classes, assembled into a `CheckDocument`.

Each class is judged against real images that the generator has not seen, where there are any, each number beside what
real images score against real ones; where there are none, the class says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from synthaug.data.cache import LabelledImages
from synthaug.documents import CheckDocument, ClassQuality, CopyPair, Range
from synthaug.errors import SynthaugError, suggest
from synthaug.features.base import FeatureNet, Pixels
from synthaug.metrics import collapse
from synthaug.metrics.agreement import MAX_PER_CLASS, ClassJudge, class_judge
from synthaug.metrics.detectability import MIN_IMAGES as MIN_DETECT
from synthaug.metrics.detectability import detect_auc
from synthaug.metrics.diversity import missed_clusters
from synthaug.metrics.matched import MIN_KID, Fidelity, compare_diversity, compare_fidelity, proportion_range
from synthaug.metrics.memorisation import memorisation, nearest_training_images
from synthaug.progress import Progress, Silent

Features = NDArray[np.float32]
Reference = Literal["test", "val", "train", "folder"]
SMALL = 30
"""Images a side below which a reason says that the numbers are uncertain."""
PAIRS_PER_CLASS = 4
_CHUNK = 512


@dataclass(frozen=True)
class RealFeatures:
    """What judging needs of the real images: computed once, used for the ungated and for the gated samples."""

    classes: list[str]
    reference: dict[str, Features]
    train: dict[str, Features]
    mirrored: dict[str, Features]
    train_paths: dict[str, list[str]]
    held_out: bool
    judge: ClassJudge | None
    features: FeatureNet
    kind: Reference


def describe_real(
    reference: LabelledImages,
    train: LabelledImages | None,
    features: FeatureNet,
    *,
    kind: Reference,
    classes: Sequence[str] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> RealFeatures:
    """Compute the features of the real images, and of the training images mirrored.

    Args:
        reference: real images to judge against; the training images themselves where `kind` is "train".
        train: what the generator has seen; None if unknown.
        features: the judge.
        kind: what `reference` is.
        classes: those that will be judged, all when None. Of the others, which only help to tell the classes apart, at
            most 500 images are used and none is mirrored.
        seed: of the class judge and of the choice among the other classes' images.
        progress: where the bars go.
    """
    bar = progress or Silent()
    held_out = kind != "train"
    trained_on = train if train is not None else reference.subset([]) if held_out else reference
    wanted = set(classes) if classes is not None else {*reference.classes, *trained_on.classes}
    trained_on = _limited(trained_on, wanted, _rng(seed, 0))
    of_train = _by_class(trained_on, _describe(features, trained_on.pixels, "features of training images", bar))
    to_mirror = trained_on.subset([i for i, k in enumerate(trained_on.labels) if trained_on.classes[k] in wanted])
    flipped = _describe(features, to_mirror.pixels[..., ::-1], "features of mirrored training images", bar)
    of_reference = of_train
    if held_out:
        reference = _limited(reference, wanted, _rng(seed, 0))
        of_reference = _by_class(reference, _describe(features, reference.pixels, "features of held-out images", bar))
    names = list(dict.fromkeys([*reference.classes, *trained_on.classes]))
    known = {name: _all_real(of_reference.get(name), of_train.get(name), held_out) for name in names}
    present = {name: known[name] for name in names if len(known[name])}
    labels = np.repeat([names.index(name) for name in present], [len(x) for x in present.values()]).astype(np.int64)
    judge = class_judge(np.concatenate(list(present.values())), labels, rng=_rng(seed, 0)) if present else None
    return RealFeatures(
        classes=names,
        reference=of_reference,
        train=of_train,
        mirrored={name: found for name, found in _by_class(to_mirror, flipped).items() if name in wanted},
        train_paths=_paths(trained_on),
        held_out=held_out,
        judge=judge,
        features=features,
        kind=kind,
    )


def quality(
    real_reference: LabelledImages,
    train: LabelledImages | None,
    synthetic: LabelledImages,
    features: FeatureNet,
    *,
    reference: Reference,
    gated: bool,
    seed: int = 0,
    progress: Progress | None = None,
    real: RealFeatures | None = None,
) -> CheckDocument:
    """Judge every class that has synthetic images.

    Args:
        real_reference: real images to judge against, held out unless `reference` is "train".
        train: the images the generator was trained on; None if unknown, then nothing is said about memorisation.
        synthetic: the images to judge; classes are matched by name.
        features: the judge.
        reference: what `real_reference` is.
        gated: whether a gate has chosen the images.
        seed: of every random choice; the same seed gives the same document.
        progress: where the bars go.
        real: from `describe_real`, to judge several sets against the same real images.

    Raises:
        SynthaugError: a synthetic class has no real image, or there is no synthetic image.
    """
    bar = progress or Silent()
    given = [name for index, name in enumerate(synthetic.classes) if (synthetic.labels == index).any()]
    if not given:
        raise SynthaugError("there is no synthetic image to judge", "give a folder of class folders, or a trained run")
    known = _images_of_classes(real_reference, train) if real is None else _features_of_classes(real)
    for name in given:
        if not known.get(name):
            raise SynthaugError(
                f"the synthetic class {name!r} has no real image to be judged against",
                suggest(name, [c for c, count in known.items() if count]),
            )
    if real is None:
        real = describe_real(real_reference, train, features, kind=reference, classes=given, seed=seed, progress=bar)
    found = _by_class(synthetic, _describe(features, synthetic.pixels, "features of synthetic images", bar))
    paths = _paths(synthetic)
    per_class: dict[str, ClassQuality] = {}
    pairs: list[tuple[float, CopyPair]] = []
    with bar.task("judge classes", len(given), "class") as task:
        for name in given:
            task.note(name)
            rng = _rng(seed, 1 + real.classes.index(name))
            per_class[name] = class_quality(name, found[name], real, rng=rng)
            pairs += _worst_pairs(name, found[name], paths[name], real)
            task.advance()
    pairs.sort(key=lambda pair: pair[0])
    return CheckDocument(
        per_class=per_class,
        features=features.identity,
        reference=reference,
        gated=gated,
        worst_pairs=[pair for _, pair in pairs],
    )


def class_quality(name: str, synthetic: Features, real: RealFeatures, *, rng: np.random.Generator) -> ClassQuality:
    """All numbers and both verdicts of one class.

    Args:
        name: the class.
        synthetic: features [m, d], m ≥ 1.
        real: from `describe_real`.
        rng: of every random choice.
    """
    nothing = synthetic[:0]
    reference, train = real.reference.get(name, nothing), real.train.get(name, nothing)
    held_out = reference if real.held_out else nothing
    notes: list[str] = []
    compared_with_train = len(held_out) < MIN_KID <= len(train)
    if compared_with_train:
        reference = train
        many = f"only {len(held_out)}" if len(held_out) else "no"
        notes.append(f"{many} held-out images of this class: judged against its training images, which flatters copies")
    fidelity = compare_fidelity(reference, None if compared_with_train else train, synthetic, rng=rng)
    everything = _all_real(held_out, train, held_out=True)
    diversity = compare_diversity(everything, synthetic, rng=rng)
    clusters = missed_clusters(everything, synthetic, rng=rng)
    agreement, agreement_floor, taken_for = _agreement(name, synthetic, real)
    memory = memorisation(
        synthetic, train, held_out if len(held_out) else None, mirrored=real.mirrored.get(name), rng=rng
    )
    verdict, reasons = collapse.judge(
        collapse.Evidence(
            label=name,
            n=diversity.n if diversity else 0,
            pairwise=diversity.pairwise if diversity else None,
            pairwise_floor=diversity.pairwise_floor if diversity else None,
            vendi=diversity.vendi if diversity else None,
            vendi_floor=diversity.vendi_floor if diversity else None,
            coverage=fidelity.prdc.coverage if fidelity and fidelity.prdc else None,
            coverage_floor=fidelity.coverage_floor if fidelity else None,
            duplicates=diversity.duplicates if diversity else None,
            duplicate_floor=diversity.duplicate_floor if diversity else 0.0,
            agreement=agreement,
            agreement_floor=agreement_floor,
            clusters=clusters,
            taken_for=taken_for,
        )
    )
    notes += _small_numbers(fidelity, len(reference), len(synthetic))
    scores = fidelity.prdc if fidelity else None
    return ClassQuality(
        n_real=len(reference),
        n_synthetic=len(synthetic),
        n_compared=fidelity.n if fidelity else 0,
        n_diversity=diversity.n if diversity else 0,
        kid=fidelity.kid if fidelity else None,
        kid_floor=fidelity.kid_floor if fidelity else None,
        fid=fidelity.fid if fidelity else None,
        precision=scores.precision if scores else None,
        recall=scores.recall if scores else None,
        density=scores.density if scores else None,
        coverage=scores.coverage if scores else None,
        coverage_floor=fidelity.coverage_floor if fidelity else None,
        vendi_ratio=diversity.vendi if diversity else None,
        vendi_floor=diversity.vendi_floor if diversity else None,
        pairwise_ratio=diversity.pairwise if diversity else None,
        pairwise_floor=diversity.pairwise_floor if diversity else None,
        duplicate_rate=diversity.duplicates if diversity else None,
        duplicate_floor=diversity.duplicate_floor if diversity else None,
        missed_clusters=str(clusters) if clusters else None,
        agreement=agreement,
        agreement_floor=agreement_floor,
        dcr=memory.dcr,
        authenticity=memory.authenticity,
        c_t=memory.c_t,
        detect_auc=_detect(reference, synthetic, rng),
        collapse=verdict,
        memorisation=memory.verdict,
        reasons=reasons + memory.reasons + notes,
    )


def _agreement(
    name: str, synthetic: Features, real: RealFeatures
) -> tuple[float | None, Range | None, tuple[str, float] | None]:
    label = real.classes.index(name)
    if real.judge is None or (share := real.judge.share(synthetic, label)) is None:
        return None, None, None
    right, tried = real.judge.recognised[label]
    other = real.judge.taken_for(synthetic, label)
    return share, proportion_range(right / tried, tried), (real.classes[other[0]], other[1]) if other else None


def _detect(reference: Features, synthetic: Features, rng: np.random.Generator) -> float | None:
    n = min(len(reference), len(synthetic), 1000)
    if n < MIN_DETECT:
        return None
    chosen = rng.permutation(len(reference))[:n], rng.permutation(len(synthetic))[:n]
    return detect_auc(reference[chosen[0]], synthetic[chosen[1]], rng=rng)


def _small_numbers(fidelity: Fidelity | None, n_real: int, n_synthetic: int) -> list[str]:
    if fidelity is None:
        return [f"{n_real} real and {n_synthetic} synthetic images are too few for KID, precision and coverage"]
    notes = []
    if fidelity.prdc is None:
        notes.append(f"compared at {fidelity.n} images a side: too few for precision and coverage")
    elif fidelity.n < SMALL:
        notes.append(f"compared at {fidelity.n} images a side: the ranges are wide, and coverage is lenient")
    if fidelity.kid_floor is None:
        notes.append("too few real images to score real against real")
    return notes


def _worst_pairs(name: str, synthetic: Features, paths: list[str], real: RealFeatures) -> list[tuple[float, CopyPair]]:
    """The synthetic images nearest to a training image, at most one for each training image, with their order."""
    train = real.train.get(name)
    if train is None or not len(train):
        return []
    near = nearest_training_images(synthetic, train, real.mirrored.get(name))
    typical = max(float(np.median(near.distance)), 1e-12)
    seen: set[int] = set()
    pairs = []
    for i in np.argsort(near.distance, kind="stable"):
        if int(near.index[i]) in seen:
            continue
        seen.add(int(near.index[i]))
        pair = CopyPair(
            label=name,
            synthetic=paths[i],
            train=real.train_paths[name][near.index[i]],
            distance=float(near.distance[i]),
            mirrored=bool(near.mirrored[i]),
        )
        pairs.append((float(near.distance[i]) / typical, pair))
        if len(pairs) == PAIRS_PER_CLASS:
            break
    return pairs


def _describe(features: FeatureNet, pixels: Pixels, name: str, progress: Progress) -> Features:
    out = np.empty((len(pixels), features.dim), np.float32)
    if not len(pixels):
        return out
    with progress.task(name, len(pixels), "image") as task:
        for start in range(0, len(pixels), _CHUNK):
            part = np.ascontiguousarray(pixels[start : start + _CHUNK])
            out[start : start + len(part)] = features(part)
            task.advance(len(part))
    return out


def _images_of_classes(*sets: LabelledImages | None) -> dict[str, int]:
    counts: dict[str, int] = {}
    for images in sets:
        for name, count in images.counts().items() if images is not None else ():
            counts[name] = counts.get(name, 0) + count
    return counts


def _features_of_classes(real: RealFeatures) -> dict[str, int]:
    return {name: len(real.reference.get(name, ())) + len(real.train.get(name, ())) for name in real.classes}


def _limited(images: LabelledImages, wanted: set[str], rng: np.random.Generator) -> LabelledImages:
    """All images of the wanted classes, at most `MAX_PER_CLASS` of the others."""
    kept = np.ones(len(images), bool)
    for index, name in enumerate(images.classes):
        of_class = np.flatnonzero(images.labels == index)
        if name not in wanted and len(of_class) > MAX_PER_CLASS:
            kept[rng.permutation(of_class)[MAX_PER_CLASS:]] = False
    return images if kept.all() else images.subset(kept)


def _paths(images: LabelledImages) -> dict[str, list[str]]:
    return {
        name: [images.paths[i] for i in np.flatnonzero(images.labels == index)]
        for index, name in enumerate(images.classes)
    }


def _by_class(images: LabelledImages, features: Features) -> dict[str, Features]:
    return {name: features[images.labels == index] for index, name in enumerate(images.classes)}


def _all_real(reference: Any, train: Any, held_out: bool) -> Any:
    parts = [part for part in ((reference, train) if held_out else (train,)) if part is not None]
    return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)


def _rng(seed: int, stream: int) -> np.random.Generator:
    return np.random.default_rng([seed, stream])
