"""Mixing pairs of images into one with two labels: mixup, CutMix, and CMO.

λ, the share of the first image, is drawn from Beta(α, α) once for a batch. The loss of a mixed image is λ times the
loss for the first label plus 1 − λ times that for the second. α and how often a batch is mixed are those of the papers
for CIFAR, whose pictures are as small as those here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import Tensor

Mix = Literal["none", "mixup", "cutmix", "cmo"]


@dataclass(frozen=True)
class Mixing:
    """A way to mix.

    `blend` takes images [N, …], their partners, λ and a generator, and returns mixed images and the λ of the labels.
    `partners`: "batch" takes another image of the batch, "balanced" draws each class equally often. `often` is the
    share of the batches that are mixed.
    """

    blend: Callable[[Tensor, Tensor, float, np.random.Generator], tuple[Tensor, float]]
    alpha: float
    often: float
    partners: Literal["batch", "balanced"] = "batch"

    def __call__(self, images: Tensor, partners: Tensor, rng: np.random.Generator) -> tuple[Tensor, float]:
        """The images mixed with their partners, and λ; unchanged, with λ = 1, where the batch is not mixed."""
        if rng.random() >= self.often:
            return images, 1.0
        return self.blend(images, partners, float(rng.beta(self.alpha, self.alpha)), rng)


def mixup(images: Tensor, partners: Tensor, share: float, rng: np.random.Generator) -> tuple[Tensor, float]:
    """λ · image + (1 − λ) · partner [arXiv:1710.09412, section 2]; features [N, d] can be mixed as well."""
    return partners.lerp(images, share), share


def cutmix(images: Tensor, partners: Tensor, share: float, rng: np.random.Generator) -> tuple[Tensor, float]:
    """A box of the partner pasted onto each image [N, C, H, W] [arXiv:1905.04899, eq. 1 and 2].

    Its sides are √(1 − λ) of the image's and its centre is uniform. It is cut at the border, and λ of the labels is the
    share of the pixels that are left of the image.
    """
    height, width = images.shape[2:]
    half = 0.5 * math.sqrt(1 - share)
    x, y = int(rng.integers(width)), int(rng.integers(height))
    left, right = max(x - int(half * width), 0), min(x + int(half * width), width)
    top, bottom = max(y - int(half * height), 0), min(y + int(half * height), height)
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = partners[:, :, top:bottom, left:right]
    return mixed, 1 - (right - left) * (bottom - top) / (height * width)


MIXES: dict[Mix, Mixing] = {
    "mixup": Mixing(mixup, alpha=1.0, often=1.0),
    "cutmix": Mixing(cutmix, alpha=1.0, often=0.5),
    # CMO [arXiv:2112.00412]: boxes of images drawn by the inverse frequency of their class, so of rare classes as often
    # as of common ones, on backgrounds as they are drawn. As in the authors' code, not all batches are mixed.
    "cmo": Mixing(cutmix, alpha=1.0, often=0.5, partners="balanced"),
}
