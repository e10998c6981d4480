"""Pairwise distances, Vendi score, near-duplicates, missed clusters, and whether samples can be told from real."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.metrics import pairwise_distances

from synthaug.errors import SynthaugError
from synthaug.metrics.class_judge import class_judge
from synthaug.metrics.detectability import detect_auc
from synthaug.metrics.distances import nearest, squared_distances
from synthaug.metrics.diversity import (
    clusters_of,
    duplicate_rate,
    duplicate_threshold,
    missed_clusters,
    missed_floor,
    scale_of,
    vendi,
)

Floats = NDArray[np.float64]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def cloud(n: int, seed: int = 0, scale: float = 1.0, d: int = 12) -> Floats:
    return rng(seed).normal(0, scale, (n, d))


def squared(x: Floats) -> Floats:
    return squared_distances(x, x)


def test_vendi_of_known_sets() -> None:
    """m groups of equal images, far apart: exactly m different ones (Friedman & Dieng, section 3)."""
    groups = np.repeat(np.eye(5) * 100, 4, axis=0)
    assert vendi(squared(groups), 1.0) == pytest.approx(5, rel=1e-6)
    assert vendi(squared(np.zeros((7, 3))), 1.0) == pytest.approx(1)
    x = cloud(10, 3)
    kernel = np.exp(-(pairwise_distances(x) ** 2) / (2 * 1.7**2)) / len(x)
    w = np.linalg.eigvals(kernel).real
    assert vendi(squared(x), 1.7) == pytest.approx(np.exp(-(w * np.log(w)).sum()))


def test_vendi_falls_with_modes() -> None:
    real = cloud(60, 4)
    scale = scale_of(squared(real))
    same, few = (vendi(squared(x), scale) for x in (cloud(60, 5), np.repeat(cloud(6, 6), 10, 0)))
    assert same / vendi(squared(real), scale) == pytest.approx(1, abs=0.1)
    assert few < 0.6 * same
    assert scale_of(squared(3 * real)) == pytest.approx(3 * scale)


def test_near_duplicates() -> None:
    real = cloud(50, 7)
    near = duplicate_threshold(squared(real))
    assert near == pytest.approx(0.5 * float(np.median(nearest(real, real, skip_self=True)[0])))
    assert duplicate_rate(squared(real), near) == 0
    twins = np.concatenate([real[:20], real[:10] + 1e-3])
    assert duplicate_rate(squared(twins), near) == pytest.approx(20 / 30)


@pytest.mark.parametrize("far", [0.0, 30.0])
def test_equal_images_are_duplicates_whatever_rounding_leaves(far: float) -> None:
    real = np.maximum(cloud(120, 8, d=1280), 0) + far  # far from the origin rounding leaves most
    real[::7] = real[1]
    near = duplicate_threshold(squared(real))
    assert duplicate_rate(squared(real), near) > 0.1
    one = squared(real[::7])
    assert duplicate_threshold(one) == 0
    assert duplicate_rate(one, 0.0) == 1


def test_clusters_in_the_span_of_the_images_are_those_of_the_whole_space() -> None:
    real = cloud(60, 9, d=200) + 3
    found = clusters_of(real, rng=rng())
    whole = KMeans(7, n_init=4, random_state=int(rng().integers(2**31))).fit(real)
    assert found is not None
    np.testing.assert_array_equal(found.labels, whole.labels_)
    np.testing.assert_allclose(found.centres, whole.cluster_centers_)
    new = cloud(90, 10, d=200) + 3
    np.testing.assert_array_equal(found.predict(new), whole.predict(new))


def test_missed_clusters_are_counted() -> None:
    centres = np.eye(12)[:4] * 60
    real = np.concatenate([c + cloud(30, i) for i, c in enumerate(centres)])
    whole = np.concatenate([c + cloud(50, 10 + i) for i, c in enumerate(centres)])
    clustering = clusters_of(real, rng=rng())
    assert clustering is not None
    found = missed_clusters(clustering, whole)
    assert found is not None
    assert found.missed <= 1
    half = missed_clusters(clustering, whole[:100])
    assert half is not None
    assert half.missed >= 0.3 * half.judged
    assert str(half) == f"{half.missed} of {half.judged}"
    assert clusters_of(real[:15], rng=rng()) is None
    assert missed_clusters(clustering, whole[:3]) is None


def test_what_real_images_miss_is_the_floor_of_missed_clusters() -> None:
    """Unseen real digits miss no more than the floor allows, and a generator of half of the digits does."""
    digits = load_digits()
    inside = caught = 0
    for seed in range(20):
        order = rng(seed).permutation(len(digits.target))
        real, unseen, kinds = digits.data[order[:400]], digits.data[order[400:600]], digits.target[order[400:]]
        clustering = clusters_of(real, rng=rng(seed))
        assert clustering is not None
        found = missed_clusters(clustering, unseen)
        half = missed_clusters(clustering, digits.data[order[400:]][kinds < 5][:200])
        assert found is not None
        assert half is not None
        floor = missed_floor(real, 200, found.judged, rng=rng(seed))
        assert floor is not None
        assert 0 <= floor.low <= floor.mean <= floor.high <= found.judged
        inside += found.missed <= floor.high
        caught += half.missed > floor.high
    assert inside >= 19
    assert caught == 20


def test_the_floor_of_missed_clusters_is_none_where_halves_are_too_few() -> None:
    assert missed_floor(cloud(31), 100, 3, rng=rng()) is None
    assert missed_floor(cloud(32), 100, 3, rng=rng()) is not None
    assert missed_floor(cloud(64), 4, 3, rng=rng()) is None  # four images cannot be expected to reach a cluster


def test_detectability_is_a_half_for_equals_and_one_for_strangers() -> None:
    equals = np.mean([detect_auc(cloud(60, s), cloud(60, 100 + s), rng=rng(s)).mean for s in range(12)])
    assert equals == pytest.approx(0.5, abs=0.06)
    assert detect_auc(cloud(40, 1), cloud(40, 2) + 3, rng=rng()).mean > 0.99
    with pytest.raises(SynthaugError, match="9 real"):
        detect_auc(cloud(9), cloud(40), rng=rng())


def test_agreement_sees_a_swapped_class() -> None:
    real = np.concatenate([cloud(40, 1), cloud(12, 2) + 2, cloud(40, 3) - 2])
    labels = np.repeat([0, 1, 2], [40, 12, 40])
    judge = class_judge(real, labels, rng=rng())
    assert judge is not None
    right, tried = judge.recognised[1]
    assert tried == 12
    assert right >= 11
    assert (judge.share(cloud(100, 4) + 2, 1) or 0) > 0.95
    assert judge.share(cloud(100, 5) - 2, 1) == pytest.approx(0, abs=0.02)
    assert judge.taken_for(cloud(100, 5) - 2, 1) == (2, pytest.approx(1, abs=0.05))
    assert class_judge(real[:44], labels[:44], rng=rng()) is None
