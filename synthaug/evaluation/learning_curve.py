"""How many more real images would give the same gain, from a learning curve of the real data.

The control is trained with fewer real images of the target classes. A power law is fitted to its F1 (Cortes et al.,
NIPS 1993), and the number of images at which it reaches the F1 with synthetic images is read off. A gain that does not
differ from zero is worth no images. The curve is extrapolated to twice the number of images at most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from synthaug.documents import CurvePoint, LearningCurve, TargetCurve
from synthaug.evaluation.arms import PlannedContrast, planned
from synthaug.evaluation.scores import Floats
from synthaug.evaluation.statistics import F1Table, contrast, mean_f1
from synthaug.seeds import LEARNING_CURVE, stream

SHARES = (0.25, 0.5, 0.75)
"""Of the real images of the target classes; the control has all of them."""
FARTHEST = 2.0
"""The curve is extrapolated to this multiple of the number of real images at most."""
_EXPONENTS = np.geomspace(0.05, 3.0, 60)
_DRAWS = 500
LEAST_IMAGES = 4
BEYOND = "beyond the curve"


@dataclass(frozen=True)
class PowerLaw:
    """F1 = ceiling − drop · n^(−exponent), with drop ≥ 0."""

    ceiling: float
    drop: float
    exponent: float

    def at(self, n: Floats | float) -> Floats:
        value: Floats = self.ceiling - self.drop * np.asarray(n, np.float64) ** -self.exponent
        return value

    def images_for(self, f1: float) -> float:
        """The number of images at which the law reaches `f1`; infinite if it never does."""
        if self.drop <= 0 or f1 >= self.ceiling:
            return float("inf")
        return float((self.drop / (self.ceiling - f1)) ** (1 / self.exponent))


def fit_power_law(images: Floats, f1: Floats) -> PowerLaw:
    """Least squares over a grid of exponents; ceiling at most 1.

    Args:
        images: [P] numbers of images, ascending.
        f1: [P].
    """
    # 1 − F1 = (1 − ceiling) + drop · n^(−exponent), both terms not negative: least squares for each exponent
    missing, falling = 1 - f1, images ** -_EXPONENTS[:, None]
    centred = falling - falling.mean(axis=1, keepdims=True)
    slope = centred @ missing / np.square(centred).sum(axis=1)
    gap = missing.mean() - slope * falling.mean(axis=1)
    alone = falling @ missing / np.square(falling).sum(axis=1)  # if the gap would be negative
    slope, gap = np.where(gap < 0, alone, np.maximum(slope, 0)), np.where(slope < 0, missing.mean(), np.maximum(gap, 0))
    errors = np.square(gap[:, None] + slope[:, None] * falling - missing).sum(axis=1)
    best = int(np.argmin(errors))
    if errors[best] >= np.square(missing - missing.mean()).sum() - 1e-15:
        return PowerLaw(float(np.mean(f1)), 0.0, 1.0)
    return PowerLaw(float(1 - gap[best]), float(slope[best]), float(_EXPONENTS[best]))


def curve_contrast(arms: Sequence[str]) -> PlannedContrast:
    """The contrast of the curve: the one with classical augmentation if both of its arms are trained."""
    return planned(arms)[-1]


def learning_curve(
    tables: Mapping[float, F1Table],
    arm: F1Table,
    of: PlannedContrast,
    targets: Mapping[str, int],
    images: Mapping[str, int],
    test_groups: npt.NDArray[np.int64],
    *,
    seed: int = 0,
) -> LearningCurve:
    """The curve of each target class, and the gain in real images.

    Args:
        tables: share of the real target images → F1 of the control; 1.0 must be among them.
        arm: F1 of the synthetic arm of the same contrast.
        of: the contrast, from `curve_contrast`.
        targets: target class → its index.
        images: target class → its real training images.
        test_groups: [K] groups of test images that hold each class.
        seed: of the draws.
    """
    shares = sorted(tables)
    per_target = {}
    for name, k in targets.items():
        sizes = np.array([max(1, round(share * images[name])) for share in shares], np.float64)
        scores = np.stack([tables[share].seeds[:, k] for share in shares])
        gain = contrast(arm, tables[1.0], [k], test_groups)
        points = [
            CurvePoint(images=int(size), mean=e.mean, low=e.low, high=e.high, per_seed=e.per_seed)
            for size, e in zip(sizes, (mean_f1(tables[share], [k], test_groups) for share in shares), strict=True)
        ]
        gains = (arm.seeds - tables[1.0].seeds)[..., k].reshape(-1, scores.shape[1]).mean(axis=0)
        law = fit_power_law(sizes, scores.mean(axis=1))
        resamples = [tables[share].resamples[:, k] for share in shares]
        errors = np.stack([*resamples, arm.resamples[:, k] - tables[1.0].resamples[:, k]], axis=1)
        errors = (errors - errors.mean(axis=0)) * np.sqrt(test_groups[k] / max(test_groups[k] - 1, 1))
        text, worth = worth_in_images(sizes, scores, gains, errors, significant=gain.low > 0, seed=seed)
        more, low, high = worth or (None, None, None)
        per_target[name] = TargetCurve(
            points=points, fitted=[float(v) for v in law.at(sizes)], ceiling=law.ceiling, drop=law.drop,
            exponent=law.exponent, gain=gain.mean, more_images=more, more_images_low=low, more_images_high=high,
            worth=text,
        )  # fmt: skip
    return LearningCurve(contrast=of.name, arm=of.arm.name, control=of.control.name, per_target=per_target)


def worth_in_images(
    images: Floats, scores: Floats, gains: Floats, errors: Floats, *, significant: bool, seed: int
) -> tuple[str, tuple[float, float | None, float | None] | None]:
    """How many more real images would have given the mean of `gains`, in words and as (number, low, high).

    The 90% interval is over other seeds and other test images: means over seeds scatter as the t distribution, all
    together with the resamples of the test groups. `high` is None if it is beyond the curve.

    Args:
        images: [P] numbers of real images, ascending; the last is the number of all.
        scores: [P, S] F1 of the control.
        gains: [S] of the synthetic arm over the control, with all real images.
        errors: [B, P + 1] what resamples of the test images change in the means of `scores` and `gains`.
        significant: whether the interval of the gain lies above zero.
        seed: of the draws.
    """
    if not significant:
        return "none: the gain does not differ measurably from zero", None
    there = images[-1]
    if there < LEAST_IMAGES or len(np.unique(images)) < 3:
        return f"unknown: too few real images for a curve ({there:g})", None
    rising = scores[-1] - scores[0]
    if rising.mean() <= rising.std(ddof=1) / np.sqrt(len(rising)) * 2:
        return "unknown: fewer real images were not measurably worse", None
    more = _more(images, scores.mean(axis=1), float(gains.mean()))
    rng = stream(seed, LEARNING_CURVE)
    count = scores.shape[1]
    values = np.concatenate([scores, gains[None]])  # [P + 1, S], paired over seeds
    centre = values.mean(axis=1)
    normals = rng.normal(size=(_DRAWS, count)) / np.sqrt(rng.chisquare(count - 1, (_DRAWS, 1)) / (count - 1))
    moved = centre + normals @ (values - centre[:, None]).T / np.sqrt(count * (count - 1))
    moved += errors[rng.integers(0, len(errors), _DRAWS)]
    drawn = np.array([_more(images, np.minimum(row[:-1], 1.0), float(row[-1])) for row in moved])
    low, high = np.sort(drawn)[[int(0.05 * _DRAWS), int(0.95 * _DRAWS) - 1]]
    limit = (FARTHEST - 1) * there
    if more > limit:
        least = f", at least {low:.0f}" if low <= limit else f": more than {limit:.0f} real images"
        return f"{BEYOND}{least}", None
    upper = float(high) if high <= limit else None
    said = f"{high:.0f}" if upper is not None else BEYOND
    return f"about {more:.0f} more real images ({low:.0f} to {said})", (float(more), float(low), upper)


def _more(images: Floats, f1: Floats, gain: float) -> float:
    law = fit_power_law(images, f1)
    if gain <= 0:
        return 0.0
    return max(law.images_for(float(law.at(images[-1])) + gain) - float(images[-1]), 0.0)


def in_words(curve: LearningCurve) -> str:
    """All target classes in one line."""
    if len(curve.per_target) == 1:
        return next(iter(curve.per_target.values())).worth
    return "; ".join(f"{name}: {found.worth}" for name, found in curve.per_target.items())
