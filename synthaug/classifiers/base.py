"""The interface of a classifier, and the checks of its training input."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

from synthaug.errors import SynthaugError

Augment = Literal["none", "classical"]


class Classifier(Protocol):
    """Learns from weighted uint8 images and gives class probabilities.

    Attributes:
        uses_steps: whether `steps` means anything; a classifier without steps weighs images instead of drawing them.
    """

    uses_steps: ClassVar[bool]

    def __init__(self, *, device: str = "auto") -> None: ...

    def fit(
        self,
        pixels: npt.NDArray[np.uint8],
        labels: npt.NDArray[np.int64],
        draw_weights: npt.NDArray[np.floating[Any]],
        *,
        num_classes: int,
        loss_weights: npt.NDArray[np.floating[Any]] | None = None,
        steps: int = 600,
        seed: int = 0,
        augment: Augment = "none",
        groups: npt.NDArray[np.int64] | None = None,
    ) -> Self:
        """Train from scratch; equal arguments give equal classifiers on one machine.

        Images are drawn by the inverse of the cumulative `draw_weights`, in the order of `pixels`, with uniforms that
        depend on `seed` and `steps` only. Two trainings whose arrays put the same images at the same place of that
        cumulative sum therefore draw the same images: this is what pairs the arms of an evaluation.

        Args:
            pixels: [N, C, H, W], C 1 or 3.
            labels: [N], in 0 … num_classes - 1.
            draw_weights: [N], how often an image is drawn relative to the others (`logistic`: how much it weighs).
            num_classes: K, the columns of `predict_proba`; a class without images simply gets none.
            loss_weights: [K], factor of each class's loss; None: all 1.
            steps: optimiser steps (of 64 images).
            seed: of initial weights, draws and augmentation.
            augment: what happens to drawn images.
            groups: [N], group of each image for cross-validation inside the training; -1: never held out.

        Raises:
            SynthaugError: the arrays do not fit together, or fewer than two classes have images.
        """
        ...

    def predict_proba(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Class probabilities [N, K] of images [N, C, H, W]; rows sum to 1."""
        ...


def check_training_input(
    pixels: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    draw_weights: npt.NDArray[np.floating[Any]],
    num_classes: int,
) -> None:
    """Refuse arrays that no classifier can learn from.

    Raises:
        SynthaugError: shapes or types disagree, weights are negative, or fewer than two classes would be drawn.
    """
    hint = "pass uint8 pixels [N, C, H, W] with one label and one weight each"
    if pixels.ndim != 4 or pixels.dtype != np.uint8:
        raise SynthaugError(f"classifier got pixels of shape {pixels.shape} and type {pixels.dtype}", hint)
    if labels.shape != (len(pixels),) or draw_weights.shape != (len(pixels),):
        raise SynthaugError(
            f"classifier got {len(pixels)} images, labels {labels.shape} and weights {draw_weights.shape}",
            hint,
        )
    if not np.isfinite(draw_weights).all() or (draw_weights < 0).any():
        raise SynthaugError("classifier got a negative or infinite weight", hint)
    drawn = np.unique(labels[draw_weights > 0])
    if len(drawn) and (drawn[0] < 0 or drawn[-1] >= num_classes):
        raise SynthaugError(f"classifier got the label {drawn[-1]} for {num_classes} classes", hint)
    if len(drawn) < 2:
        raise SynthaugError(
            f"classifier got images of {len(drawn)} class(es)", "at least two classes need training images"
        )
