"""Does the generator copy training images? Distances to training images, compared with those of held-out real images.

No single score distinguishes copying from underfitting (Stein et al., arXiv:2306.04675): a blurred average is near to
every training image too. So a *copy* here is near to one training image and much farther from all others. Distances are
to training images and their mirror images, both for synthetic and for held-out images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, fisher_exact, rankdata

from synthaug.documents import Memorisation, Range
from synthaug.errors import SynthaugError, plural
from synthaug.metrics.distances import nearest
from synthaug.metrics.spread import Indices, half_sample_range, proportion_range

Array = NDArray[Any]
Floats = NDArray[np.float64]
MIN_HELD_OUT = 10
MIN_TRAIN = 3
C_T_FLOOR = Range(mean=0.0, low=-1.96, high=1.96)
"""`c_t` of unseen real images: standard normal, as the null hypothesis of the Mann-Whitney test states."""
NEAR, LONELY = 0.5, 0.7
"""A near copy: its distance is below NEAR × the median of held-out images, and LONELY × that to the second nearest."""
EXACT_NEAR, EXACT_LONELY = 0.25, 0.5
"""The same for a copy. In 600 trials on real digits and Fashion-MNIST with 12 to 300 training images a class, at most
0.2% of unseen real images were copies by this rule, and up to 5% near copies by the rule above."""
SURE_PIXELS, SAME_PIXELS = 0.7, 0.1
"""Pixel distances ÷ limits (`CopyFinder.closest`). Below the first, an image is certainly a copy. Below the second, it
is the training image itself, at most flipped or moved."""
CHANCE = 0.003
"""Share of new images that pixels may take for copies if they take no held-out one: docs/science/copying.md."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The nearest training image of each query: distance, index, whether mirrored; and the distance of the second."""

    distance: Floats
    index: NDArray[np.intp]
    mirrored: NDArray[np.bool_]
    second: Floats


@dataclass(frozen=True, slots=True)
class MemorisationScores:
    """The scores, and the verdict with its reasons."""

    dcr: Range | None
    authenticity: float | None
    c_t: float | None
    verdict: Memorisation
    reasons: list[str]
    authenticity_floor: Range | None = None


def nearest_training_images(queries: Array, train: Array, mirrored: Array | None = None) -> Neighbours:
    """For each query the nearest training image, counting an image and its mirror image as one.

    Args:
        queries: features [n, d].
        train: features [t, d], t ≥ 1.
        mirrored: features [t, d] of the same images flipped left to right; None leaves flips out.
    """
    k = min(2, len(train))
    distance, index = nearest(queries, train, k)
    flipped = np.zeros(distance.shape, bool)
    if mirrored is not None:
        if mirrored.shape != train.shape:
            raise SynthaugError(
                f"{len(mirrored)} mirrored images do not belong to {len(train)} training images",
                "give the features of each training image flipped, in the same order",
            )
        other, other_index = nearest(queries, mirrored, k)
        distance, index = np.hstack([distance, other]), np.hstack([index, other_index])
        flipped = np.hstack([flipped, ~flipped])
        order = np.argsort(distance, axis=1, kind="stable")
        distance, index, flipped = (np.take_along_axis(a, order, 1) for a in (distance, index, flipped))
    different = index != index[:, :1]
    second = np.where(different, distance, np.inf).min(1)
    return Neighbours(distance[:, 0], index[:, 0], flipped[:, 0], second)


def dcr(synthetic: Floats, held_out: Floats, *, rng: np.random.Generator, draws: int = 100) -> Range:
    """Distance to the closest training record: median of synthetic ÷ median of held-out images, with its 95% range.

    Below 1, synthetic images are nearer to the training images than new real ones. The range is from `draws`
    half-samples.

    Args:
        synthetic: distances [n] to the nearest training image.
        held_out: distances [m] of held-out real images.
        rng: draws the half-samples.
        draws: their number.
    """

    def ratio(i: Indices, j: Indices) -> float:
        return float(np.median(synthetic[j]) / max(np.median(held_out[i]), 1e-12))

    full = ratio(np.arange(len(held_out)), np.arange(len(synthetic)))
    return half_sample_range(full, ratio, len(held_out), len(synthetic), draws=draws, rng=rng, bounds=(0.0, np.inf))


