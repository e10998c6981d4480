"""How do synthetic images differ? Brightness, contrast, colour, size of the object, and shares of clusters.

A generator can score well although every image is a little darker, every object a little larger, or half of all images
are in one cluster. Each difference is given in standard deviations of the real images (Cohen's d). Its floor is the
same difference for other real images: training images if there are enough, else one half of the reference against the
other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import fisher_exact, norm, ttest_ind_from_stats
from scipy.stats import t as student

from synthaug.data.colour import LUMINANCE
from synthaug.documents import BiasRow, Range
from synthaug.metrics.diversity import Clustering
from synthaug.metrics.holm import holm
from synthaug.metrics.matched_comparison import Stratum

Array = NDArray[Any]
Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]
MIN_IMAGES = 8
ALPHA = 0.05
"""Probability that any row of a class is flagged although synthetic images are like real ones (Holm 1979)."""
OBJECT_CONTRAST = 32 / 255
_GREY_LEVEL = 1 / 255
_CHUNK = 512


def looks(pixels: Pixels) -> dict[str, Floats]:
    """Simple measures of each image, on the scale 0 to 1; name → float64 [n].

    brightness: mean of the luma (BT.601). contrast: its standard deviation. object size: share of the pixels that
    differ from the border's median colour by more than 32 grey levels in some channel. On a plain background this is
    the size of the object; otherwise it measures how busy the image is. For colour images also: saturation (mean of
    (max − min) ÷ max over the channels), and the means of red, green and blue.

    Args:
        pixels: uint8 [n, C, H, W], C 1 or 3.
    """
    parts = [_looks(pixels[start : start + _CHUNK]) for start in range(0, len(pixels), _CHUNK)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}


def _looks(pixels: Pixels) -> dict[str, Floats]:
    x = pixels.astype(np.float32) / 255
    colour = x.shape[1] == 3
    luma = np.tensordot(np.array(LUMINANCE, np.float32), x, (0, 1)) if colour else x[:, 0]
    ring = np.concatenate([x[..., 0, :], x[..., -1, :], x[..., 1:-1, 0], x[..., 1:-1, -1]], axis=-1)
    ground = np.median(ring, axis=-1)[..., None, None]
    out = {
        "brightness": luma.mean((1, 2)),
        "contrast": luma.std((1, 2)),
        "object size": (np.abs(x - ground).max(1) > OBJECT_CONTRAST).mean((1, 2)),
    }
    if colour:
        high, low = x.max(1), x.min(1)
        out["saturation"] = ((high - low) / np.maximum(high, _GREY_LEVEL)).mean((1, 2))
        out |= {name: x[:, channel].mean((1, 2)) for channel, name in enumerate(("red", "green", "blue"))}
    return {name: values.astype(np.float64) for name, values in out.items()}


@dataclass(frozen=True, slots=True)
class Sides:
    """One quantity of the reference, of the training images if they are known, and of the synthetic images."""

    reference: Array
    train: Array | None
    synthetic: Array

    def map(self, function: Callable[[Array], Array]) -> Sides:
        train = None if self.train is None else function(self.train)
        return Sides(function(self.reference), train, function(self.synthetic))


def bias(
    measures: dict[str, Sides],
    clusters: Sides | None = None,
    clustering: Clustering | None = None,
    *,
    examples: Sequence[str | None] = (),
    rng: np.random.Generator,
) -> list[BiasRow]:
    """The table of one class, the largest change first.

    A row is flagged `beyond` if the synthetic images differ by more than the whole range of the floor, and differ
    significantly from the floor's own images (from the reference if the floor is halves of it). Tests: Welch's for
    means, Fisher's for shares, at 5% for all rows of the class together by Holm's correction.

    Args:
        measures: name → values [n] of each set; see `looks`.
        clusters: features [n, d] of each set.
        clustering: of the real class, by those features.
        examples: for each cluster a path of a real image in its middle.
        rng: halves the reference.

    Returns:
        No rows if the reference or the synthetic images are fewer than eight.
    """
    found = [
        _compared(name, sides, _mean_difference, _welch, rng)
        for name, sides in measures.items()
        if min(len(sides.reference), len(sides.synthetic)) >= MIN_IMAGES
    ]
    if clusters is not None and clustering is not None:
        kinds = clusters.map(clustering.predict)
        if min(len(kinds.reference), len(kinds.synthetic)) >= MIN_IMAGES:
            for k in range(clustering.count):
                members = kinds.map(lambda found, k=k: found == k)  # type: ignore[misc]
                row, p = _compared(f"cluster {k + 1} of {clustering.count}", members, _share_difference, _fisher, rng)
                row.example = examples[k] if k < len(examples) else None
                found.append((row, p))
    rows = [row for row, _ in found]
    for row, p in zip(rows, holm([p for _, p in found]), strict=True):
        row.beyond = row.beyond and p <= ALPHA
    return sorted(rows, key=lambda row: -abs(row.difference.mean))


def _compared(
    name: str,
    sides: Sides,
    difference: Callable[[Array, Array, Array], Range],
    test: Callable[[Array, Array], float],
    rng: np.random.Generator,
) -> tuple[BiasRow, float]:
    reference, train, synthetic = sides.reference, sides.train, sides.synthetic
    real = reference if train is None else np.concatenate([reference, train])
    found = difference(synthetic, reference, real)
    if Stratum(reference, train, synthetic).by_train and train is not None:
        floor, p = difference(train, reference, real), test(synthetic, train)
    else:
        order = rng.permutation(len(reference))
        half = len(order) // 2
        floor, p = difference(reference[order[:half]], reference[order[half:]], real), test(synthetic, reference)
    row = BiasRow(
        name=name,
        real=float(reference.mean()),
        synthetic=float(synthetic.mean()),
        difference=found,
        floor=floor,
        beyond=abs(found.mean) > max(abs(floor.low), abs(floor.high)),
    )
    return row, p


def _mean_difference(first: Array, second: Array, real: Array) -> Range:
    """Difference of the means in standard deviations of `real`, at least a grey level, with Welch's 95% interval."""
    unit = max(float(real.std(ddof=1)), _GREY_LEVEL)
    parts = [max(float(x.var(ddof=1)), 1e-12) / len(x) for x in (first, second)]
    freedom = sum(parts) ** 2 / sum(p**2 / (len(x) - 1) for p, x in zip(parts, (first, second), strict=True))
    mean = float(first.mean() - second.mean()) / unit
    reach = float(student.ppf(0.975, freedom)) * np.sqrt(sum(parts)) / unit
    return Range(mean=mean, low=mean - reach, high=mean + reach)


