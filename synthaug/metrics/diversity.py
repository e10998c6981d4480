"""Are the images varied enough? Pairwise distances, Vendi score, near-duplicates, and clusters without a sample.

Most scores depend on the number of images: compare equal numbers, and compare with real images. Noise is diverse too,
so read them together with precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from synthaug.documents import Range
from synthaug.metrics.distances import bands, nearest, squared_distances
from synthaug.metrics.spread import quantile_range

Array = NDArray[Any]
Floats = NDArray[np.float64]
DUPLICATE_FRACTION = 0.5
MIN_EXPECTED = 5.0
MAX_HALF = 1000
"""Images a side for the floor of the missed clusters."""


def scale_of(squared: Floats) -> float:
    """The scale of `vendi`: half the median distance between real images, from squared distances [n, n], n ≥ 2."""
    return float(np.median(np.sqrt(squared[np.triu_indices(len(squared), 1)]))) / 2


def vendi(squared: Floats, scale: float) -> float:
    """Vendi score: the effective number of different images, from 1 to n.

    exp of the entropy of the eigenvalues of K/n, where K are the similarities exp(−‖x−y‖² / 2·scale²); Friedman & Dieng
    (arXiv:2210.02410), eq. 2. The paper leaves the kernel open. With the usual cosine of pooled features all images of
    a class are nearly alike, which hides a collapse; so a Gaussian kernel on the real images' scale is used.

    Args:
        squared: squared distances [n, n].
        scale: `scale_of` the *real* images, the same for both sets of a ratio.
    """
    kernel = np.exp(-squared / (2 * max(scale, 1e-12) ** 2))
    eigenvalues = np.linalg.eigvalsh(kernel / len(squared)).clip(min=0)
    present = eigenvalues[eigenvalues > 1e-12]
    return float(np.exp(-(present * np.log(present)).sum()))


def duplicate_threshold(squared: Floats) -> float:
    """Distance below which two images are near-duplicates: half the median nearest-neighbour distance of real images.

    `squared` [n, n] are their squared distances.
    """
    return DUPLICATE_FRACTION * float(np.median(_to_nearest(squared)))


def duplicate_rate(squared: Floats, threshold: float) -> float:
    """Share of images with another image within `threshold`; `squared` [n, n] are squared distances."""
    return float((_to_nearest(squared) <= threshold).mean())


def _to_nearest(squared: Floats) -> Floats:
    """Distance [n] of each image to the nearest other one."""
    others = squared + np.diag(np.full(len(squared), np.inf))
    out: Floats = np.sqrt(others.min(1))
    return out


@dataclass(frozen=True, slots=True)
class Clusters:
    """How many clusters of the real class have no synthetic image, of those that are judged."""

    missed: int
    judged: int

    def __str__(self) -> str:
        return f"{self.missed} of {self.judged}"


@dataclass(frozen=True, slots=True)
class Clustering:
    """Clusters of the real images of a class, found by k-means."""

    centres: Floats
    """[k, d]."""
    labels: NDArray[np.int64]
    """[n]: the cluster of each real image."""

    @property
    def count(self) -> int:
        return len(self.centres)

    def predict(self, features: Array) -> NDArray[np.int64]:
        """The cluster with the nearest centre, for features [n, d]."""
        found = np.empty(len(features), np.int64)
        for rows in bands(len(features)):
            found[rows] = squared_distances(features[rows], self.centres).argmin(1)
        return found

    def middles(self, features: Array) -> NDArray[np.intp]:
        """For each cluster the row of `features` [n, d] that is nearest to its centre."""
        return nearest(self.centres, features)[1][:, 0]


def clusters_of(real: Array, *, rng: np.random.Generator) -> Clustering | None:
    """Cluster the real images [n, d] of a class: one cluster for every eight, 20 at most; None if that is one.

    If n < d, k-means runs in the n dimensions that the images span: the distances are the same, and it is faster.
    """
    count = min(20, len(real) // 8)
    if count < 2:
        return None
    model = KMeans(count, n_init=4, random_state=int(rng.integers(2**31)))
    if len(real) >= real.shape[1]:
        model.fit(np.asarray(real, np.float32))
        return Clustering(model.cluster_centers_.astype(np.float64), model.labels_.astype(np.int64))
    mean = real.mean(0, dtype=np.float64)
    basis, along = np.linalg.qr((real - mean).T)
    model.fit(along.T)
    return Clustering(mean + model.cluster_centers_ @ basis.T, model.labels_.astype(np.int64))


def missed_clusters(clustering: Clustering, fake: Array) -> Clusters | None:
    """Count the clusters of real images without a synthetic image; None if there are too few images to judge.

    A cluster is judged if its share of the real images predicts at least five synthetic ones. It is then missed by
    chance with a probability below 1%.
    """
    expected = np.bincount(clustering.labels, minlength=clustering.count) / len(clustering.labels) * len(fake)
    judged = expected >= MIN_EXPECTED
    if not judged.any():
        return None
    found = np.bincount(clustering.predict(fake), minlength=clustering.count)
    return Clusters(missed=int((judged & (found == 0)).sum()), judged=int(judged.sum()))


def missed_floor(
    real: Array, synthetic: int, judged: int, *, rng: np.random.Generator, draws: int = 10
) -> Range | None:
    """How many of `judged` clusters new real images miss. It is not zero, since k-means fits its own images better.

    One random half of the real images is clustered; the other half gives as many images as there are synthetic ones, or
    all of them. The share of missed clusters is multiplied by `judged`, because the score has up to twice as many.

    Args:
        real: features [n, d] of all real images of the class.
        synthetic: the number of synthetic images of the score.
        judged: the number of clusters of the score.
        rng: draws the halves, and starts k-means.
        draws: how many.

    Returns:
        Mean and range over the draws; None if the halves are too small, which they are below 32 real images.
    """
    half = min(len(real) // 2, MAX_HALF)
    shares = []
    for _ in range(draws):
        order = rng.permutation(len(real))
        clustering = clusters_of(real[order[:half]], rng=rng)
        found = missed_clusters(clustering, real[order[half : half + min(half, synthetic)]]) if clustering else None
        if found is not None:
            shares.append(found.missed / found.judged)
    return quantile_range(judged * np.array(shares)) if shares else None
