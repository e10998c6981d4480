"""Batches for the adversarial loop: drawn on the device from one uint8 tensor, classes balanced by a temperature."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def class_probabilities(
    counts: Sequence[int], balance: float, targets: Sequence[int] = (), target_boost: float = 1.0
) -> Tensor:
    """How often each class is drawn: ∝ count^(1 − balance), target classes `target_boost` times as often.

    >>> class_probabilities([300, 100], balance=0.0).tolist()
    [0.75, 0.25]
    >>> class_probabilities([300, 100], balance=1.0).tolist()
    [0.5, 0.5]
    """
    weights = torch.tensor([float(c) ** (1 - balance) for c in counts], dtype=torch.float64)
    for target in targets:
        weights[target] *= target_boost
    return weights / weights.sum()


class BalancedBatches:
    """Images of one training set, drawn with replacement.

    Args:
        pixels: uint8[N, C, H, W], on the device where batches are wanted.
        labels: int64[N].
        probabilities: float[K], how often each class is drawn.
        flip: mirror each drawn image with probability ½.
    """

    def __init__(self, pixels: Tensor, labels: Tensor, probabilities: Tensor, batch_size: int, flip: bool) -> None:
        counts = torch.bincount(labels.cpu(), minlength=len(probabilities))
        weights = (probabilities / counts.clamp(min=1))[labels.cpu()]
        self._pixels = pixels
        self._labels = labels
        self._order = labels.cpu()
        self._cumulative = (weights.cumsum(0) / weights.sum()).to(torch.float64)
        self._batch_size = batch_size
        self._flip = flip

    def draw(self, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return images float[B, C, H, W] in [−1, 1] and labels int64[B]; the same `rng` state, the same batch.

        A batch is ordered by class. Neighbours then share their class, and a statistic over neighbours, such as
        `MinibatchStd`, shows a discriminator whether the images *of one class* are varied.
        """
        uniform = torch.rand(self._batch_size, generator=rng, dtype=torch.float64)
        index = torch.searchsorted(self._cumulative, uniform).clamp_(max=len(self._labels) - 1)
        index = index[self._order[index].argsort(stable=True)].to(self._pixels.device)
        mirrored = torch.rand(self._batch_size, generator=rng) < 0.5
        images = self._pixels[index].float().div_(127.5).sub_(1)
        if self._flip:
            images = torch.where(mirrored.to(images.device)[:, None, None, None], images.flip(3), images)
        return images.contiguous(memory_format=torch.channels_last), self._labels[index]
