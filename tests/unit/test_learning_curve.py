"""What a gain is worth in real images: read off where it can be, and not invented where it cannot."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import nnls

from synthaug.evaluation.arms import CONTRASTS, fewer_real
from synthaug.evaluation.learning_curve import (
    PowerLaw,
    curve_contrast,
    fit_power_law,
    in_words,
    learning_curve,
    worth_in_images,
)
from synthaug.evaluation.statistics import F1Table

SIZES = np.array([10.0, 20.0, 30.0, 40.0])
LAW = PowerLaw(0.9, 2.0, 0.7)
NO_ERROR = np.zeros((10, 5))
WOBBLE = 0.002 * np.array([-1, 1, 0, 2, -2])


def scores(law: PowerLaw = LAW) -> np.ndarray:
    return law.at(SIZES)[:, None] + WOBBLE


def test_a_power_law_is_found_again() -> None:
    found = fit_power_law(SIZES, LAW.at(SIZES))
    assert found.at(80.0) == pytest.approx(LAW.at(80.0), abs=0.003)
    assert LAW.images_for(float(LAW.at(57.0))) == pytest.approx(57)
    assert LAW.images_for(0.95) == np.inf


def test_the_fit_is_scipys_non_negative_least_squares() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        f1 = np.minimum(np.sort(rng.uniform(0.3, 1.0, 4)) + rng.normal(0, 0.05, 4), 1.0)
        ours = np.square(fit_power_law(SIZES, f1).at(SIZES) - f1).sum()
        ones = np.ones(4)
        theirs = min(nnls(np.stack([ones, SIZES**-e], axis=1), 1 - f1)[1] ** 2 for e in np.geomspace(0.05, 3.0, 60))
        assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("f1", [[0.5, 0.5, 0.5, 0.5], [0.6, 0.55, 0.5, 0.45], [0.2, 0.9, 0.1, 0.8]])
def test_the_fitted_curve_never_falls(f1: list[float]) -> None:
    law = fit_power_law(SIZES, np.array(f1))
    assert (np.diff(law.at(np.linspace(5, 100, 50))) >= -1e-12).all()
    assert law.ceiling <= 1


def test_a_gain_is_read_off_the_curve() -> None:
    gain = float(LAW.at(60.0) - LAW.at(40.0))
    text, worth = worth_in_images(SIZES, scores(), gain + WOBBLE / 4, NO_ERROR, significant=True, seed=0)
    assert worth is not None
    more, low, high = worth
    assert more == pytest.approx(20, abs=3)
    assert low < more < (high or np.inf)
    assert text.startswith(f"about {more:.0f} more real images")


def test_what_cannot_be_read_off_is_said_to_be_so() -> None:
    gains = np.full(5, 0.05)
    assert worth_in_images(SIZES, scores(), gains, NO_ERROR, significant=False, seed=0) == (
        "none: the gain does not differ measurably from zero",
        None,
    )
    flat = np.full((4, 5), 0.5) + WOBBLE
    text, worth = worth_in_images(SIZES, flat, gains, NO_ERROR, significant=True, seed=0)
    assert worth is None
    assert "not measurably worse" in text
    text, worth = worth_in_images(SIZES, scores(), gains + 0.5, NO_ERROR, significant=True, seed=0)
    assert worth is None
    assert text == "beyond the curve: more than 40 real images"
    text, worth = worth_in_images(np.array([1.0, 1, 2, 2]), scores(), gains, NO_ERROR, significant=True, seed=0)
    assert worth is None
    assert "too few real images for a curve (2)" in text


def test_the_range_covers_the_truth() -> None:
    """Seeds and test images differ from study to study. Over seeds alone, the 90% range held the truth in 61%."""
    law, rng = PowerLaw(0.9, 2.0, 0.7), np.random.default_rng(0)
    truth, gain = 20.0, float(law.at(60.0) - law.at(40.0))
    shape = np.linalg.cholesky(0.012**2 * (0.5 * np.eye(5) + 0.5))  # test images: errors of four scores and the gain
    held = []
    for number in range(150):
        test = rng.normal(size=5) @ shape.T
        means = np.append(law.at(SIZES), gain) + test
        values = means[:, None] + rng.normal(0, 0.015, (5, 5))
        errors = rng.normal(size=(300, 5)) @ shape.T
        _, worth = worth_in_images(SIZES, values[:4], values[4], errors, significant=True, seed=number)
        if worth is not None:
            held.append(worth[1] <= truth <= (worth[2] if worth[2] is not None else np.inf))
    assert len(held) > 60
    assert 0.85 < np.mean(held) < 0.99


def test_every_target_has_its_own_answer() -> None:
    def table(f1: np.ndarray) -> F1Table:
        return F1Table(f1, np.tile(f1.mean(axis=0), (200, 1)))

    def both(rare: np.ndarray, other: float) -> np.ndarray:
        return np.stack([rare, other + WOBBLE], axis=1)

    tables = {share: table(both(scores()[i], 0.5)) for i, share in enumerate((0.25, 0.5, 0.75, 1.0))}
    gain = float(LAW.at(50.0) - LAW.at(40.0))
    pair = CONTRASTS["synthetic+classical-classical"]
    found = learning_curve(
        tables, table(both(scores()[3] + gain, 0.5)), pair, {"rare": 0, "other": 1}, {"rare": 40, "other": 8},
        np.array([50, 50]),
    )  # fmt: skip
    assert found.control == "classical"
    assert [p.images for p in found.per_target["rare"].points] == [10, 20, 30, 40]
    assert found.per_target["rare"].more_images == pytest.approx(10, abs=2)
    assert found.per_target["rare"].gain == pytest.approx(gain)
    assert found.per_target["other"].more_images is None
    assert in_words(found) == f"rare: {found.per_target['rare'].worth}; other: {found.per_target['other'].worth}"


def test_the_control_is_classical_where_it_was_trained() -> None:
    assert curve_contrast(["oversample", "synthetic"]).control.name == "oversample"
    assert curve_contrast(["oversample", "synthetic", "classical", "synthetic+classical"]).control.name == "classical"


def test_smaller_shares_hold_images_of_larger_ones() -> None:
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [30, 12, 5]))
    kept = [set(fewer_real(labels, [1, 2], share, seed=4).tolist()) for share in (0.1, 0.25, 0.5, 0.75)]
    assert all(a < b for a, b in itertools.pairwise(kept))
    counts = [np.bincount(labels[sorted(k)], minlength=3).tolist() for k in kept]
    assert counts == [[30, 1, 1], [30, 3, 1], [30, 6, 2], [30, 9, 4]]
    assert fewer_real(labels, [1], 0.5, seed=5).tolist() != fewer_real(labels, [1], 0.5, seed=4).tolist()
