"""Has a class collapsed? A verdict from the scores of a class, each compared with its real-vs-real floor.

Scores depend on the number of images, on the feature net and on the class. So each score is divided by its floor at the
same number of images, and the thresholds below are on these quotients. The more images there are, the less the quotient
of real images varies, and the nearer to 1 the threshold is (`TOLERANCE`).

docs/science/collapse.md shows false alarms on real images and which planted collapses are found, by class size; `make
study-collapse` repeats it. Blur and averages of images are found by KID and precision, copies by `memorisation`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from synthaug.documents import Collapse, Score
from synthaug.errors import plural
from synthaug.metrics.diversity import Clusters

MIN_DIVERSITY = 6
"""With fewer images on each side the verdict is "insufficient data"."""

COLLAPSED = {"pairwise_ratio": 0.5, "vendi_ratio": 0.15, "coverage": 0.1, "agreement": 0.25}
THINNING = {"pairwise_ratio": 0.75, "vendi_ratio": 0.6, "coverage": 0.5, "agreement": 0.6}
"""One score ÷ floor below these is enough for the verdict."""
TOLERANCE = {"pairwise_ratio": 0.6, "vendi_ratio": 0.9, "coverage": 0.6}
"""Times 1/√n: how far below 1 the quotient of n real images may be. Of 90 sets of 10 to 32 images none was lower."""
CLOSEST = 0.95
"""A quotient above this is never "thinning"."""
DUPLICATES_COLLAPSED, VENDI_OF_MODES = 0.6, 0.5
"""Only a few modes: so many more near-duplicates than among real images, and a Vendi score ÷ floor so low."""
DUPLICATES_THINNING = 0.15
MISSED_THINNING = 0.25
"""Share of the real class's clusters without a sample. Samples that are only shifted miss clusters too, so this alone
never means "collapsed"."""

_WORDS = {
    "vendi_ratio": "{share:.0%} as many different images as among real ones (Vendi score)",
    "pairwise_ratio": "samples are {share:.0%} as far apart as real images",
    "coverage": "{value:.0%} of the real images have a sample near them (real against real {floor:.0%})",
    "agreement": "{value:.0%} of the samples look like {label!r} (of real images {floor:.0%}){instead}",
}


def thinning(name: str, n: int) -> float:
    """Score ÷ floor below which a class of `n` images on each side is "thinning".

    >>> thinning("coverage", 9), thinning("coverage", 100)
    (0.8, 0.94)
    """
    if name not in TOLERANCE:
        return THINNING[name]
    return max(THINNING[name], min(CLOSEST, 1 - TOLERANCE[name] / math.sqrt(n)))


def judge(
    label: str,
    n: int,
    scores: Mapping[str, Score],
    *,
    clusters: Clusters | None = None,
    taken_for: tuple[str, float] | None = None,
) -> tuple[Collapse, list[str]]:
    """The verdict on one class, and its reasons, the most serious first.

    A quotient counts only if the score is below the lower end of its floor, and missed clusters only above the upper
    end of theirs: a floor from few real images is uncertain.

    Args:
        label: the class.
        n: images on each side of the diversity scores.
        scores: metric → score; those that are missing or were not measured are left out.
        clusters: the clusters without a sample, as counted for the score `missed_clusters`.
        taken_for: another class that the samples look like, and the share of samples that do.
    """
    if n < MIN_DIVERSITY:
        images = plural(n, "image")
        return "insufficient data", [f"{images} on each side: too few to judge variety (at least {MIN_DIVERSITY})"]
    grave: list[str] = []
    mild: list[str] = []
    instead = f"; {taken_for[1]:.0%} look like {taken_for[0]!r}" if taken_for and taken_for[1] >= 0.3 else ""
    for name, words in _WORDS.items():
        score = scores.get(name, Score())
        if score.value is None or score.floor is None or score.floor.mean <= 0 or score.value >= score.floor.low:
            continue
        floor = score.floor.mean
        quotient = score.value / floor
        sentence = words.format(value=score.value, floor=floor, share=quotient, label=label, instead=instead)
        if quotient < COLLAPSED[name]:
            grave.append(sentence)
        elif quotient < thinning(name, n):
            mild.append(sentence)
    duplicates, vendi = scores.get("duplicate_rate", Score()), scores.get("vendi_ratio", Score())
    if duplicates.value is not None:
        more = duplicates.value - (duplicates.floor.mean if duplicates.floor else 0.0)
        varied = vendi.value is not None and vendi.floor and vendi.value >= VENDI_OF_MODES * vendi.floor.mean
        if more > DUPLICATES_THINNING:
            sentence = f"{duplicates.value:.0%} of {n} samples have a near-duplicate among the others"
            (grave if more > DUPLICATES_COLLAPSED and not varied else mild).append(sentence)
    if clusters is not None and clusters.missed >= max(2, MISSED_THINNING * clusters.judged):
        new = scores.get("missed_clusters", Score()).floor
        if new is None or clusters.missed > new.high:
            beside = f" (new real images miss {new.mean:.1f})" if new else ""
            mild.append(f"{clusters} groups of similar real images have no sample like them{beside}")
    if grave:
        return "collapsed", grave + mild
    return ("thinning", mild) if mild else ("healthy", [])
