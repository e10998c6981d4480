"""How good are the images? All metrics of all classes, as a `CheckDocument`.

Each class is compared with real images that the generator has not seen; if these are too few, with its training images,
and a reason states this. Every number has a floor: the score of real images against other real images.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from synthaug.data.cache import LabelledImages
from synthaug.documents import BiasRow, CheckDocument, ClassQuality, CopyPair, QualityScores, Score
from synthaug.errors import SynthaugError, plural, suggest
from synthaug.features.base import FeatureNet, Pixels
from synthaug.features.feature_cache import describe
from synthaug.metrics import METRICS, collapse, metrics
from synthaug.metrics.context import AllClassesContext, ClassContext, Context
from synthaug.metrics.matched_comparison import Fidelity
from synthaug.metrics.memorisation import nearest_training_images
from synthaug.metrics.real import Features, RealFeatures, Reference, by_class, describe_real, paths_of
from synthaug.metrics.second_judge import second_opinion
from synthaug.metrics.threads import one_thread
from synthaug.metrics.usefulness import Usefulness, usefulness
from synthaug.progress import Progress, Silent
from synthaug.seeds import stream
from synthaug.tasks import Workers, run_tasks

SMALL = 30
"""With fewer images on each side, a reason warns that the numbers are uncertain."""
PAIRS_PER_CLASS = 4
TOLD, MOST_TOLD = 0.5, 3
"""Changes beyond the floor become reasons from so many standard deviations on, and at most so many of them."""


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
    second: FeatureNet | None = None,
    workers: Workers = Workers(jobs=1),
) -> CheckDocument:
    """Judge every class that has synthetic images, and all of them together.

    Args:
        real_reference: real images to judge against, held out unless `reference` is "train".
        train: the images the generator was trained on; None if unknown, which leaves out memorisation.
        synthetic: the images to judge; classes are matched by name.
        features: the feature net.
        reference: what `real_reference` is.
        gated: whether the images passed a gate.
        seed: of every random choice; the same seed gives the same document.
        progress: shows the progress bars.
        real: from `describe_real`, to judge several sets against the same real images.
        keep: as for `describe_real`.
        second: another feature net, which says whether it agrees.
        workers: where classes are judged. The document does not depend on it.

    Raises:
        SynthaugError: a synthetic class has no real image, or there is no synthetic image.
    """
    bar = progress or Silent()
    for fault in METRICS.load()[1]:
        bar.warn(fault)
    given = _judged_classes(real_reference, train, synthetic, real)
    if real is None:
        real = describe_real(
            real_reference, train, features, kind=reference, classes=given, seed=seed, progress=bar, keep=keep
        )
    found = by_class(synthetic, describe(features, synthetic.pixels, name="features of synthetic images", progress=bar))
    found = {name: found[name] for name in given}
    paths = paths_of(synthetic)
    per_class: dict[str, ClassQuality] = {}
    pairs: list[tuple[float, CopyPair]] = []
    with one_thread(), bar.task("judge classes", len(given), "classes") as task:
        useful: dict[str, Usefulness] = {}
        useful_in_all = None
        if real.held_out:
            rng = stream(seed, 0)
            useful, useful_in_all = usefulness(real.train, real.reference, found, others=real.train, rng=rng)
        to_judge = [
            _ToJudge(name, found[name], synthetic.of_class(name), paths[name], useful.get(name), seed) for name in given
        ]
        for name, (judged, worst) in zip(
            given, run_tasks(_judge, real, to_judge, workers, what="classes"), strict=True
        ):
            per_class[name] = judged
            pairs += worst
            task.note(name)
            task.advance()
        pooled = None
        if len(given) > 1:
            everything = AllClassesContext(found, per_class, real, rng=stream(seed, 0), useful=useful_in_all)
            pooled = pooled_quality(everything)
    pairs.sort(key=lambda pair: pair[0])
    opinion = None if second is None else second_opinion(
        second, real_reference, train, synthetic, found, real, features.name, seed=seed, progress=bar, keep=keep
    )  # fmt: skip
    return CheckDocument(
        per_class=per_class,
        pooled=pooled,
        features=features.identity,
        second_judge=opinion,
        reference=reference,
        gated=gated,
        worst_pairs=[pair for _, pair in pairs],
    )


class _ToJudge(NamedTuple):
    """The synthetic images of a class: features [m, d], pixels [m, C, H, W], paths."""

    name: str
    features: Features
    pixels: Pixels
    paths: list[str]
    useful: Usefulness | None
    seed: int


def _judge(real: RealFeatures, given: _ToJudge) -> tuple[ClassQuality, list[tuple[float, CopyPair]]]:
    """A task: one class."""
    rng = stream(given.seed, 1 + real.classes.index(given.name))
    found = class_quality(given.name, given.features, real, rng=rng, pixels=given.pixels, useful=given.useful)
    return found, _worst_pairs(given.name, given.features, given.paths, real)


def _judged_classes(
    reference: LabelledImages, train: LabelledImages | None, synthetic: LabelledImages, real: RealFeatures | None
) -> list[str]:
    """The classes that have synthetic images. Each needs a real one."""
    given = [name for index, name in enumerate(synthetic.classes) if (synthetic.labels == index).any()]
    if not given:
        raise SynthaugError("there is no synthetic image to judge", "give a folder of class folders, or a trained run")
    known: dict[str, int] = (
        sum((Counter(images.counts()) for images in (reference, train) if images is not None), Counter[str]())
        if real is None
        else {name: len(real.reference.get(name, ())) + len(real.train.get(name, ())) for name in real.classes}
    )
    for name in given:
        if not known.get(name):
            hint = suggest(name, [c for c, count in known.items() if count])
            raise SynthaugError(f"the synthetic class {name!r} has no real image to be judged against", hint)
    return given


def class_quality(
    name: str,
    synthetic: Features,
    real: RealFeatures,
    *,
    rng: np.random.Generator,
    pixels: Pixels | None = None,
    useful: Usefulness | None = None,
) -> ClassQuality:
    """All scores and both verdicts of one class. The arguments: see `ClassContext`."""
    context = ClassContext(name, synthetic, real, rng=rng, pixels=pixels, useful=useful)
    scores, failed = _measured(context)
    verdict, reasons = collapse.judge(
        name, _counts(context)["n_diversity"], scores, clusters=context.clusters, taken_for=context.taken_for
    )
    table, memory = context.bias(), context.memory
    few = _small_numbers(context.fidelity, context.n_real, context.n_synthetic)
    return ClassQuality(
        **_counts(context),
        scores=scores,
        bias=table,
        collapse=verdict,
        memorisation=memory.verdict,
        reasons=[*reasons, *memory.reasons, *_told(table), *context.images.notes, *few, *failed],
    )


def pooled_quality(context: AllClassesContext) -> QualityScores:
    """The scores of all judged classes as one set."""
    return QualityScores(**_counts(context), scores=_measured(context, pooled=True)[0])


def _measured(context: Context, *, pooled: bool = False) -> tuple[dict[str, Score], list[str]]:
    """The scores of all metrics, and why plug-ins among them failed: these must not cost the other scores."""
    scores, failed = {}, []
    for name, metric in metrics().items():
        if pooled and not metric.pooled:
            continue
        try:
            scores[name] = metric.measure(context) or Score()
        except Exception as error:
            if not METRICS.is_plug_in(name):
                raise
            scores[name] = Score()
            failed.append(f"the plug-in metric {name!r} failed: {type(error).__name__}: {error}")
    return scores, failed


def _counts(context: Context) -> dict[str, int]:
    return {
        "n_real": context.n_real,
        "n_synthetic": context.n_synthetic,
        "n_compared": context.fidelity.n if context.fidelity else 0,
        "n_diversity": context.diversity.n if context.diversity else 0,
    }


def _told(table: list[BiasRow]) -> list[str]:
    """The largest changes beyond the floor, as reasons."""
    out: list[str] = []
    for row in [row for row in table if row.beyond and abs(row.difference.mean) >= TOLD][:MOST_TOLD]:
        if row.name.startswith("cluster"):
            group = f"images like {row.example}" if row.example is not None else row.name
            out.append(f"{group} are {row.synthetic:.0%} of the samples and {row.real:.0%} of the real images")
        else:
            more, size = "more" if row.difference.mean > 0 else "less", abs(row.difference.mean)
            out.append(f"samples have {more} {row.name} than real images, by {size:.1f} standard deviations")
    return out


def _small_numbers(fidelity: Fidelity | None, n_real: int, n_synthetic: int) -> list[str]:
    if fidelity is None:
        return [f"{n_real} real and {n_synthetic} synthetic images: too few for KID, precision and coverage"]
    notes = []
    if fidelity.synthetic.coverage is None:
        notes.append(f"compared with {plural(fidelity.n, 'image')} on each side: too few for precision and coverage")
    elif fidelity.n < SMALL:
        notes.append(f"compared with {fidelity.n} images on each side: intervals are wide, and coverage is less strict")
    if fidelity.floor is None:
        notes.append("too few real images to compare real with real")
    return notes


def _worst_pairs(name: str, synthetic: Features, paths: list[str], real: RealFeatures) -> list[tuple[float, CopyPair]]:
    """The synthetic images nearest to a training image, with distance ÷ median distance; each training image once."""
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
