"""A second feature net of another origin: does it find the images as far from real ones as the first net does?

A generator may please one net and not another, above all if that net took part in its training (arXiv:2203.06026). So
both nets measure KID on the same images, each against its own floor, real images against other real images. A net calls
the images *as good as real* if the intervals of the two overlap. The nets disagree if one does and the other does not.
KID itself cannot be compared between nets.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synthaug.data.cache import LabelledImages
from synthaug.documents import Opinion, Opinions, Range, SecondJudge
from synthaug.features import features_for
from synthaug.features.base import FeatureNet
from synthaug.features.feature_cache import describe
from synthaug.features.mobilenet_v2 import PACKAGE
from synthaug.metrics.context import ClassImages
from synthaug.metrics.fidelity import kid_unbiased, kids_of_subsets
from synthaug.metrics.matched_comparison import KID_DRAWS, MIN_KID, Stratum, plan
from synthaug.metrics.real import Features, RealFeatures, by_class
from synthaug.metrics.spread import about, halves
from synthaug.progress import Progress, Silent
from synthaug.seeds import named_stream

PER_CLASS, IN_ALL = 100, 1000
"""The most images that the second net sees: of a class, and of all classes; real, training and synthetic ones each."""
FIRST, SECOND, NO_PACKAGE = "efficientnet_lite0", "mobilenet_v2", "own"


def second_net(first: str) -> str:
    """The net that checks another one: of another origin, and there without a network.

    `own`, which is trained on the user's images, takes the place of MobileNetV2 if that is not installed.
    """
    if first != FIRST:
        return FIRST
    return SECOND if importlib.util.find_spec(PACKAGE) else NO_PACKAGE


def load_second_net(
    asked: str, first: str, train: LabelledImages | None, *, folder: Path | None = None, seed: int = 0,
    device: str = "auto", progress: Progress | None = None,
) -> FeatureNet | None:  # fmt: skip
    """The net called `asked`; with "auto" that of `second_net`, with "none" no net. The rest is as in `features_for`.

    With "auto" there is none either if `own` would be needed, and no images of two classes are there to train it.

    Raises:
        SynthaugError: there is no such net, or its weights cannot be loaded.
    """
    name = second_net(first) if asked == "auto" else asked
    untrained = name == "own" and asked == "auto" and (train is None or len(np.unique(train.labels)) < 2)
    if name == "none" or untrained:
        return None
    return features_for(name, train, folder=folder, seed=seed, device=device, progress=progress)


def second_opinion(
    net: FeatureNet,
    reference: LabelledImages,
    train: LabelledImages | None,
    synthetic: LabelledImages,
    found: Mapping[str, Features],
    real: RealFeatures,
    first: str,
    *,
    seed: int = 0,
    progress: Progress | None = None,
    keep: Path | None = None,
) -> SecondJudge:
    """Compare both nets' KIDs, class by class and for all classes together.

    Args:
        net: the second net.
        reference: as for `describe_real`.
        train: the same.
        synthetic: the images to judge.
        found: class → the first net's features of its synthetic images, in their order; the classes to judge.
        real: the first net's features of `reference` and `train`.
        first: the first net's name.
        seed: chooses the images.
        progress: shows the progress bar.
        keep: as for `describe_real`.
    """
    most = min(PER_CLASS, max(2 * MIN_KID, IN_ALL // len(found)))
    sides: list[tuple[LabelledImages | None, Mapping[str, Features], Path | None]] = [
        (reference, real.reference, keep), (train, real.train, keep), (synthetic, found, None)
    ]  # fmt: skip
    ours, theirs = zip(
        *(
            _sampled(images, features, list(found), net, most, named_stream(seed, str(side)), progress, kept)
            for side, (images, features, kept) in enumerate(sides)
        ),
        strict=True,
    )
    fitted = real.fitted or net.name == "own"  # then neither net's floor takes the training images: equal numbers

    def strata(held_out: dict[str, Features], seen: dict[str, Features], fake: dict[str, Features]) -> list[Stratum]:
        some = replace(real, reference=held_out, train=seen, fitted=fitted)
        return [ClassImages.of(name, fake[name], some).stratum for name in found]

    of_first, of_second = strata(*ours), strata(*theirs)
    per_class, told = {}, []
    for name, a, b in zip(found, of_first, of_second, strict=True):
        per_class[name] = opinions = _opinions([a], [b], named_stream(seed, name))
        told += _disagreement(f"class {name!r}", opinions, first, net.name)
    pooled = None
    if len(found) > 1:
        pooled = _opinions(of_first, of_second, named_stream(seed, ""))
        told += _disagreement("all classes together", pooled, first, net.name)
    return SecondJudge(features=net.identity, per_class=per_class, pooled=pooled, disagreements=told)


def _sampled(
    images: LabelledImages | None,
    features: Mapping[str, Features],
    names: Sequence[str],
    net: FeatureNet,
    most: int,
    rng: np.random.Generator,
    progress: Progress | None,
    keep: Path | None,
) -> tuple[dict[str, Features], dict[str, Features]]:
    """Some images of each class, in the features of the first and of the second net."""
    if images is None:
        return {}, {}
    ours, chosen = {}, []
    for name in names:
        if name in images.classes and len(features.get(name, ())):
            rows = np.flatnonzero(images.labels == images.index(name))
            some = np.sort(rng.permutation(len(rows))[:most])
            ours[name] = features[name][some]
            chosen.append(rows[some])
    kept = images.subset(np.concatenate(chosen) if chosen else [])
    seen = describe(net, kept.pixels, name=f"features of {net.name}", progress=progress or Silent(), keep=keep)
    return ours, {name: rows for name, rows in by_class(kept, seen).items() if name in ours}


def _opinions(ours: list[Stratum], theirs: list[Stratum], rng: np.random.Generator) -> Opinions:
    seed = int(rng.integers(2**32))  # both nets see the same draws
    (n, first), (_, second) = (_opinion(strata, np.random.default_rng(seed)) for strata in (ours, theirs))
    return Opinions(n=n, first=first, second=second)


def _opinion(strata: list[Stratum], rng: np.random.Generator) -> tuple[int, Opinion | None]:
    chosen = plan(strata, at_least=MIN_KID, at_most=IN_ALL)
    if chosen is None:
        return 0, None
    drawn = chosen.draw(rng)
    kid = _kid(drawn.real, drawn.synthetic, drawn.groups, rng)
    floor = _kid(drawn.real, drawn.other, drawn.groups, rng) if drawn.other is not None else None
    good = None if floor is None else kid.low <= floor.high
    return chosen.n, Opinion(kid=kid, kid_floor=floor, as_good_as_real=good)


def _kid(real: Features, other: Features, groups: NDArray[np.int64], rng: np.random.Generator) -> Range:
    some = [(halves(groups, rng), halves(groups, rng)) for _ in range(KID_DRAWS)]
    values = kids_of_subsets(real, other, [i for i, _ in some], [j for _, j in some])
    return about(kid_unbiased(real, other), values)


def _disagreement(what: str, found: Opinions, first: str, second: str) -> list[str]:
    """One sentence if the nets disagree."""
    if found.agree is not False or found.first is None or found.second is None:
        return []
    sides = [(first, found.first), (second, found.second)]
    (good, of_good), (bad, of_bad) = sides if found.first.as_good_as_real else reversed(sides)
    return [
        f"{what}: {good} finds the images as good as real ones ({of_good.text()}), {bad} does not ({of_bad.text()})"
    ]
