"""How surely and variedly the net names the images; higher is better. Compare with real images, not with papers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from synthaug.documents import Range, Score
from synthaug.metrics.context import Context
from synthaug.metrics.matched_comparison import MAX_FIDELITY, MIN_KID, SPREAD_DRAWS, plan
from synthaug.metrics.spread import about, halves
from synthaug.metrics.table import metric

Floats = NDArray[np.float64]


def inception_score(logits: NDArray[np.floating], splits: int = 1) -> float:
    """exp of the mean over images of KL(p(y|x) ‖ p(y)), where p(y) is the mean of the images' p(y|x).

    Salimans et al., "Improved techniques for training GANs" (arXiv:1606.03498), section 4. Between 1 (all images are
    named alike) and the number of classes. It grows with the number of images, and papers use 50,000 images in 10
    splits with Inception-v3.

    Args:
        logits: [N, K], N ≥ splits.
        splits: the score is the mean over so many consecutive parts.
    """
    log_p = log_softmax(logits.astype(np.float64), axis=1)
    cuts = [len(log_p) * i // splits for i in range(1, splits)]
    scores = []
    for part in np.split(log_p, cuts):
        p = np.exp(part)
        scores.append(np.exp((p * (part - np.log(p.mean(0)))).sum(1).mean()))
    return float(np.mean(scores))


@metric("Inception score", decimals=2)
def score(context: Context) -> Score | None:
    """How surely and variedly the net names the images; higher is better. Compare with real images, not with papers."""
    chosen = plan(context.strata, at_least=MIN_KID, at_most=MAX_FIDELITY)
    if context.head is None or chosen is None:
        return None
    rng = context.rng_of("inception_score")
    drawn = chosen.draw(rng)
    real, synthetic = (context.head(features) for features in (drawn.real, drawn.synthetic))
    return Score.of(*(_range(logits, drawn.groups, rng) for logits in (synthetic, real)))


def _range(logits: Floats, groups: NDArray[np.int64], rng: np.random.Generator) -> Range:
    values = np.array([inception_score(logits[halves(groups, rng)]) for _ in range(SPREAD_DRAWS)])
    return about(inception_score(logits), values, bounds=(1, logits.shape[1]))
