"""Has a class collapsed? A verdict from the scores of a class, each compared with its real-vs-real floor.

Every score is divided by its floor at the same number of images, because scores depend on that number, on the feature
net and on the class. The thresholds below are on these quotients. With more images real images vary less, so that a
quotient nearer to 1 is already suspicious (`TOLERANCE`).

docs/science/collapse.md shows false alarms on real images and which planted collapses are found, by class size. `make
study-collapse` repeats it. Blur and averages of images are found by KID and precision, copies by `memorisation`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from synthaug.documents import Collapse, Range
from synthaug.metrics.diversity import Clusters

MIN_DIVERSITY = 6
"""With fewer images on each side the verdict is "insufficient data"."""

COLLAPSED = {"pairwise": 0.5, "vendi": 0.15, "coverage": 0.1, "agreement": 0.25}
THINNING = {"pairwise": 0.75, "vendi": 0.6, "coverage": 0.5, "agreement": 0.6}
"""One score ÷ floor below these is enough for the verdict."""
TOLERANCE = {"pairwise": 0.6, "vendi": 0.9, "coverage": 0.6}
"""Times 1/√n: how far below 1 the quotient of n real images may be. Of 90 sets of 10 to 32 images none was lower."""
CLOSEST = 0.95
"""A quotient above this is never "thinning"."""
DUPLICATES_COLLAPSED, VENDI_OF_MODES = 0.6, 0.5
"""Only a few modes: this many more near-duplicates than among real images, and a Vendi score ÷ floor this low."""
DUPLICATES_THINNING = 0.15
MISSED_THINNING = 0.25
"""Share of the real class's clusters without a sample. Samples that are merely shifted miss clusters, too, so this
alone never means "collapsed"."""

_WORDS = {
    "vendi": "{share:.0%} as many different images as among real ones (Vendi score)",
    "pairwise": "samples are {share:.0%} as far apart as real images",
    "coverage": "{value:.0%} of the real images have a sample near them (real against real {floor:.0%})",
    "agreement": "{value:.0%} of the samples look like {label!r} (of real images {floor:.0%}){instead}",
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """Scores of one class beside their floors; None where they could not be measured."""

    label: str
    n: int
    pairwise: float | None = None
    pairwise_floor: Range | None = None
    vendi: float | None = None
    vendi_floor: Range | None = None
    coverage: float | None = None
    coverage_floor: Range | None = None
    duplicates: float | None = None
    duplicate_floor: float = 0.0
    agreement: float | None = None
    agreement_floor: Range | None = None
    clusters: Clusters | None = None
    clusters_floor: Range | None = None
    taken_for: tuple[str, float] | None = None


def thinning(name: str, n: int) -> float:
    """Score ÷ floor below which a class of `n` images on each side is "thinning".

    >>> thinning("coverage", 9), thinning("coverage", 100)
    (0.8, 0.94)
    """
    if name not in TOLERANCE:
        return THINNING[name]
    return max(THINNING[name], min(CLOSEST, 1 - TOLERANCE[name] / math.sqrt(n)))


def judge(evidence: Evidence) -> tuple[Collapse, list[str]]:
    """The verdict on one class, and its reasons, the most serious first.

    A quotient counts only if the score is below the lower end of its floor, and missed clusters only above the upper
    end of theirs: a floor from few real images is uncertain.
    """
    if evidence.n < MIN_DIVERSITY:
        return "insufficient data", [
            f"{evidence.n} images on each side are too few to judge variety (at least {MIN_DIVERSITY})"
        ]
    grave: list[str] = []
    mild: list[str] = []

    for name, words in _WORDS.items():
        value, floor = getattr(evidence, name), getattr(evidence, f"{name}_floor")
        if value is None or floor is None or floor.mean <= 0 or value >= floor.low:
            continue
        quotient = value / floor.mean
        sentence = words.format(
            value=value, floor=floor.mean, share=quotient, label=evidence.label, instead=_instead(evidence)
        )
        if quotient < COLLAPSED[name]:
            grave.append(sentence)
        elif quotient < thinning(name, evidence.n):
            mild.append(sentence)
    if evidence.duplicates is not None and evidence.duplicates - evidence.duplicate_floor > DUPLICATES_THINNING:
        sentence = f"{evidence.duplicates:.0%} of the samples have a near-duplicate among {evidence.n} of them"
        (grave if _few_modes(evidence) else mild).append(sentence)
    if _missed(evidence):
        beside = f" (new real images miss {evidence.clusters_floor.mean:.1f})" if evidence.clusters_floor else ""
        mild.append(f"{evidence.clusters} kinds of real image (clusters) have no sample{beside}")
    if grave:
        return "collapsed", grave + mild
    return ("thinning", mild) if mild else ("healthy", [])


def _missed(evidence: Evidence) -> bool:
    """Too many clusters have no sample, also compared with new real images."""
    clusters, floor = evidence.clusters, evidence.clusters_floor
    if clusters is None or clusters.missed < max(2, MISSED_THINNING * clusters.judged):
        return False
    return floor is None or clusters.missed > floor.high


def _few_modes(evidence: Evidence) -> bool:
    many = evidence.duplicates is not None and evidence.duplicates - evidence.duplicate_floor > DUPLICATES_COLLAPSED
    if evidence.vendi is None or evidence.vendi_floor is None:
        return many
    return many and evidence.vendi < VENDI_OF_MODES * evidence.vendi_floor.mean


def _instead(evidence: Evidence) -> str:
    if evidence.taken_for is None or evidence.taken_for[1] < 0.3:
        return ""
    return f"; {evidence.taken_for[1]:.0%} look like {evidence.taken_for[0]!r}"