def c_t(synthetic: Floats, held_out: Floats) -> float:
    """Meehan et al.'s test for data copying (arXiv:2004.05675), within one class: a Mann-Whitney z-score.

    Below −3, synthetic images are significantly nearer to the training images than held-out ones; above 3, farther. It
    grows with the number of images: it measures how certain the difference is, and `dcr` how large. Both arguments are
    distances to the nearest training image, [n] and [m].
    """
    n, m = len(synthetic), len(held_out)
    ranks = rankdata(np.concatenate([synthetic, held_out]))
    u = ranks[:n].sum() - n * (n + 1) / 2
    return float((u - n * m / 2) / np.sqrt(n * m * (n + m + 1) / 12))


def authenticity(neighbours: Neighbours, train_spacing: Floats) -> float:
    """Share of synthetic images that are farther from their nearest training image than it is from the next one.

    Alaa et al., "How faithful is your synthetic data?" (arXiv:2102.08921), section 3.3. About half of new real images
    are "authentic", so compare it with held-out images. `train_spacing` [t] is the distance of each training image to
    its nearest other one.
    """
    return float((neighbours.distance > train_spacing[neighbours.index]).mean())


def copies(neighbours: Neighbours, typical: float, near: float = NEAR, lonely: float = LONELY) -> NDArray[np.bool_]:
    """Which queries are near to one training image only; bool [n].

    The distance must be at most `near` × `typical`, the median distance of held-out images to their nearest training
    image, and at most `lonely` × the distance to the second nearest.
    """
    return (neighbours.distance <= near * typical) & (neighbours.distance <= lonely * neighbours.second)


def memorisation(
    synthetic: Array,
    train: Array,
    held_out: Array | None,
    *,
    mirrored: Array | None = None,
    pixels: tuple[Floats, Floats] | None = None,
    rng: np.random.Generator,
) -> MemorisationScores:
    """Measure and judge one class.

    *copying*: by pixels, at least three synthetic images and 1% of them are copies. Or by features, at least three and
    1% are copies, or 5% are near copies. In each case, held-out images are copies significantly less often (Fisher's
    exact test, p < 0.01). For copies, the test is not needed if no held-out image is one.
    *suspect*: by pixels, two images are copies, or more images are nearly copies than chance explains. Or by features,
    one image is a copy; or 5% are near copies, but there are too few held-out images for the test; or the images as a
    whole are significantly nearer to the training images (C_T below −3) and by more than a quarter (DCR below 0.75).
    The last can also be blur, so look at the worst pairs.
    *insufficient held-out data*: fewer than ten held-out or three training images.

    Args:
        synthetic: features [n, d].
        train: features [t, d] of the class's training images.
        held_out: features [m, d] of real images that the generator has not seen; None if there are none.
        mirrored: features [t, d] of the training images flipped left to right.
        pixels: `CopyFinder.closest` of the training images, for synthetic [n] and held-out images [m].
        rng: draws half-samples.
    """
    if len(train) < MIN_TRAIN or len(synthetic) < MIN_HELD_OUT:
        few = f"{len(train)} training and {len(synthetic)} synthetic images: too few to look for copies"
        return MemorisationScores(None, None, None, "insufficient held-out data", [few])
    near_train = nearest_training_images(synthetic, train, mirrored)
    spacing = nearest(train, train, skip_self=True)[0][:, 0]
    authentic = authenticity(near_train, spacing)
    if held_out is None or len(held_out) < MIN_HELD_OUT:
        there = 0 if held_out is None else len(held_out)
        count = f"only {plural(there, 'held-out image')}" if there else "no held-out images"
        if pixels is not None and _plenty(same := _Tally.of(pixels[0] < SAME_PIXELS, pixels[1] < SAME_PIXELS)):
            words = f"{same.hits} of {same.synthetic} samples have the pixels of a training image"
            return MemorisationScores(None, authentic, None, "copying", [words])
        reason = f"{count}: too few to test for copying"
        return MemorisationScores(None, authentic, None, "insufficient held-out data", [reason])
    near_real = nearest_training_images(held_out, train, mirrored)
    ratio = dcr(near_train.distance, near_real.distance, rng=rng)
    z = c_t(near_train.distance, near_real.distance)
    typical = float(np.median(near_real.distance))
    near = _Tally.of(copies(near_train, typical), copies(near_real, typical))
    exact = _Tally.of(
        copies(near_train, typical, EXACT_NEAR, EXACT_LONELY), copies(near_real, typical, EXACT_NEAR, EXACT_LONELY)
    )
    verdict, reasons = _judge(near, exact, ratio, z)
    if pixels is not None and verdict != "copying":
        seen, words = _judge_pixels(*pixels)
        if seen != "clear":
            verdict, reasons = seen, [words, *reasons]
    real = proportion_range(authenticity(near_real, spacing), len(held_out))
    return MemorisationScores(ratio, authentic, z, verdict, reasons, authenticity_floor=real)


