"""Are the images any good? All metrics of all classes, assembled into a `CheckDocument`.

Each class is judged against real images that the generator has not seen, where there are any, each number beside what
real images score against real ones; where there are none, the class says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthaug.data.cache import LabelledImages
from synthaug.documents import BiasRow, CheckDocument, ClassQuality, CopyPair, QualityScores, Range
from synthaug.errors import SynthaugError, suggest
from synthaug.features.base import FeatureNet, Pixels
from synthaug.features.feature_cache import describe
from synthaug.metrics import collapse
from synthaug.metrics.bias import Sides, bias, looks
from synthaug.metrics.detectability import MIN_IMAGES as MIN_DETECT
from synthaug.metrics.detectability import detect_auc
from synthaug.metrics.diversity import Clustering, clusters_of, missed_floor, missed_of
from synthaug.metrics.matched_comparison import (
    MIN_KID,
    Diversity,
    Fidelity,
    Stratum,
    compare_diversity,
    compare_fidelity,
    mean_of_proportions,
    plan,
    proportion_range,
)
from synthaug.metrics.memorisation import C_T_FLOOR, memorisation, nearest_training_images
from synthaug.metrics.ms_ssim import ms_ssim_ratio
from synthaug.metrics.real import (
    Features,
    RealFeatures,
    Reference,
    all_real,
    by_class,
    describe_real,
    paths_of,
    stream,
)
from synthaug.metrics.threads import one_thread
from synthaug.metrics.usefulness import Usefulness, usefulness
from synthaug.progress import Progress, Silent

SMALL = 30
"""Images a side below which a reason says that the numbers are uncertain."""
PAIRS_PER_CLASS = 4
MIN_UNFITTED = 2 * collapse.MIN_DIVERSITY
"""Held-out images from which they alone are the yardstick of variety where the feature net knows the others."""
MAX_DETECT = 500
"""Images a side that detectability is measured on."""
TOLD = 0.5
"""Standard deviations from which a change that the floor does not explain is told in words, and how many of them."""
MOST_TOLD = 3


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
    keep: Path | None = None,
) -> CheckDocument:
    """Judge every class that has synthetic images, and all of them together.

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
        keep: as for `describe_real`.

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
        real = describe_real(
            real_reference, train, features, kind=reference, classes=given, seed=seed, progress=bar, keep=keep
        )
    found = by_class(synthetic, describe(features, synthetic.pixels, name="features of synthetic images", progress=bar))
    found = {name: found[name] for name in given}
    paths = paths_of(synthetic)
    per_class: dict[str, ClassQuality] = {}
    pairs: list[tuple[float, CopyPair]] = []
    with one_thread(), bar.task("judge classes", len(given), "class") as task:
        useful, useful_in_all = _usefulness(found, real, stream(seed, 0))
        for name in given:
            task.note(name)
            rng = stream(seed, 1 + real.classes.index(name))
            per_class[name] = class_quality(
                name, found[name], real, rng=rng, pixels=synthetic.of_class(name), useful=useful.get(name)
            )
            pairs += _worst_pairs(name, found[name], paths[name], real)
            task.advance()
        pooled = None
        if len(given) > 1:
            pooled = pooled_quality(found, per_class, real, useful=useful_in_all, rng=stream(seed, 0))
    pairs.sort(key=lambda pair: pair[0])
    return CheckDocument(
        per_class=per_class,
        pooled=pooled,
        features=features.identity,
        reference=reference,
        gated=gated,
        worst_pairs=[pair for _, pair in pairs],
    )


