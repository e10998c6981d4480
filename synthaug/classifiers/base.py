"""The interface of a classifier, and the checks of its training input."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

from synthaug.errors import SynthaugError, plural

Augment = Literal["none", "classical"]
Ability = Literal["logit-adjusted", "focal", "mixup", "cutmix", "cmo", "smote"]
"""What a classifier may be able to do beside weighing and augmenting images."""
Pixels = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]
Weights = npt.NDArray[np.floating[Any]]
Probabilities = npt.NDArray[np.float32]


class Classifier(Protocol):
    """Learns from weighted uint8 images and gives class probabilities.

    Attributes:
        uses_steps: whether it trains for `steps`; a classifier without steps weighs images instead of drawing them.
        native_side: side in pixels of the images that it is given by `evaluate --size native`, if the real images are
            at least as large: the largest that is useful and affordable.
        supports: what it can do beside weighing and augmenting images. Each is an argument of `fit` that is passed only
            if an arm asks for it: `loss` (`synthaug.classifiers.losses`), `mix` (`synthaug.augment.mixing`), or
            `smote=True`, for a classifier that learns on the features of a frozen net: bring every class to the size of
            the largest by points between its images.
    """

    uses_steps: ClassVar[bool]
    native_side: ClassVar[int]
    supports: ClassVar[frozenset[Ability]]

    def __init__(self, *, device: str = "auto") -> None: ...

    def fit(
        self, pixels: Pixels, labels: Labels, draw_weights: Weights, *, num_classes: int,
        loss_weights: Weights | None = None, steps: int = 600, seed: int = 0, augment: Augment = "none",
        groups: Labels | None = None,
    ) -> Self:  # fmt: skip
        """Train from scratch; equal arguments give equal classifiers on one machine.

        Images are drawn by inverting the cumulative sum of `draw_weights`, at points that depend on `seed` and `steps`
        only. Two trainings draw the same images if these stand at the same places of the cumulative sum. This pairs the
        arms of an evaluation.

        Args:
            pixels: [N, C, H, W], C 1 or 3.
            labels: [N], in 0 … num_classes - 1.
            draw_weights: [N], how often an image is drawn relative to the others (`logistic`: how much it weighs).
            num_classes: K, the columns of `predict_proba`; a class may have no images.
            loss_weights: [K], factor of each class's loss; None: all 1.
            steps: optimiser steps (of 64 images).
            seed: of initial weights, draws and augmentation.
            augment: augmentation of the drawn images.
            groups: [N], group of each image for cross-validation inside the training; -1: never held out.

        Raises:
            SynthaugError: the arrays do not fit together, or fewer than two classes have images.
        """
        ...

    def predict_proba(self, pixels: Pixels) -> Probabilities:
        """Class probabilities [N, K] of images [N, C, H, W]; rows sum to 1."""
        ...


def check_training_input(pixels: Pixels, labels: Labels, draw_weights: Weights, num_classes: int) -> None:
    """Refuse arrays that no classifier can learn from.

    Raises:
        SynthaugError: shapes or types disagree, weights are negative, or fewer than two classes would be drawn.
    """
    hint = "pass uint8 pixels [N, C, H, W] with one label and one weight each"
    if pixels.ndim != 4 or pixels.dtype != np.uint8:
        raise SynthaugError(f"classifier got pixels of shape {pixels.shape} and type {pixels.dtype}", hint)
    if labels.shape != (len(pixels),) or draw_weights.shape != (len(pixels),):
        raise SynthaugError(
            f"classifier got {len(pixels)} images, labels {labels.shape} and weights {draw_weights.shape}", hint
        )
    if not np.isfinite(draw_weights).all() or (draw_weights < 0).any():
        raise SynthaugError("classifier got a negative or infinite weight", hint)
    drawn = np.unique(labels[draw_weights > 0])
    if len(drawn) and (drawn[0] < 0 or drawn[-1] >= num_classes):
        raise SynthaugError(f"classifier got the label {drawn[-1]} for {num_classes} classes", hint)
    if len(drawn) < 2:
        raise SynthaugError(
            f"classifier got images of {plural(len(drawn), 'class', 'classes')}",
            "at least two classes need training images",
        )
