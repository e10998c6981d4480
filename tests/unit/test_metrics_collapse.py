"""The collapse verdict on generators that were collapsed on purpose, and on real images, which are healthy.

Real handwritten digits in their 64 grey levels, a feature space that costs nothing.
"""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from synthaug.data.cache import LabelledImages
from synthaug.documents import ClassQuality, Range, Score
from synthaug.metrics.collapse import judge
from synthaug.metrics.diversity import Clusters
from synthaug.metrics.quality import class_quality
from synthaug.metrics.real import RealFeatures, describe_real

DIGITS = load_digits()
PIXELS = (DIGITS.images * 15).astype(np.uint8)[:, None]
CLASSES = [str(digit) for digit in range(10)]
Pixels = NDArray[np.uint8]


class GreyLevels:
    """The pixels themselves as features."""

    name, sha256, dim, identity = "pixels", "0" * 64, 64, "pixels@000000000000"

    def __call__(self, pixels: Pixels, *, batch_size: int | None = None) -> NDArray[np.float32]:
        return pixels.reshape(len(pixels), -1).astype(np.float32) / 15


def labelled(pixels: Pixels, labels: NDArray[np.int64], prefix: str) -> LabelledImages:
    return LabelledImages(pixels, labels.astype(np.int64), CLASSES, [f"{prefix}/{i}.png" for i in range(len(labels))])


@cache
def split(rare: int, train: int, held_out: int, seed: int) -> tuple[RealFeatures, Pixels, Pixels]:
    """Real images with one rare class; and the rare class's training images and further, unseen ones."""
    order = np.random.default_rng([seed, rare]).permutation(len(PIXELS))
    rows: dict[str, list[int]] = {"train": [], "test": []}
    unseen: list[int] = []
    for digit in range(10):
        of_class = [int(i) for i in order if DIGITS.target[i] == digit]
        t, h = (train, held_out) if digit == rare else (60, 20)
        rows["train"] += of_class[:t]
        rows["test"] += of_class[t : t + h]
        if digit == rare:
            unseen = of_class[t + h :]
    sets = {name: labelled(PIXELS[index], DIGITS.target[index], name) for name, index in rows.items()}
    real = describe_real(sets["test"], sets["train"], GreyLevels(), kind="test", seed=seed)
    return real, sets["train"].of_class(rare), PIXELS[unseen]