def class_quality(
    name: str,
    synthetic: Features,
    real: RealFeatures,
    *,
    rng: np.random.Generator,
    pixels: Pixels | None = None,
    useful: Usefulness | None = None,
) -> ClassQuality:
    """All numbers and both verdicts of one class.

    Args:
        name: the class.
        synthetic: features [m, d], m ≥ 1.
        real: from `describe_real`.
        rng: of every random choice.
        pixels: the same images, uint8 [m, C, H, W]; None leaves out what needs them, MS-SSIM and most of `bias`.
        useful: GAN-train and GAN-test of the class, which need the other classes.
    """
    to_cluster, to_halve, to_pair, to_miss = rng.spawn(4)
    sides = _Class.of(name, synthetic, real)
    stratum, train, held_out = sides.stratum, sides.train, sides.held_out
    reference = stratum.reference
    fidelity = compare_fidelity([stratum], rng=rng)
    diversity = compare_diversity([sides.yardstick], [synthetic], rng=rng)
    clustering = clusters_of(sides.yardstick, rng=to_cluster)
    clusters = missed_of(clustering, synthetic) if clustering else None
    clusters_floor = (
        missed_floor(sides.yardstick, len(synthetic), clusters.judged, rng=to_miss) if clusters is not None else None
    )
    agreement, agreement_floor, taken_for = _agreement(name, synthetic, real)
    memory = memorisation(
        synthetic,
        train,
        held_out if len(held_out) else None,
        mirrored=real.mirrored.get(name),
        pixels=_nearness(name, pixels, real),
        rng=rng,
    )
    verdict, reasons = collapse.judge(
        collapse.Evidence(
            label=name,
            n=diversity.n if diversity else 0,
            pairwise=diversity.pairwise.mean if diversity else None,
            pairwise_floor=diversity.pairwise_floor if diversity else None,
            vendi=diversity.vendi.mean if diversity else None,
            vendi_floor=diversity.vendi_floor if diversity else None,
            coverage=fidelity.synthetic.coverage.mean if fidelity and fidelity.synthetic.coverage else None,
            coverage_floor=fidelity.floor.coverage if fidelity and fidelity.floor else None,
            duplicates=diversity.duplicates.mean if diversity else None,
            duplicate_floor=diversity.duplicate_floor.mean if diversity else 0.0,
            agreement=agreement.mean if agreement else None,
            agreement_floor=agreement_floor,
            clusters=clusters,
            clusters_floor=clusters_floor,
            taken_for=taken_for,
        )
    )
    notes = [*sides.notes, *_small_numbers(fidelity, len(reference), len(synthetic))]
    table = _bias(name, sides, synthetic, pixels, clustering, real, to_halve)
    likeness = (
        ms_ssim_ratio(real.pictures[name], pixels, rng=to_pair)
        if pixels is not None and name in real.pictures
        else None
    )
    return ClassQuality(
        n_real=len(reference),
        n_synthetic=len(synthetic),
        **_fidelity_fields(fidelity),
        **_diversity_fields(diversity),
        **_useful_fields(useful),
        **_detect_fields([stratum], rng),
        ms_ssim_ratio=likeness[0].mean if likeness else None,
        ms_ssim_range=likeness[0] if likeness else None,
        ms_ssim_floor=likeness[1] if likeness else None,
        missed_clusters=str(clusters) if clusters else None,
        missed_clusters_floor=clusters_floor,
        agreement=agreement.mean if agreement else None,
        agreement_range=agreement,
        agreement_floor=agreement_floor,
        bias=table,
        dcr=memory.dcr,
        authenticity=memory.authenticity,
        authenticity_range=proportion_range(memory.authenticity, len(synthetic))
        if memory.authenticity is not None
        else None,
        authenticity_floor=memory.authenticity_floor,
        c_t=memory.c_t,
        c_t_floor=C_T_FLOOR if memory.c_t is not None else None,
        collapse=verdict,
        memorisation=memory.verdict,
        reasons=reasons + memory.reasons + _told(table) + notes,
    )


