"""Losses for imbalanced classes: the logit-adjusted and the focal loss; weights by the effective number of images.

In all formulas f is the vector of logits, p = softmax(f), y the label, and w the weights of the classes. Every loss is
the weighted mean over a batch, Σ w_y · loss ÷ Σ w_y, so that weights do not change the length of a step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.nn import functional

Loss = Literal["cross-entropy", "logit-adjusted", "focal"]
LossFunction = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]
"""(logits [N, K], labels [N], priors [K], weights [K] or None) → a number."""
FOCUS = 2.0
"""γ of the focal loss, the paper's best value."""
BETA = 0.99
"""β of the effective number. With the paper's largest, 0.9999, a class of 10 to 1,000 images has as many effective ones
as images, so that the weights would be those of the inverse frequency again."""


def cross_entropy(logits: Tensor, labels: Tensor, priors: Tensor, weights: Tensor | None = None) -> Tensor:
    """−log p_y."""
    return functional.cross_entropy(logits, labels, weight=weights)


def logit_adjusted(logits: Tensor, labels: Tensor, priors: Tensor, weights: Tensor | None = None) -> Tensor:
    """Cross-entropy of f + log π, with the classes' shares π of the draws [arXiv:2007.07314, eq. 10, τ = 1].

    A rare class has to win by a larger margin in training. Predictions use f alone, so they are for balanced classes.
    """
    return functional.cross_entropy(logits + priors.log(), labels, weight=weights)


def focal(logits: Tensor, labels: Tensor, priors: Tensor, weights: Tensor | None = None) -> Tensor:
    """−(1 − p_y)^γ · log p_y: images that are recognised already count little [arXiv:1708.02002, eq. 4 and 5].

    The paper has two classes with a sigmoid each; with softmax over two classes this is the same.
    """
    log_p = functional.log_softmax(logits, 1).gather(1, labels[:, None])[:, 0]
    each = -((1 - log_p.exp()) ** FOCUS) * log_p
    if weights is None:
        return each.mean()
    return (weights[labels] * each).sum() / weights[labels].sum()


LOSSES: dict[Loss, LossFunction] = {
    "cross-entropy": cross_entropy,
    "logit-adjusted": logit_adjusted,
    "focal": focal,
}


def priors_of(
    labels: npt.NDArray[np.int64], draw_weights: npt.NDArray[np.floating[Any]], num_classes: int
) -> npt.NDArray[np.float64]:
    """The share of the draws of each class, [K]. A class without images gets the smallest share of the others.

    >>> priors_of(np.array([0, 0, 0, 2]), np.ones(4), 3).tolist()
    [0.75, 0.25, 0.25]
    """
    mass = np.bincount(labels, draw_weights, num_classes) / np.sum(draw_weights)
    priors: npt.NDArray[np.float64] = np.where(mass > 0, mass, mass[mass > 0].min())
    return priors


def inverse_frequency(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Class weights 1 / n, scaled so that their mean over the images is 1.

    >>> inverse_frequency(np.array([30, 10])).round(3).tolist()
    [0.667, 2.0]
    """
    return _scaled(1 / counts.clip(1), counts)


def effective_number(counts: npt.NDArray[np.int64], beta: float = BETA) -> npt.NDArray[np.float64]:
    """Class weights (1 − β) / (1 − βⁿ), scaled so that their mean over the images is 1 [arXiv:1901.05555, eq. 2 and 4].

    (1 − βⁿ) / (1 − β) is the effective number of n images: each further one overlaps more with those before it.
    """
    return _scaled((1 - beta) / (1 - beta ** counts.clip(1)), counts)


def _scaled(weights: npt.NDArray[np.float64], counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    scaled: npt.NDArray[np.float64] = weights * counts.sum() / (weights * counts).sum()
    return scaled