def planted(fault: str, rare: int, train: Pixels, unseen: Pixels, rng: np.random.Generator) -> Pixels:
    """500 images of a generator with a known fault."""
    if fault == "one image":
        return np.repeat(unseen[:1], 500, axis=0)
    if fault == "a tenth of the modes":
        return unseen[rng.integers(0, max(1, len(unseen) // 30), 500)]
    if fault == "noise":
        return rng.integers(0, 256, (500, 1, 8, 8), dtype=np.uint8)
    if fault == "training copies":
        return train[rng.integers(0, len(train), 500)]
    assert fault == "swapped class"
    return PIXELS[rng.permutation(np.flatnonzero(DIGITS.target == {1: 7, 3: 8, 5: 9}[rare]))[:500]]


def verdict(real: RealFeatures, rare: int, images: Pixels, seed: int) -> ClassQuality:
    return class_quality(str(rare), GreyLevels()(images), real, rng=np.random.default_rng(seed))


SIZES = [(10, 5), (25, 12), (50, 40)]


@pytest.mark.parametrize(("train", "held_out"), SIZES)
def test_real_images_are_healthy(train: int, held_out: int) -> None:
    found: Counter[str] = Counter()
    for rare in range(10):
        real, _, unseen = split(rare, train, held_out, seed=rare)
        found[verdict(real, rare, unseen, rare).collapse] += 1
    assert found["healthy"] >= 9
    assert found["collapsed"] == 0


@pytest.mark.parametrize(("train", "held_out"), SIZES)
@pytest.mark.parametrize(
    ("fault", "allowed"),
    [
        ("one image", {"collapsed"}),
        ("a tenth of the modes", {"collapsed", "thinning"}),
        ("noise", {"collapsed", "thinning"}),
        ("swapped class", {"collapsed", "thinning"}),
        ("training copies", {"collapsed", "thinning"}),
    ],
)
def test_planted_faults_are_seen(train: int, held_out: int, fault: str, allowed: set[str]) -> None:
    for rare in (1, 3, 5):
        real, known, unseen = split(rare, train, held_out, seed=rare)
        images = planted(fault, rare, known, unseen, np.random.default_rng(rare))
        quality = verdict(real, rare, images, 7)
        assert quality.collapse in allowed, (rare, quality)
        assert quality.reasons
        if fault == "training copies" and held_out >= 10:
            assert quality.memorisation == "copying"
        if fault == "swapped class":
            assert any("look like" in reason for reason in quality.reasons)


def floor(mean: float, low: float = 0.9) -> Range:
    return Range(mean=mean, low=low, high=1.1)


def test_a_score_inside_its_floor_accuses_nobody() -> None:
    healthy = {
        "pairwise_ratio": Score(value=0.95, floor=floor(1.0)),
        "coverage": Score(value=0.7, floor=floor(0.9, 0.6)),
    }
    assert judge("x", 20, healthy) == ("healthy", [])


def test_each_score_alone_can_say_thinning_and_collapsed() -> None:
    for name, mild, grave, real in (
        ("pairwise_ratio", 0.65, 0.1, floor(1.0)),
        ("vendi_ratio", 0.45, 0.05, floor(1.0)),
        ("coverage", 0.4, 0.05, floor(0.95)),
        ("agreement", 0.4, 0.05, floor(0.95)),
        ("duplicate_rate", 0.3, 0.95, None),
    ):
        assert judge("x", 20, {name: Score(value=mild, floor=real)})[0] == "thinning"
        assert judge("x", 20, {name: Score(value=grave, floor=real)})[0] == "collapsed"
    missed = judge("x", 20, {}, clusters=Clusters(11, 12))
    assert missed == ("thinning", ["11 of 12 groups of similar real images have no sample like them"])
    varied = {"duplicate_rate": Score(value=0.95), "vendi_ratio": Score(value=0.9, floor=floor(1.0, 0.8))}
    assert judge("x", 20, varied)[0] == "thinning"


def test_clusters_that_real_images_miss_too_accuse_nobody() -> None:
    few, many = Range(mean=0.4, low=0.0, high=2.0), Range(mean=3.1, low=1.0, high=5.0)

    def of(missed: int, floor: Range) -> tuple[str, list[str]]:
        return judge("x", 20, {"missed_clusters": Score(value=missed, floor=floor)}, clusters=Clusters(missed, 12))

    assert of(5, many) == of(2, few) == ("healthy", [])
    assert of(6, many) == (
        "thinning",
        ["6 of 12 groups of similar real images have no sample like them (new real images miss 3.1)"],
    )
    assert of(3, few)[0] == "thinning"


def test_too_few_images_are_said_to_be_too_few() -> None:
    found, reasons = judge("x", 3, {"pairwise_ratio": Score(value=0.0, floor=floor(1.0))})
    assert found == "insufficient data"
    assert "3 images" in reasons[0]


def test_reasons_name_the_class_that_was_taken_instead() -> None:
    lost = judge("cat", 20, {"agreement": Score(value=0.1, floor=floor(0.95))}, taken_for=("dog", 0.85))
    assert "85% look like 'dog'" in lost[1][0]


def test_braces_in_a_class_name_stand_in_the_reason() -> None:
    floor = Range(mean=0.95, low=0.9, high=1.0)
    lost = judge("{x}", 20, {"agreement": Score(value=0.1, floor=floor)}, taken_for=("{}", 0.85))
    assert lost[1] == ["10% of the samples look like '{x}' (of real images 95%); 85% look like '{}'"]
