"""KID, FID, PRDC and Inception score against torch-fidelity, torchmetrics and formulas; and what each must avoid."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric
from torchmetrics.image.kid import poly_mmd

from synthaug.errors import SynthaugError
from synthaug.features import load_features
from synthaug.metrics import distances
from synthaug.metrics.distances import nearest
from synthaug.metrics.fidelity import fid, kid, kid_unbiased, prdc
from synthaug.metrics.inception_score import inception_score
from synthaug.metrics.matched_comparison import Stratum, compare_fidelity

Floats = NDArray[np.float64]


def cloud(n: int, d: int = 16, shift: float = 0.0, scale: float = 1.0, seed: int = 0) -> Floats:
    return np.random.default_rng([seed, n, d]).normal(shift, scale, (n, d))


def fidelity_kid(real: Floats, fake: Floats, subsets: int, size: int) -> float:
    found = kid_features_to_metric(
        torch.from_numpy(real),
        torch.from_numpy(fake),
        kid_subsets=subsets,
        kid_subset_size=size,
        kid_kernel="poly",
        kid_kernel_poly_degree=3,
        kid_kernel_poly_gamma=None,
        kid_kernel_poly_coef0=1.0,
        kid_mmd_est="unbiased",
        rng_seed=0,
        verbose=False,
    )
    return float(found["kernel_inception_distance_mean"])


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_kid_of_all_images_is_that_of_torch_fidelity_and_torchmetrics(shift: float) -> None:
    real, fake = cloud(60), cloud(60, shift=shift, seed=1)
    ours = kid_unbiased(real, fake)
    assert ours == pytest.approx(fidelity_kid(real, fake, 1, 60), rel=1e-9)
    assert ours == pytest.approx(float(poly_mmd(torch.from_numpy(real), torch.from_numpy(fake))), rel=1e-9)


def test_kid_over_subsets_agrees_with_torch_fidelity() -> None:
    """Both average random subsets; with 400 of them the two averages differ by little."""
    real, fake = cloud(300, seed=1), cloud(300, shift=0.25, seed=2)
    ours = kid(real, fake, subsets=400, subset_size=50, rng=np.random.default_rng(0))
    assert ours.mean == pytest.approx(fidelity_kid(real, fake, 400, 50), rel=0.05)
    assert ours.low < ours.mean < ours.high


def test_kid_formula_on_three_images_by_hand() -> None:
    """d = 1, real {0, 1}, fake {2, 3}: k(x, y) = (xy + 1)³."""
    real, fake = np.array([[0.0], [1.0]]), np.array([[2.0], [3.0]])
    by_hand = 1 + 343 - 2 * (1 + 1 + 27 + 64) / 4
    assert kid_unbiased(real, fake) == pytest.approx(by_hand)


def test_kid_is_unbiased_where_fid_is_not() -> None:
    pairs = [(cloud(12, 32, seed=s), cloud(12, 32, seed=1000 + s)) for s in range(200)]
    scores = np.array([kid_unbiased(a, b) for a, b in pairs])
    assert abs(scores.mean()) < 3 * scores.std() / np.sqrt(len(scores))
    assert np.mean([fid(a, b) for a, b in pairs[:20]]) > 20  # the true distance is 0


def test_kid_takes_small_classes_and_gives_them_a_spread() -> None:
    """The usual subset of 1000 raises for rare classes; and a subset of the whole set has no spread."""
    real, fake = cloud(20, seed=3), cloud(200, shift=0.5, seed=4)
    found = kid(real, fake, rng=np.random.default_rng(0))
    assert found.mean == pytest.approx(kid_unbiased(real, fake))
    assert found.low < found.mean < found.high
    assert kid(real, fake, rng=np.random.default_rng(0)) == found
    with pytest.raises(SynthaugError, match="1000"):
        kid(real, fake, subset_size=1000, rng=np.random.default_rng(0))
    with pytest.raises(SynthaugError, match="1 real"):
        kid_unbiased(real[:1], fake)


def test_half_samples_spread_like_new_samples() -> None:
    """The range of `kid` must hold the truth about as often as 95% says, for sets that really differ."""
    truth = np.mean([kid_unbiased(cloud(400, seed=s), cloud(400, shift=0.4, seed=500 + s)) for s in range(8)])
    hits = 0
    for s in range(60):
        found = kid(cloud(40, seed=s), cloud(40, shift=0.4, seed=9000 + s), subsets=60, rng=np.random.default_rng(s))
        hits += found.low <= truth <= found.high
    assert 48 <= hits <= 60


@pytest.mark.parametrize(("n", "m", "d"), [(300, 300, 8), (300, 200, 16), (30, 40, 64), (30, 100, 64)])
def test_fid_is_that_of_torch_fidelity(n: int, m: int, d: int) -> None:
    real, fake = cloud(n, d), cloud(m, d, shift=0.2, scale=1.3, seed=5)
    theirs = fid_statistics_to_metric(
        fid_features_to_statistics(torch.from_numpy(real)), fid_features_to_statistics(torch.from_numpy(fake)), False
    )
    # Above n = d, torch-fidelity takes the square root of a singular matrix, and loses digits.
    assert fid(real, fake) == pytest.approx(theirs["frechet_inception_distance"], rel=1e-6 if min(n, m) > d else 1e-2)


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_precision_and_recall_are_those_of_torch_fidelity(k: int, shift: float) -> None:
    real, fake = cloud(300, 6, seed=1), cloud(300, 6, shift=shift, scale=0.9, seed=2)
    theirs = prc_features_to_metric(
        torch.from_numpy(fake), torch.from_numpy(real), prc_neighborhood=k, prc_batch_size=1000, save_cpu_ram=False,
        verbose=False,
    )  # fmt: skip
    ours = prdc(real, fake, k)
    assert (ours.precision, ours.recall) == pytest.approx((theirs["precision"], theirs["recall"]), abs=1e-6)


@pytest.mark.parametrize(("n", "splits"), [(200, 1), (203, 10)])
def test_inception_score_is_that_of_torch_fidelity(n: int, splits: int) -> None:
    logits = cloud(n, 30, scale=3.0)
    theirs = isc_features_to_metric(torch.from_numpy(logits), splits=splits, shuffle=False)
    assert inception_score(logits, splits) == pytest.approx(theirs["inception_score_mean"], rel=1e-9)


def test_inception_score_at_its_ends() -> None:
    """Images named alike score 1; images named with certainty, as often with each name, score the number of names."""
    assert inception_score(np.tile(cloud(1, 7), (50, 1))) == pytest.approx(1)
    assert inception_score(np.eye(7).repeat(3, axis=0) * 100) == pytest.approx(7)


def test_scores_of_a_real_nets_features_are_those_of_torch_fidelity() -> None:
    """Features have long tails and dead dimensions, unlike the clouds above."""
    rng = np.random.default_rng(0)
    net = load_features("efficientnet_lite0", device="cpu")
    pictures = [rng.integers(0, top, (40, 3, 32, 32), dtype=np.uint8) for top in (256, 120)]
    real, fake = (net(images).astype(np.float64) for images in pictures)
    assert kid_unbiased(real, fake) == pytest.approx(fidelity_kid(real, fake, 1, 40), rel=1e-9)
    theirs = fid_statistics_to_metric(*(fid_features_to_statistics(torch.from_numpy(x)) for x in (real, fake)), False)
    assert fid(real, fake) == pytest.approx(theirs["frechet_inception_distance"], rel=1e-2)
    covariances = [np.cov(x, rowvar=False) for x in (real, fake)]
    roots = np.sqrt(np.linalg.eigvals(covariances[0] @ covariances[1]).real.clip(0)).sum()
    by_formula = np.square(real.mean(0) - fake.mean(0)).sum() + sum(map(np.trace, covariances)) - 2 * roots
    assert fid(real, fake) == pytest.approx(by_formula, rel=1e-4)


def test_fid_of_two_gaussians_by_formula() -> None:
    """Diagonal Gaussians: ‖Δμ‖² + Σ (σ − σ')²."""
    rng = np.random.default_rng(0)
    real, fake = rng.normal(0, 1, (200_000, 2)), rng.normal(1, 2, (200_000, 2))
    assert fid(real, fake) == pytest.approx(2 + 2, rel=0.02)


def direct_prdc(real: Floats, fake: Floats, k: int) -> tuple[float, float, float, float]:
    """The four definitions, word by word, with loops."""
    n = len(real)

    def d(a: Floats, b: Floats) -> float:
        return float(np.sqrt(((a - b) ** 2).sum()))

    def radius(x: Floats, i: int) -> float:
        return sorted(d(x[i], x[j]) for j in range(n) if j != i)[k - 1]

    r_real, r_fake = [radius(real, i) for i in range(n)], [radius(fake, j) for j in range(n)]
    inside = [[d(real[i], fake[j]) <= r_real[i] for j in range(n)] for i in range(n)]
    precision = np.mean([any(inside[i][j] for i in range(n)) for j in range(n)])
    recall = np.mean([any(d(real[i], fake[j]) <= r_fake[j] for j in range(n)) for i in range(n)])
    density = sum(map(sum, inside)) / (k * n)
    coverage = np.mean([any(row) for row in inside])
    return float(precision), float(recall), float(density), float(coverage)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(7, 25), k=st.integers(1, 6), shift=st.floats(0, 3), seed=st.integers(0, 999))