def pooled_quality(
    synthetic: Mapping[str, Features],
    per_class: Mapping[str, ClassQuality],
    real: RealFeatures,
    *,
    useful: Usefulness | None = None,
    rng: np.random.Generator,
) -> QualityScores:
    """The scores of all judged classes as one set, each class with as many real as synthetic images.

    Agreement, GAN-train and GAN-test are means over the classes. MS-SSIM compares images of one class and is left out.

    Args:
        synthetic: class → features [m, d].
        per_class: what `class_quality` found.
        real: from `describe_real`.
        useful: GAN-train and GAN-test of all classes.
        rng: of every random choice.
    """
    classes = [_Class.of(name, features, real) for name, features in synthetic.items()]
    strata = [sides.stratum for sides in classes]
    agreed = [
        (q.agreement, q.n_synthetic, q.agreement_floor.mean, real.judge.recognised[real.classes.index(name)][1])
        for name, q in per_class.items()
        if q.agreement is not None and q.agreement_floor is not None and real.judge is not None
    ]
    agreement = mean_of_proportions([a[0] for a in agreed], [a[1] for a in agreed]) if agreed else None
    return QualityScores(
        n_real=sum(len(stratum.reference) for stratum in strata),
        n_synthetic=sum(len(features) for features in synthetic.values()),
        **_fidelity_fields(compare_fidelity(strata, rng=rng)),
        **_diversity_fields(
            compare_diversity([sides.yardstick for sides in classes], list(synthetic.values()), rng=rng)
        ),
        **_useful_fields(useful),
        **_detect_fields(strata, rng),
        agreement=agreement.mean if agreement else None,
        agreement_range=agreement,
        agreement_floor=mean_of_proportions([a[2] for a in agreed], [a[3] for a in agreed]) if agreed else None,
    )


@dataclass(frozen=True, slots=True)
class _Class:
    """Which real images serve as what for one class."""

    stratum: Stratum
    train: Features
    held_out: Features
    yardstick: Features
    """Real images of the class whose variety is the measure."""
    compared_with_train: bool
    notes: list[str]

    @classmethod
    def of(cls, name: str, synthetic: Features, real: RealFeatures) -> _Class:
        nothing = synthetic[:0]
        reference, train = real.reference.get(name, nothing), real.train.get(name, nothing)
        held_out = reference if real.held_out else nothing
        notes = []
        compared_with_train = len(held_out) < MIN_KID <= len(train)
        if compared_with_train:
            reference = train
            many = f"only {len(held_out)}" if len(held_out) else "no"
            notes.append(
                f"{many} held-out images of this class: judged against its training images, which flatters copies"
            )
        yardstick = all_real(held_out, train, held_out=True)
        if real.fitted and len(held_out) >= MIN_UNFITTED:
            yardstick = held_out
        elif real.fitted:
            notes.append(
                "the feature net was trained on images of this class, and too few others are there to measure by"
            )
        floor = None if compared_with_train or real.fitted else train
        return cls(Stratum(reference, floor, synthetic), train, held_out, yardstick, compared_with_train, notes)


def _fidelity_fields(found: Fidelity | None) -> dict[str, Any]:
    """The document's fields of KID, FID and PRDC."""
    if found is None:
        return {}
    out: dict[str, Any] = {
        "n_compared": found.n,
        "kid": found.synthetic.kid,
        "kid_floor": found.floor.kid if found.floor else None,
    }
    for name in ("fid", "precision", "recall", "density", "coverage"):
        floor = getattr(found.floor, name) if found.floor else None
        out |= _fields(name, name, getattr(found.synthetic, name), floor)
    return out


def _diversity_fields(found: Diversity | None) -> dict[str, Any]:
    if found is None:
        return {}
    return {
        "n_diversity": found.n,
        **_fields("vendi_ratio", "vendi", found.vendi, found.vendi_floor),
        **_fields("pairwise_ratio", "pairwise", found.pairwise, found.pairwise_floor),
        "duplicate_rate": found.duplicates.mean,
        "duplicate_range": found.duplicates,
        "duplicate_floor": found.duplicate_floor.mean,
        "duplicate_floor_range": found.duplicate_floor,
    }


def _useful_fields(found: Usefulness | None) -> dict[str, Any]:
    if found is None:
        return {}
    return {
        **_fields("gan_train", "gan_train", found.gan_train, found.gan_train_floor),
        **_fields("gan_test", "gan_test", found.gan_test, found.gan_test_floor),
    }


def _detect_fields(strata: Sequence[Stratum], rng: np.random.Generator) -> dict[str, Any]:
    chosen = plan(strata, at_least=MIN_DETECT, at_most=MAX_DETECT)
    if chosen is None:
        return {}
    drawn = chosen.draw(rng)
    floor = detect_auc(drawn.real, drawn.other, rng=rng) if drawn.other is not None else None
    return _fields("detect_auc", "detect_auc", detect_auc(drawn.real, drawn.synthetic, rng=rng), floor)