@dataclass(frozen=True, slots=True)
class _Tally:
    """The numbers of synthetic and of held-out images, and of copies among them."""

    hits: int
    synthetic: int
    real_hits: int
    real: int

    @classmethod
    def of(cls, synthetic: NDArray[np.bool_], held_out: NDArray[np.bool_]) -> _Tally:
        return cls(int(synthetic.sum()), len(synthetic), int(held_out.sum()), len(held_out))

    @property
    def rate(self) -> float:
        return self.hits / self.synthetic

    @property
    def floor(self) -> float:
        return self.real_hits / max(self.real, 1)

    def proven(self) -> bool:
        """Copies are significantly more frequent than among held-out images."""
        table = [[self.hits, self.synthetic - self.hits], [self.real_hits, self.real - self.real_hits]]
        return bool(fisher_exact(table, alternative="greater").pvalue < 0.01)


def _judge(near: _Tally, exact: _Tally, ratio: Range, z: float) -> tuple[Memorisation, list[str]]:
    if exact.hits >= 3 and exact.rate >= 0.01 and (exact.real_hits == 0 or exact.proven()):
        words = f"{exact.rate:.1%} of the samples are copies of training images (of held-out images {exact.floor:.1%})"
        return "copying", [words]
    if near.rate >= 0.05 and near.proven():
        shown = f"{near.rate:.1%} of the samples are near copies of training images"
        return "copying", [f"{shown} (of held-out images {near.floor:.1%})"]
    reasons = []
    if exact.hits and exact.rate > exact.floor:
        reasons.append(f"{exact.hits} of {exact.synthetic} samples are copies of training images")
    elif near.rate >= 0.05 and near.rate > 2 * near.floor:
        reasons.append(
            f"{near.rate:.1%} of the samples are near copies of training images;"
            f" with {near.real} held-out images it is unclear whether new real images are, too"
        )
    if z < -3 and ratio.high < 0.75:
        reasons.append(
            "samples are nearer to the training images than held-out images are"
            f" ({ratio.mean:.2f} times the distance; C_T {z:.1f}): copies or blur. Look at the nearest pairs"
        )
    return ("suspect", reasons) if reasons else ("clear", [])


def _plenty(tally: _Tally) -> bool:
    return tally.hits >= 3 and tally.rate >= 0.01


def _judge_pixels(synthetic: Floats, held_out: Floats) -> tuple[Memorisation, str]:
    """The verdict by pixels alone, and its reason."""
    sure = _Tally.of(synthetic < SURE_PIXELS, held_out < SURE_PIXELS)
    words = f"{sure.hits} of {sure.synthetic} samples are training images, at most flipped, moved or recompressed"
    if _plenty(sure) and (sure.real_hits == 0 or sure.proven()):
        return "copying", words
    if sure.hits >= 2 and sure.rate > 2 * sure.floor:
        return "suspect", words
    near = _Tally.of(synthetic < 1, held_out < 1)
    if near.hits and binomtest(near.hits, near.synthetic, max(CHANCE, near.floor), alternative="greater").pvalue < 0.01:
        return "suspect", f"{near.hits} of {near.synthetic} samples have nearly the pixels of a training image"
    return "clear", ""
