"""Is the distribution right? KID, FID, and precision, recall, density and coverage, on features [n, d].

Products are computed in tiles, so that memory hardly grows with the number of images: 12,000 against 12,000 images with
1,280 features need less than 220 MB besides the features (a test); `tests/studies/large_metrics.py` measures 50,000.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from synthaug.documents import Range
from synthaug.errors import SynthaugError
from synthaug.metrics.distances import Tile, bands, nearest, precision, squared_distances_of_pairs, strips
from synthaug.metrics.gram import PRDC
from synthaug.metrics.spread import Indices, about, quantile_range

Array = NDArray[Any]
Floats = NDArray[np.float64]
MAX_SUBSET = 1000


def kid_unbiased(real: Array, fake: Array) -> float:
    """Kernel inception distance on all given features: the unbiased estimate of MMD² under (x·y/d + 1)³.

    Bińkowski et al., "Demystifying MMD GANs" (arXiv:1801.01401), eq. 4. Unbiased at any sample size, so it can be
    negative, and rare classes can be scored; it is 0 in expectation for equal distributions.

    Raises:
        SynthaugError: a set has fewer than two images.
    """
    real, fake = _pair(real, fake)
    n, m = len(real), len(fake)
    if min(n, m) < 2:
        raise SynthaugError(f"KID was asked for {n} real and {m} synthetic images", "it needs at least two of each")
    return float(_kids(real, fake, np.ones((1, n)), np.ones((1, m)))[0])


def kid(
    real: Array, fake: Array, *, subsets: int = 100, subset_size: int | None = None, rng: np.random.Generator
) -> Range:
    """KID as the mean over random subsets, drawn without replacement, with their 2.5% and 97.5% quantiles.

    If a set is no larger than the subset (the usual case for a rare class), every subset would be the whole set, and
    the range would be falsely zero. Then the mean is the estimate on all images, and the range comes from half-samples:
    see `synthaug.metrics.spread`.

    Args:
        real: features [n, d].
        fake: features [m, d].
        subsets: the number of subsets.
        subset_size: images a subset; min(n, m, 1000) by default.
        rng: draws the subsets.

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
    chosen = _subsets(n, size, subsets, rng), _subsets(m, size, subsets, rng)
    return quantile_range(kids_of_subsets(real, fake, *chosen))


