"""FID and PRDC of small sets from inner products, which are computed once for all subsamples.

FID and PRDC depend only on the inner products of the rows. So a subsample needs an indexing, not a matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from synthaug.metrics.distances import Indices

Array = NDArray[Any]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PRDC:
    """Precision and density: do samples look real? Recall and coverage: do they cover all real images?"""

    precision: float
    recall: float
    density: float
    coverage: float


@dataclass(frozen=True, slots=True)
class Gram:
    """Inner products of n real and m synthetic rows, after subtraction of the real rows' mean."""

    real: Floats
    """float64 [n, n]."""
    fake: Floats
    """float64 [m, m]."""
    between: Floats
    """float64 [n, m]."""

    @classmethod
    def of(cls, real: Array, fake: Array) -> Gram:
        """Features [n, d] and [m, d]; memory grows as (n + m)²."""
        mean = real.mean(0, dtype=np.float64)  # far from the origin, rounding would hide the differences
        real, fake = real - mean, fake - mean
        return cls(real @ real.T, fake @ fake.T, real @ fake.T)

    def fid(self, i: Indices, j: Indices) -> float:
        """`synthaug.metrics.fidelity.fid` of these rows. Fast if n and m are not far above d."""
        real, fake, between = self.real[np.ix_(i, i)], self.fake[np.ix_(j, j)], self.between[np.ix_(i, j)]
        n, m = len(i), len(j)
        means = real.mean() + fake.mean() - 2 * between.mean()
        spread = (np.trace(real) - n * real.mean()) / (n - 1) + (np.trace(fake) - m * fake.mean()) / (m - 1)
        centred = between - between.mean(0) - between.mean(1)[:, None] + between.mean()
        root_trace = scipy.linalg.svdvals(centred, overwrite_a=True).sum() / np.sqrt((n - 1) * (m - 1))
        return float(max(0.0, means + spread - 2 * root_trace))

    def prdc(self, i: Indices, j: Indices, k: int) -> PRDC:
        """`synthaug.metrics.fidelity.prdc` of these rows."""
        lengths_real, lengths_fake = np.diag(self.real)[i], np.diag(self.fake)[j]
        # An image's distance to its own copy differs from zero in the last bits.
        slack = 1e-11 * max(lengths_real.max(), lengths_fake.max())
        radii_real = _radii(self.real[np.ix_(i, i)], lengths_real, k) + slack
        radii_fake = _radii(self.fake[np.ix_(j, j)], lengths_fake, k) + slack
        squared = lengths_real[:, None] + lengths_fake[None] - 2 * self.between[np.ix_(i, j)]
        in_real = squared <= radii_real[:, None]
        return PRDC(
            precision=float(in_real.any(0).mean()),
            recall=float((squared <= radii_fake[None]).any(1).mean()),
            density=float(in_real.sum() / (k * len(i))),
            coverage=float(in_real.any(1).mean()),
        )


def _radii(products: Floats, lengths: Floats, k: int) -> Floats:
    """Squared distance of each row to its k-th nearest other one."""
    squared = lengths[:, None] + lengths[None] - 2 * products
    np.fill_diagonal(squared, np.inf)
    out: Floats = np.partition(squared, k - 1, axis=1)[:, k - 1]
    return out
