"""The measures of image quality as the report names them: what each means, which way is better, how it is read."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from synthaug.documents import ClassQuality, QualityScores, Range
from synthaug.evaluation.report.svg import number


@dataclass(frozen=True, slots=True)
class Reading:
    """A number with its interval, beside what real images score against real ones; `text` where it is no number."""

    value: float | None = None
    interval: Range | None = None
    floor: Range | None = None
    text: str = ""

    @property
    def measured(self) -> bool:
        return bool(self.text) or (self.value is not None and math.isfinite(self.value))

    def as_range(self) -> Range | None:
        """The value with its interval; without one, a range of no width."""
        if self.value is None or not math.isfinite(self.value):
            return None
        r = self.interval
        return Range(mean=self.value, low=r.low if r else self.value, high=r.high if r else self.value)


@dataclass(frozen=True, slots=True)
class Measure:
    """`chart` is the heading of its figure, empty where it has none; on [0, 1] with `unit_interval`."""

    head: str
    explanation: str
    read: Callable[[QualityScores], Reading]
    decimals: int = 3
    chart: str = ""
    unit_interval: bool = False

    def lines(self, reading: Reading) -> list[str]:
        """A cell of the table: the number, then its interval."""
        if reading.text:
            return [reading.text]
        return _lines(reading.value, reading.interval, self.decimals)

    def floor_lines(self, floor: Range | None) -> list[str]:
        return _lines(floor.mean, floor, self.decimals) if floor else ["–"]


def _lines(value: float | None, interval: Range | None, decimals: int) -> list[str]:
    span = interval is not None and interval.high > interval.low
    return [number(value, decimals)] + (
        [f"{number(interval.low, decimals)} – {number(interval.high, decimals)}"] if interval and span else []
    )


def _of(r: Range | None, floor: Range | None = None) -> Reading:
    return Reading(r.mean, r, floor) if r else Reading()


def _flat(value: float | None, interval: Range | None) -> Range | None:
    """A floor given as a number and perhaps its interval."""
    if value is None:
        return None
    return Range(mean=value, low=interval.low if interval else value, high=interval.high if interval else value)


def _of_class(read: Callable[[ClassQuality], Reading]) -> Callable[[QualityScores], Reading]:
    """What is only measured within a class, not over all of them."""
    return lambda q: read(q) if isinstance(q, ClassQuality) else Reading()


MEASURES = [
    Measure(
        "KID", "distance between synthetic and real images; lower is better, 0 is equal",
        lambda q: _of(q.kid, q.kid_floor), 4, "KID: distance from real images, lower is better",
    ),
    Measure(
        "Precision", "share of synthetic images that lie among the real ones; higher is better",
        lambda q: Reading(q.precision, q.precision_range, q.precision_floor),
    ),
    Measure(
        "Recall", "share of real images that lie among the synthetic ones; higher is better",
        lambda q: Reading(q.recall, q.recall_range, q.recall_floor),
    ),
    Measure(
        "Density", "how thickly real images surround the synthetic ones; real images score about 1",
        lambda q: Reading(q.density, q.density_range, q.density_floor),
    ),
    Measure(
        "Coverage", "share of real images with a synthetic one nearby; higher is better",
        lambda q: Reading(q.coverage, q.coverage_range, q.coverage_floor), 3,
        "Coverage: share of the real images reached, higher is better", True,
    ),
    Measure(
        "Missed clusters", "groups of real images that no synthetic image fell into; real images miss some, too",
        _of_class(lambda q: Reading(text=q.missed_clusters or "", floor=q.missed_clusters_floor)), 1,
    ),
    Measure(
        "Spread ratio", "mean distance of two synthetic images ÷ of two real ones; far below 1 is too alike",
        lambda q: Reading(q.pairwise_ratio, q.pairwise_range, q.pairwise_floor), 3,
        "Spread ÷ that of real images: far below 1 is too alike",
    ),
    Measure(
        "Vendi ratio", "effective number of different images, synthetic ÷ real; far below 1 is too alike",
        lambda q: Reading(q.vendi_ratio, q.vendi_range, q.vendi_floor),
    ),
    Measure(
        "MS-SSIM ratio", "likeness of two synthetic images ÷ of two real ones; far above 1 is too alike",
        lambda q: Reading(q.ms_ssim_ratio, q.ms_ssim_range, q.ms_ssim_floor),
    ),
    Measure(
        "Duplicates", "share of synthetic images that nearly repeat another one; lower is better",
        lambda q: Reading(q.duplicate_rate, q.duplicate_range, _flat(q.duplicate_floor, q.duplicate_floor_range)),
    ),
    Measure(
        "Agreement", "share that a classifier of real images gives to this class; higher is better",
        lambda q: Reading(q.agreement, q.agreement_range, q.agreement_floor),
    ),
    Measure(
        "Detection AUC", "how well a classifier tells synthetic from real; 0.5 is not at all, 1 always",
        lambda q: Reading(q.detect_auc, q.detect_auc_range, q.detect_auc_floor), 3,
        "Told from real images (AUC): 0.5 is not at all, 1 always", True,
    ),
    Measure(
        "GAN-train", "trained on synthetic images: share of the real ones recognised; higher is better",
        lambda q: Reading(q.gan_train, q.gan_train_range, q.gan_train_floor), 3,
        "GAN-train: real images recognised by a classifier of synthetic ones, higher is better", True,
    ),
    Measure(
        "GAN-test", "trained on real images: share of the synthetic ones recognised; higher is better",
        lambda q: Reading(q.gan_test, q.gan_test_range, q.gan_test_floor), 3,
        "GAN-test: synthetic images recognised by a classifier of real ones, higher is better", True,
    ),
    Measure(
        "DCR",
        "distance from a synthetic image to the nearest training image ÷ the same for held-out real images; "
        "below 1 is closer than real",
        _of_class(lambda q: _of(q.dcr)),
    ),
    Measure(
        "Authenticity",
        "share of synthetic images no closer to a training image than that one’s nearest neighbour; higher is better",
        _of_class(lambda q: Reading(q.authenticity, q.authenticity_range, q.authenticity_floor)),
    ),
    Measure(
        "C_T", "a test for copying; far below 0 is closer to the training images than chance",
        _of_class(lambda q: Reading(q.c_t, None, q.c_t_floor)), 2,
    ),
    Measure(
        "FID", "an older distance, inflated for few images; lower is better",
        lambda q: Reading(q.fid, q.fid_range, q.fid_floor), 1,
    ),
]  # fmt: skip
