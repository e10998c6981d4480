"""Copies of training images are found, also mirrored ones; blur and honest samples are not called copies."""

from __future__ import annotations

import numpy as np
import pytest
from export_material import pixels
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu
from sklearn.datasets import load_digits

from synthaug.errors import SynthaugError
from synthaug.metrics.memorisation import (
    C_T_FLOOR,
    authenticity,
    c_t,
    copies,
    dcr,
    memorisation,
    nearest_training_images,
)
from synthaug.metrics.pixel_copies import CopyFinder, recompressed

Floats = NDArray[np.float64]
DIGITS = load_digits()


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def parts(digit: int, train: int, held_out: int, seed: int = 0) -> tuple[Floats, Floats, Floats]:
    """Disjoint training, held-out and further real images of one digit, as 64 grey levels."""
    order = rng(seed).permutation(np.flatnonzero(DIGITS.target == digit))
    x = DIGITS.data[order]
    return x[:train], x[train : train + held_out], x[train + held_out :]


def mirrored(x: Floats) -> Floats:
    return x.reshape(-1, 8, 8)[:, :, ::-1].reshape(-1, 64)


def test_nearest_training_image_counts_an_image_and_its_mirror_image_once() -> None:
    train, _, _ = parts(3, 20, 20)
    queries = np.concatenate([train[4:5], mirrored(train)[7:8]]) + 0.01
    found = nearest_training_images(queries, train, mirrored(train))
    assert found.index.tolist() == [4, 7]
    assert found.mirrored.tolist() == [False, True]
    brute = np.minimum(
        np.linalg.norm(queries[:, None] - train[None], axis=2),
        np.linalg.norm(queries[:, None] - mirrored(train)[None], axis=2),
    )
    np.testing.assert_allclose(found.distance, brute.min(1), atol=1e-5)
    # The second distance is that of another training image, unless both nearest are versions of one.
    assert (found.second >= np.sort(brute, 1)[:, 1] - 1e-5).all()
    assert found.second[0] > 1
    with pytest.raises(SynthaugError, match="mirrored"):
        nearest_training_images(queries, train, train[:3])


def test_c_t_is_the_mann_whitney_z_score() -> None:
    synthetic, held_out = rng(1).gamma(2, 1, 60), rng(2).gamma(2, 1.4, 45)
    z = c_t(synthetic, held_out)
    p = mannwhitneyu(synthetic, held_out, alternative="less", method="asymptotic", use_continuity=False).pvalue
    from scipy.stats import norm

    assert norm.cdf(z) == pytest.approx(p)
    assert z < 0


def test_c_t_of_unseen_real_images_is_standard_normal() -> None:
    """At few and at many held-out images: the floor holds 95% of the scores, not less and not more."""
    for train, held_out in ((12, 10), (50, 40)):
        found = []
        for seed in range(60):
            for digit in range(10):
                known, apart, new = parts(digit, train, held_out, seed)
                near, real = (nearest_training_images(x, known, mirrored(known)).distance for x in (new[:80], apart))
                found.append(c_t(near, real))
        z = np.array(found)
        inside = np.mean((z > C_T_FLOOR.low) & (z < C_T_FLOOR.high))
        assert inside == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / len(z)))
        assert z.mean() == pytest.approx(0, abs=3 / np.sqrt(len(z)))
        assert z.std() == pytest.approx(1, abs=3 / np.sqrt(2 * len(z)))


def test_authenticity_of_unseen_real_images_lies_in_its_floor() -> None:
    inside = copied = 0
    for seed in range(4):
        for digit in range(10):
            known, apart, new = parts(digit, 50, 40, seed)
            found = memorisation(new, known, apart, mirrored=mirrored(known), rng=rng(seed))
            again = memorisation(known[rng(seed).integers(0, 50, 80)], known, apart, rng=rng(seed))
            floor = found.authenticity_floor
            assert floor is not None
            assert again.authenticity == 0
            inside += floor.low <= (found.authenticity or 0) <= floor.high
            copied += floor.low > 0
    assert inside >= 36  # of 40; the interval of 40 held-out images, and the score's own 80 vary, too
    assert copied == 40


def test_dcr_of_equals_is_one_and_its_range_holds_it() -> None:
    found = dcr(rng(1).gamma(9, 1, 200), rng(2).gamma(9, 1, 60), rng=rng())
    assert found.low < 1 < found.high
    assert dcr(np.zeros(20), np.ones(20), rng=rng()).mean == 0