def test_prdc_is_its_definition(n: int, k: int, shift: float, seed: int) -> None:
    real, fake = cloud(n, 3, seed=seed), cloud(n, 3, shift=shift, seed=seed + 1000)
    found = prdc(real, fake, k)
    assert (found.precision, found.recall, found.density, found.coverage) == pytest.approx(direct_prdc(real, fake, k))


def test_prdc_in_blocks_is_prdc(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = cloud(50, seed=1), cloud(50, shift=0.5, seed=2)
    whole = prdc(real, fake)
    monkeypatch.setattr(distances, "BLOCK", 7)
    assert prdc(real, fake) == whole
    assert kid_unbiased(real, fake) == pytest.approx(fidelity_kid(real, fake, 1, 50))


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_identical_features_score_one(offset: float) -> None:
    """With < in place of ≤, identical sets of distinct points in pairs would score 0 for coverage at k = 1."""
    twice = np.repeat(cloud(20, seed=7), 2, axis=0) + offset
    found = prdc(twice, twice, k=1)
    assert (found.precision, found.recall, found.coverage) == (1, 1, 1)


def test_prdc_refuses_unequal_counts_and_missing_neighbours() -> None:
    with pytest.raises(SynthaugError, match="10 real and 20 synthetic"):
        prdc(cloud(10), cloud(20))
    with pytest.raises(SynthaugError, match="k = 5"):
        prdc(cloud(5), cloud(5))
    with pytest.raises(SynthaugError, match="cannot be compared"):
        prdc(cloud(9, 3), cloud(9, 4))


def expected_coverage(n_real: int, n_fake: int, k: int = 5) -> float:
    """Coverage of two samples of one distribution: 1 − ∏ᵢ₌₁ᵏ (n−i)/(m+n−i) (2002.09797, lemma 2)."""
    ranks = np.arange(1, k + 1)
    return float(1 - np.prod((n_real - ranks) / (n_fake + n_real - ranks)))


def test_coverage_of_one_distribution_is_what_theory_says() -> None:
    assert expected_coverage(100, 5000) == pytest.approx(1.0, abs=1e-3)
    assert expected_coverage(1000, 100) == pytest.approx(0.38, abs=0.005)
    measured = np.mean([prdc(cloud(100, 4, seed=s), cloud(100, 4, seed=500 + s)).coverage for s in range(30)])
    assert measured == pytest.approx(expected_coverage(100, 100), abs=0.01)


def test_precision_and_recall_tell_quality_from_variety() -> None:
    real = cloud(200, 4, seed=1)
    narrow = prdc(real, cloud(200, 4, scale=0.2, seed=2))
    wild = prdc(real, cloud(200, 4, scale=5.0, seed=3))
    assert narrow.precision > 0.95
    assert narrow.recall < 0.2
    assert wild.precision < 0.35
    assert wild.recall > 0.9


def test_nearest_against_brute_force() -> None:
    x, y = cloud(9, seed=1), cloud(12, seed=2)
    brute = np.linalg.norm(x[:, None] - y[None], axis=2)
    found, index = nearest(x, y, 3)
    np.testing.assert_allclose(found, np.sort(brute, 1)[:, :3])
    np.testing.assert_array_equal(index, np.argsort(brute, 1)[:, :3])
    own, own_index = nearest(y, y, skip_self=True)
    assert (own_index[:, 0] != np.arange(12)).all()
    assert (own > 0).all()
    with pytest.raises(SynthaugError, match="12 nearest"):
        nearest(y, y, 12, skip_self=True)


def test_the_range_of_density_covers_its_mean_with_few_images() -> None:
    """With the same k among half of the images, it covered 82% at 20 images."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(150):
        real, train, fake = rng.normal(size=(20, 8)), rng.normal(size=(20, 8)), rng.normal(0, 0.9, size=(20, 8))
        compared = compare_fidelity([Stratum(real, train, fake)], rng=rng, draws=1)
        assert compared is not None
        assert compared.n == 20
        assert compared.synthetic.density is not None
        found.append(compared.synthetic.density)
    truth = np.mean([density.mean for density in found])
    assert np.mean([density.low <= truth <= density.high for density in found]) > 0.91
