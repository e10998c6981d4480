"""Is the distribution right? KID, FID, and precision, recall, density and coverage, on features.

All functions take features [n, d] and know nothing of images. Distances are computed in blocks, so that memory stays
flat however many images there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from synthaug.documents import Range
from synthaug.errors import SynthaugError
from synthaug.metrics.distances import BLOCK, nearest, squared_distances
from synthaug.metrics.spread import Indices, half_sample_range, quantile_range

Array = NDArray[Any]
Floats = NDArray[np.float64]
MAX_SUBSET = 1000


@dataclass(frozen=True, slots=True)
class PRDC:
    """Precision and density: do samples look real? Recall and coverage: is all of the real met?"""

    precision: float
    recall: float
    density: float
    coverage: float


def kid_unbiased(real: Array, fake: Array) -> float:
    """Kernel inception distance on all given features: the unbiased estimate of MMD² under (x·y/d + 1)³.

    Bińkowski et al., "Demystifying MMD GANs" (arXiv:1801.01401), eq. 4. Unbiased at any sample size, so it can be
    negative, and rare classes can be scored; it is 0 in expectation for equal distributions.

    Args:
        real: features [n, d], n ≥ 2.
        fake: features [m, d], m ≥ 2.

    Raises:
        SynthaugError: a set has fewer than two images.
    """
    real, fake = _pair(real, fake)
    n, m = len(real), len(fake)
    if min(n, m) < 2:
        raise SynthaugError(f"KID was asked for {n} real and {m} synthetic images", "it needs at least two of each")
    within_real = _kernel_sum(real, real) - _kernel_diagonal(real)
    within_fake = _kernel_sum(fake, fake) - _kernel_diagonal(fake)
    return float(within_real / (n * (n - 1)) + within_fake / (m * (m - 1)) - 2 * _kernel_sum(real, fake) / (n * m))


def kid(
    real: Array, fake: Array, *, subsets: int = 100, subset_size: int | None = None, rng: np.random.Generator
) -> Range:
    """KID as the mean over random subsets, drawn without replacement, with their 2.5% and 97.5% quantiles.

    Where a set is no larger than the subset (the usual case for a rare class) every subset would be the whole set and
    the spread would be a false zero. Then the mean is the estimate on all images, and the range comes from halves: see
    `synthaug.metrics.spread`.

    Args:
        real: features [n, d].
        fake: features [m, d].
        subsets: how many subsets are drawn.
        subset_size: images a subset; min(n, m, 1000) by default.
        rng: where the subsets come from.

    Raises:
        SynthaugError: `subset_size` is larger than a set or below two.
    """
    real, fake = _pair(real, fake)
    n, m = len(real), len(fake)
    size = min(n, m, MAX_SUBSET) if subset_size is None else subset_size
    if not 2 <= size <= min(n, m):
        raise SynthaugError(
            f"KID subsets of {size} cannot be drawn from {n} real and {m} synthetic images",
            "give a subset size between 2 and the smaller of the two",
        )
    if subset_size is None and 2 * size > min(n, m):
        return _kid_of_all(real, fake, subsets, rng)
    scores = [
        kid_unbiased(real[rng.choice(n, size, replace=False)], fake[rng.choice(m, size, replace=False)])
        for _ in range(subsets)
    ]
    return quantile_range(np.array(scores))


def _kid_of_all(real: Floats, fake: Floats, draws: int, rng: np.random.Generator) -> Range:
    n, m = len(real), len(fake)
    full = kid_unbiased(real, fake)
    if min(n, m) < 4:
        return Range(mean=full, low=full, high=full)
    if max(n, m) > 2 * MAX_SUBSET:  # the kernel matrices below would not fit: halves are computed afresh

        def afresh(i: Indices, j: Indices) -> float:
            return kid_unbiased(real[i], fake[j])

        return half_sample_range(full, afresh, n, m, draws=draws, rng=rng)
    within_real, within_fake, between = (_kernel(x, y) for x, y in ((real, real), (fake, fake), (real, fake)))
    np.fill_diagonal(within_real, 0)
    np.fill_diagonal(within_fake, 0)

    def estimate(i: Indices, j: Indices) -> float:
        a, b = len(i), len(j)
        pairs_real = within_real[np.ix_(i, i)].sum() / (a * (a - 1))
        pairs_fake = within_fake[np.ix_(j, j)].sum() / (b * (b - 1))
        return float(pairs_real + pairs_fake - 2 * between[np.ix_(i, j)].mean())

    return half_sample_range(full, estimate, n, m, draws=draws, rng=rng)


def fid(real: Array, fake: Array) -> float:
    """Fréchet distance of the Gaussians fitted to the features: ‖μ−μ'‖² + tr(Σ + Σ' − 2(ΣΣ')^½).

    Heusel et al. (arXiv:1706.08500), eq. 6. Strongly biased upwards when n is not far above d; prefer `kid` there.
    Computed through the n×n Gram matrices where n < d: tr (ΣΣ')^½ is the sum of the singular values of XX'ᵀ.

    Raises:
        SynthaugError: a set has fewer than two images.
    """
    real, fake = _pair(real, fake)
    n, m = len(real), len(fake)
    if min(n, m) < 2:
        raise SynthaugError(f"FID was asked for {n} real and {m} synthetic images", "it needs at least two of each")
    mean_real, mean_fake = real.mean(0), fake.mean(0)
    x, y = (real - mean_real) / np.sqrt(n - 1), (fake - mean_fake) / np.sqrt(m - 1)
    if max(n, m) > x.shape[1]:  # a factor of Σ = RᵀR with at most d rows has the same product
        x, y = (np.linalg.qr(part, mode="r") if len(part) > part.shape[1] else part for part in (x, y))
    root_trace = scipy.linalg.svdvals(x @ y.T).sum()
    spread = np.square(x).sum() + np.square(y).sum()
    return float(max(0.0, np.square(mean_real - mean_fake).sum() + spread - 2 * root_trace))


def prdc(real: Array, fake: Array, k: int = 5) -> PRDC:
    """Precision, recall, density and coverage with balls that reach to the k-th nearest neighbour of the same set.

    Kynkäänniemi et al. (arXiv:1904.06991) for the first two, Naeem et al. (arXiv:2002.09797) for the others. Points on
    a ball's surface count as inside, so that identical features score 1, not 0. Both sets must be of one size: unequal
    counts fake terrible or perfect coverage.

    Args:
        real: features [n, d].
        fake: features [n, d].
        k: neighbours; must be below n.

    Raises:
        SynthaugError: the sets differ in size, or have no k neighbours.
    """
    real, fake = _pair(real, fake)
    n = len(real)
    if n != len(fake):
        raise SynthaugError(
            f"precision and coverage were asked for {n} real and {len(fake)} synthetic images",
            "take the same number of each",
        )
    if not 1 <= k < n:
        raise SynthaugError(f"k = {k} neighbours do not exist among {n} images", f"use k between 1 and {n - 1}")
    shift = real.mean(0)  # distances do not change, and their rounding error shrinks
    real, fake = real - shift, fake - shift
    radii_real = nearest(real, real, k, skip_self=True)[0][:, -1] ** 2
    radii_fake = nearest(fake, fake, k, skip_self=True)[0][:, -1] ** 2
    # An image's distance to its own copy differs from zero in the last bits.
    slack = 1e-9 * max(np.square(real).sum(1).max(), np.square(fake).sum(1).max(), 1e-30)
    precise = np.zeros(n, bool)
    recalled = np.zeros(n, bool)
    inside = 0
    covered = np.zeros(n, bool)
    for start in range(0, n, BLOCK):
        rows = slice(start, start + BLOCK)
        distances = squared_distances(real[rows], fake)
        in_real_ball = distances <= radii_real[rows, None] + slack
        precise |= in_real_ball.any(0)
        inside += int(in_real_ball.sum())
        covered[rows] = in_real_ball.any(1)
        recalled[rows] = (distances <= radii_fake[None, :] + slack).any(1)
    return PRDC(float(precise.mean()), float(recalled.mean()), inside / (k * n), float(covered.mean()))


def expected_coverage(n_real: int, n_fake: int, k: int = 5) -> float:
    """Coverage of two samples of one distribution: 1 − ∏ᵢ₌₁ᵏ (n−i)/(m+n−i) for n real and m fake images.

    Naeem et al. (arXiv:2002.09797), lemma 2. (n − i: the other real images that must lie nearer than any fake.)

    >>> round(expected_coverage(100, 100), 2)
    0.97
    """
    ranks = np.arange(1, k + 1)
    return float(1 - np.prod((n_real - ranks) / (n_fake + n_real - ranks)))


def _pair(real: Array, fake: Array) -> tuple[Floats, Floats]:
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1]:
        raise SynthaugError(
            f"features of shape {list(real.shape)} and {list(fake.shape)} cannot be compared",
            "give two arrays [n, d] from one feature net",
        )
    return np.asarray(real, np.float64), np.asarray(fake, np.float64)


def _kernel(x: Floats, y: Floats) -> Floats:
    out: Floats = (x @ y.T / x.shape[1] + 1) ** 3
    return out


def _kernel_sum(x: Floats, y: Floats) -> float:
    return sum(float(_kernel(x[start : start + BLOCK], y).sum()) for start in range(0, len(x), BLOCK))


def _kernel_diagonal(x: Floats) -> float:
    return float(((np.square(x).sum(1) / x.shape[1] + 1) ** 3).sum())
