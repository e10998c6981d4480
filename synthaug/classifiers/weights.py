"""Weights in place of draws, for classifiers without steps: the images to learn from, and augmented copies of them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt
import torch

from synthaug.augment.classical import trivial_augment
from synthaug.classifiers.base import Augment, Labels, Pixels, Weights
from synthaug.seeds import copy_generator

MAX_COPIES = 6
"""Augmented copies of one image: as many as oversampling would repeat it, up to this."""


def drawn(
    pixels: Pixels, labels: Labels, draw_weights: Weights, loss_weights: Weights | None, groups: Labels | None
) -> tuple[Pixels, Labels, npt.NDArray[np.float64], Labels]:
    """The images with a positive weight, their labels, the weight of each in place of repeated draws, and their groups.

    Arguments as in `Classifier.fit`; without `groups`, each image is one.
    """
    used = np.flatnonzero(draw_weights > 0)
    weights = np.asarray(draw_weights, np.float64)[used]
    if loss_weights is not None:
        weights = weights * np.asarray(loss_weights, np.float64)[labels[used]]
    return pixels[used], labels[used], weights, np.arange(len(used)) if groups is None else groups[used]


def shared_with_copies(
    weights: npt.NDArray[np.float64], labels: Labels, groups: Labels, augment: Augment
) -> tuple[Labels, npt.NDArray[np.float64]]:
    """Indices of all images, then of those to copy, and a weight for each: an image shares its own with its copies."""
    copied = copies(weights, labels, groups) if augment == "classical" else np.zeros(0, np.int64)
    image_of = np.concatenate([np.arange(len(labels)), copied])
    return image_of, (weights / np.bincount(image_of))[image_of]


def copies(weights: npt.NDArray[np.float64], labels: Labels, groups: Labels) -> Labels:
    """Indices of the images to copy. A real image has 1 to `MAX_COPIES` copies: its weight ÷ the smallest one, rounded.

    Synthetic images (groups -1) share the total weight of their class. For this count it is given to the real images
    alone, so that they have the same copies with and without synthetic ones. A synthetic image is copied once.

    >>> copies(np.array([1.0, 1.0, 3.0]), np.array([0, 0, 1]), np.array([0, 1, 2])).tolist()
    [0, 1, 2, 2, 2]
    """
    real = groups >= 0
    total = np.bincount(labels, weights)
    own = np.bincount(labels[real], weights[real], len(total))
    times = (weights > 0).astype(np.int64)
    used = np.flatnonzero(real & (weights > 0))
    if len(used):
        alone = weights[used] * (total / np.where(own > 0, own, 1.0))[labels[used]]
        times[used] = np.clip(np.round(alone / alone.min()), 1, MAX_COPIES)
    return np.repeat(np.arange(len(weights)), times)


def augmented(pixels: Pixels, indices: Labels) -> Pixels:
    """Augmented copies of `pixels[indices]`, the same ones in every trial that copies the same images."""
    made = [augmented_copy(pixels[index], number) for index, number in numbered(indices)]
    return np.stack(made) if made else pixels[:0]


def numbered(indices: Labels) -> list[tuple[int, int]]:
    """Each index with the number of times that it has come so far.

    >>> numbered(np.array([4, 7, 7]))
    [(4, 1), (7, 1), (7, 2)]
    """
    times: Counter[int] = Counter()
    out = []
    for index in indices.tolist():
        times[index] += 1
        out.append((index, times[index]))
    return out


def augmented_copy(image: Pixels, number: int) -> Pixels:
    """A copy of an image [C, H, W]. It depends on its pixels and number only, so its features are found again."""
    made = trivial_augment(torch.from_numpy(np.array(image[None])), copy_generator(image, number))
    copy: Pixels = made[0].round().clamp(0, 255).to(torch.uint8).numpy()
    return copy