def test_authenticity_by_hand() -> None:
    train = np.array([[0.0], [10.0], [11.0]])
    near = nearest_training_images(np.array([[2.0], [15.0]]), train)
    spacing = np.array([10.0, 1.0, 1.0])
    assert authenticity(near, spacing) == 0.5  # 2 < 10: not authentic; 4 > 1: authentic
    assert copies(near, typical=8.0).tolist() == [True, False]


@pytest.mark.parametrize(("train", "held_out"), [(12, 10), (25, 12), (50, 40)])
def test_planted_copies_are_found_and_real_images_are_no_copies(train: int, held_out: int) -> None:
    false_alarms = missed = 0
    for seed in range(2):
        for digit in range(10):
            known, apart, new = parts(digit, train, held_out, seed)
            flips = mirrored(known)
            honest = memorisation(new, known, apart, mirrored=flips, rng=rng(seed))
            false_alarms += honest.verdict != "clear"
            noisy = known[rng(seed).integers(0, train, 200)] + rng(seed).normal(0, 0.5, (200, 64))
            everything = memorisation(noisy, known, apart, mirrored=flips, rng=rng(seed))
            tenth = np.concatenate([new[:90], mirrored(known)[rng(seed).integers(0, train, 10)]])
            some = memorisation(tenth, known, apart, mirrored=flips, rng=rng(seed))
            missed += (everything.verdict != "copying") + (some.verdict != "copying")
    assert false_alarms <= 1  # of 20
    assert missed == 0


def test_flips_are_only_seen_when_they_are_given() -> None:
    known, apart, _ = parts(7, 25, 40)
    flipped = mirrored(known)[rng().integers(0, 25, 100)]
    assert memorisation(flipped, known, apart, mirrored=mirrored(known), rng=rng()).verdict == "copying"
    assert memorisation(flipped, known, apart, rng=rng()).verdict == "clear"


def test_averages_are_no_copies() -> None:
    """Blur is near to everything and copies nothing: the nearest image is hardly nearer than the next."""
    for seed in range(5):
        known, apart, _ = parts(0, 40, 40, seed)
        weights = rng(seed).dirichlet(np.full(8, 4.0), 200)
        blur = np.einsum("nk,nkd->nd", weights, known[rng(seed).integers(0, 40, (200, 8))])
        found = memorisation(blur, known, apart, rng=rng())
        assert found.verdict in ("clear", "suspect")
        if found.verdict == "suspect":
            assert "blur" in " ".join(found.reasons)


def test_without_held_out_images_nothing_is_claimed() -> None:
    known, apart, new = parts(5, 25, 40)
    for few in (None, apart[:0], apart[:9]):
        found = memorisation(new, known, few, rng=rng())
        assert found.verdict == "insufficient held-out data"
        assert (found.dcr, found.c_t, found.authenticity_floor) == (None, None, None)
        assert "held-out" in found.reasons[0]
        assert found.authenticity is not None
    assert memorisation(new, known[:2], apart, rng=rng()).verdict == "insufficient held-out data"


def test_a_data_set_full_of_near_duplicates_does_not_accuse_the_generator() -> None:
    """Where held-out images come as near to training images as samples do, that is the data's doing."""
    known, _, _ = parts(2, 60, 0)
    apart, samples = (known[rng(s).integers(0, 60, 60)] + rng(s).normal(0, 0.4, (60, 64)) for s in (1, 2))
    assert memorisation(samples, known, apart, rng=rng()).verdict == "clear"


@pytest.mark.parametrize("change", ["exact", "moved", "recompressed"])
def test_five_copies_among_five_hundred_are_told_by_their_pixels(change: str) -> None:
    images = pixels(650, 1, seed=5, resolution=32)
    train, held_out, samples = images[:100], images[100:150], images[150:].copy()
    finder = CopyFinder(train)
    spoilt = {"exact": train[:5], "moved": np.roll(train[:5], 1, axis=2), "recompressed": recompressed(train[:5])}

    def judge(synthetic: NDArray[np.uint8], apart: NDArray[np.uint8] | None) -> str:
        x, known = (part.reshape(len(part), -1) / 255 for part in (synthetic, train))
        near = (finder.closest(synthetic)[0], finder.closest(held_out)[0])
        held = None if apart is None else apart.reshape(len(apart), -1) / 255
        return memorisation(x, known, held, pixels=near, rng=rng()).verdict

    assert judge(samples, held_out) == "clear"
    samples[:5] = spoilt[change]
    assert judge(samples, held_out) == "copying"
    assert judge(samples[5:], None) == "insufficient held-out data"
    assert judge(samples, None) == ("insufficient held-out data" if change == "recompressed" else "copying")