def _kid_of_all(real: Array, fake: Array, draws: int, rng: np.random.Generator) -> Range:
    n, m = len(real), len(fake)
    full = kid_unbiased(real, fake)
    if min(n, m) < 4:
        return Range(mean=full, low=full, high=full)
    of_real, of_fake = _subsets(n, n // 2, draws, rng), _subsets(m, m // 2, draws, rng)
    return about(full, kids_of_subsets(real, fake, of_real, of_fake))


def _subsets(n: int, size: int, count: int, rng: np.random.Generator) -> list[Indices]:
    return [np.sort(rng.choice(n, size, replace=False)) for _ in range(count)]


def kids_of_subsets(real: Array, fake: Array, of_real: list[Indices], of_fake: list[Indices]) -> Floats:
    """KID of each pair of subsets, float64 [subsets]; from all pairs of images if that is less work.

    `of_real` and `of_fake` are the rows of each subset, at least two.
    """
    work = sum(max(len(i), len(j)) ** 2 for i, j in zip(of_real, of_fake, strict=True))
    if max(len(real), len(fake)) ** 2 > work:
        return np.array([kid_unbiased(real[i], fake[j]) for i, j in zip(of_real, of_fake, strict=True)])
    return _kids(real, fake, _members(of_real, len(real)), _members(of_fake, len(fake)))


def _members(subsets: list[Indices], n: int) -> Floats:
    """float64 [subsets, n]: 1 for the rows in a subset, 0 for the others."""
    out = np.zeros((len(subsets), n))
    for row, chosen in zip(out, subsets, strict=True):
        row[chosen] = 1
    return out


def _kids(real: Array, fake: Array, in_real: Floats, in_fake: Floats) -> Floats:
    """KID of subsets, float64 [subsets]; members are 1, other rows 0."""
    n, m = in_real.sum(1), in_fake.sum(1)
    within_real = _kernel_sums(real, real, in_real, in_real) - in_real @ _kernel_diagonal(real)
    within_fake = _kernel_sums(fake, fake, in_fake, in_fake) - in_fake @ _kernel_diagonal(fake)
    between = _kernel_sums(real, fake, in_real, in_fake)
    out: Floats = within_real / (n * (n - 1)) + within_fake / (m * (m - 1)) - 2 * between / (n * m)
    return out


def fid(real: Array, fake: Array) -> float:
    """Fréchet distance of the Gaussians fitted to the features: ‖μ−μ'‖² + tr(Σ + Σ' − 2(ΣΣ')^½).

    Heusel et al. (arXiv:1706.08500), eq. 6. Strongly biased upwards if n is not far above d; use `kid` then. Computed
    from roots R of the covariances, Σ = RᵀR: tr (ΣΣ')^½ is the sum of the singular values of RR'ᵀ. The square root of a
    singular matrix, which loses digits if n < d, is not needed.

    Raises:
        SynthaugError: a set has fewer than two images.
    """
    real, fake = _pair(real, fake)
    n, m = len(real), len(fake)
    if min(n, m) < 2:
        raise SynthaugError(f"FID was asked for {n} real and {m} synthetic images", "it needs at least two of each")
    (mean_real, x), (mean_fake, y) = _root_covariance(real), _root_covariance(fake)
    root_trace = _sum_of_singular_values(x @ y.T)
    spread = np.square(x).sum() + np.square(y).sum()
    return float(max(0.0, np.square(mean_real - mean_fake).sum() + spread - 2 * root_trace))


def _sum_of_singular_values(matrix: Floats) -> float:
    squared = scipy.linalg.eigvalsh(matrix @ matrix.T, check_finite=False)
    if squared[0] > 1e-10 * squared[-1]:  # then squaring loses no significant digit, and it takes a third of the time
        return float(np.sqrt(squared).sum())
    return float(scipy.linalg.svdvals(matrix).sum())


def prdc(real: Array, fake: Array, k: int = 5) -> PRDC:
    """Precision, recall, density and coverage with balls that reach to the k-th nearest neighbour of the same set.

    Kynkäänniemi et al. (arXiv:1904.06991) for the first two, Naeem et al. (arXiv:2002.09797) for the others. Points on
    a ball's surface count as inside, so that identical features score 1, not 0. Both sets must have the same size n >
    k: with unequal sizes, coverage would be falsely low or high.

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
    radii_real = nearest(real, real, k, skip_self=True)[0][:, -1] ** 2
    radii_fake = nearest(fake, fake, k, skip_self=True)[0][:, -1] ** 2
    precise, recalled, covered, inside = np.zeros(n, bool), np.zeros(n, bool), np.zeros(n, bool), 0
    for strip in strips(real, fake):
        for tile in strip:
            in_real, in_fake = _in_balls(tile, real, fake, radii_real, radii_fake)
            precise[tile.columns] |= in_real.any(0)
            covered[tile.rows] |= in_real.any(1)
            recalled[tile.rows] |= in_fake.any(1)
            inside += int(np.count_nonzero(in_real))
    return PRDC(float(precise.mean()), float(recalled.mean()), inside / (k * n), float(covered.mean()))


def _in_balls(
    tile: Tile, real: Array, fake: Array, radii_real: Floats, radii_fake: Floats
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which pairs lie within the real image's ball, and which within the synthetic image's; bool [rows, columns].

    Pairs within the rounding error of a radius are computed again in double precision.
    """
    found = []
    unsure = np.zeros(tile.squared.shape, bool)
    for radii in (radii_real[tile.rows, None], radii_fake[None, tile.columns]):
        within = tile.squared <= (radii - tile.error).astype(tile.squared.dtype)
        unsure |= within != (tile.squared <= (radii + tile.error).astype(tile.squared.dtype))
        found.append(within)
    i, j = np.nonzero(unsure)
    exact = squared_distances_of_pairs(real, fake, i + tile.rows.start, j + tile.columns.start)
    found[0][i, j] = exact <= radii_real[tile.rows][i]
    found[1][i, j] = exact <= radii_fake[tile.columns][j]
    return found[0], found[1]


def _pair(real: Array, fake: Array) -> tuple[Array, Array]:
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1]:
        raise SynthaugError(
            f"features of shape {list(real.shape)} and {list(fake.shape)} cannot be compared",
            "give two arrays [n, d] from one feature net",
        )
    if real.dtype == fake.dtype == np.float32:
        return real, fake
    return np.asarray(real, np.float64), np.asarray(fake, np.float64)


def _kernel_sums(x: Array, y: Array, in_x: Floats, in_y: Floats) -> Floats:
    """Sum of (x·y/d + 1)³ over the pairs of rows that are members of each subset; float64 [subsets]."""
    dtype, total = precision(len(x), len(y)), np.zeros(len(in_x))
    for rows in bands(len(x)):
        part = x[rows].astype(dtype, copy=False)
        for columns in bands(len(y)):
            kernel = part @ y[columns].astype(dtype, copy=False).T
            kernel /= x.shape[1]
            kernel += 1
            cube = kernel * kernel
            cube *= kernel
            total += ((in_x[:, rows] @ cube.astype(np.float64, copy=False)) * in_y[:, columns]).sum(1)
    return total


def _kernel_diagonal(x: Array) -> Floats:
    squared = np.concatenate([np.square(x[rows], dtype=np.float64).sum(1) for rows in bands(len(x))])
    out: Floats = (squared / x.shape[1] + 1) ** 3
    return out


def _root_covariance(x: Array) -> tuple[Floats, Floats]:
    """The mean [d] and a matrix R [min(n, d), d] with RᵀR = Σ; `x` [n, d] is read in bands."""
    n, d = x.shape
    mean = x.mean(0, dtype=np.float64)
    if n <= d:
        return mean, (x - mean) / np.sqrt(n - 1)
    covariance = np.zeros((d, d))
    for rows in bands(n):
        part = x[rows] - mean
        covariance += part.T @ part
    try:
        return mean, scipy.linalg.cholesky(covariance, check_finite=False) / np.sqrt(n - 1)
    except scipy.linalg.LinAlgError:  # singular, for example if a feature is always zero
        return mean, _root_by_rows(x, mean) / np.sqrt(n - 1)


def _root_by_rows(x: Array, mean: Floats) -> Floats:
    """R [d, d] of the centred rows, block by block: the QR factor of the R so far and the next rows."""
    d = x.shape[1]
    root = np.empty((0, d))
    for start in range(0, len(x), 4 * d):
        part = np.vstack([root, x[start : start + 4 * d] - mean])
        root = scipy.linalg.qr(part, mode="r", overwrite_a=True, check_finite=False)[0][:d]
    return root