def _welch(first: Array, second: Array) -> float:
    # A standard deviation of zero (all images alike) counts as a thousandth of a grey level.
    deviations = [max(float(x.std(ddof=1)), _GREY_LEVEL / 1000) for x in (first, second)]
    found = ttest_ind_from_stats(
        first.mean(), deviations[0], len(first), second.mean(), deviations[1], len(second), equal_var=False
    )
    return float(found.pvalue)


def _share_difference(first: Array, second: Array, real: Array) -> Range:
    """Difference of two shares in standard deviations, √p(1−p), with Agresti & Caffo's 95% interval (2000)."""
    share = float(np.clip(real.mean(), 1 / len(real), 1 - 1 / len(real)))
    unit = np.sqrt(share * (1 - share))
    adjusted = [(float(x.sum()) + 1) / (len(x) + 2) for x in (first, second)]
    error = np.sqrt(sum(p * (1 - p) / (len(x) + 2) for p, x in zip(adjusted, (first, second), strict=True)))
    mean = float(first.mean() - second.mean()) / unit
    centre, reach = (adjusted[0] - adjusted[1]) / unit, float(norm.ppf(0.975)) * error / unit
    return Range(mean=mean, low=min(mean, centre - reach), high=max(mean, centre + reach))


def _fisher(first: Array, second: Array) -> float:
    table = [[int(x.sum()), int(len(x) - x.sum())] for x in (first, second)]
    return float(fisher_exact(table).pvalue)