def _fields(name: str, stem: str, found: Range | None, floor: Range | None) -> dict[str, Any]:
    return {name: found.mean if found else None, f"{stem}_range": found, f"{stem}_floor": floor}


def _nearness(
    name: str, pixels: Pixels | None, real: RealFeatures
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """How near to being copies, by their pixels, synthetic and held-out images are; None where that is unknown."""
    if pixels is None or name not in real.copy_finders or pixels.shape[1:] != real.copy_finders[name].images.shape[1:]:
        return None
    return real.copy_finders[name].closest(pixels)[0], real.held_out_nearness.get(name, np.empty(0))


def _agreement(
    name: str, synthetic: Features, real: RealFeatures
) -> tuple[Range | None, Range | None, tuple[str, float] | None]:
    label = real.classes.index(name)
    if real.judge is None or (share := real.judge.share(synthetic, label)) is None:
        return None, None, None
    right, tried = real.judge.recognised[label]
    other = real.judge.taken_for(synthetic, label)
    return (
        proportion_range(share, len(synthetic)),
        proportion_range(right / tried, tried),
        (real.classes[other[0]], other[1]) if other else None,
    )


def _usefulness(
    synthetic: Mapping[str, Features], real: RealFeatures, rng: np.random.Generator
) -> tuple[dict[str, Usefulness], Usefulness | None]:
    if not real.held_out:
        return {}, None
    return usefulness(real.train, real.reference, synthetic, others=real.train, rng=rng)


def _bias(
    name: str,
    sides: _Class,
    synthetic: Features,
    pixels: Pixels | None,
    clustering: Clustering | None,
    real: RealFeatures,
    rng: np.random.Generator,
) -> list[BiasRow]:
    measures = {}
    if pixels is not None and name in real.reference_looks:
        known = real.train_looks.get(name)
        reference = known if sides.compared_with_train and known else real.reference_looks[name]
        floor = known if not sides.compared_with_train and known else {}
        measures = {
            measure: Sides(reference[measure], floor.get(measure), values) for measure, values in looks(pixels).items()
        }
    kinds = Sides(sides.stratum.reference, sides.stratum.train, synthetic)
    examples: list[str | None] = []
    if clustering is not None and len(sides.train):
        examples = [real.train_paths[name][i] for i in clustering.middles(sides.train)]
    return bias(measures, kinds, clustering, examples=examples, rng=rng)


def _told(table: list[BiasRow]) -> list[str]:
    """The largest changes beyond the floor, in words."""
    out: list[str] = []
    for row in [row for row in table if row.beyond and abs(row.difference.mean) >= TOLD][:MOST_TOLD]:
        if row.name.startswith("cluster"):
            out.append(f"{row.synthetic:.0%} of the samples are of {row.name}, and {row.real:.0%} of real images")
        else:
            more, size = "more" if row.difference.mean > 0 else "less", abs(row.difference.mean)
            out.append(f"samples have {more} {row.name} than real images, by {size:.1f} standard deviations of these")
    return out


def _small_numbers(fidelity: Fidelity | None, n_real: int, n_synthetic: int) -> list[str]:
    if fidelity is None:
        return [f"{n_real} real and {n_synthetic} synthetic images are too few for KID, precision and coverage"]
    notes = []
    if fidelity.synthetic.coverage is None:
        notes.append(f"compared at {fidelity.n} images a side: too few for precision and coverage")
    elif fidelity.n < SMALL:
        notes.append(f"compared at {fidelity.n} images a side: the ranges are wide, and coverage is lenient")
    if fidelity.floor is None:
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


def _images_of_classes(*sets: LabelledImages | None) -> dict[str, int]:
    counts: dict[str, int] = {}
    for images in sets:
        for name, count in images.counts().items() if images is not None else ():
            counts[name] = counts.get(name, 0) + count
    return counts


def _features_of_classes(real: RealFeatures) -> dict[str, int]:
    return {name: len(real.reference.get(name, ())) + len(real.train.get(name, ())) for name in real.classes}
