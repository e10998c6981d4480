"""Batches for the adversarial loop: drawn from one uint8 array, classes balanced by a temperature."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from synthaug import processes
from synthaug.data.mapped import MappedPixels


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


def as_float(pixels: Tensor) -> Tensor:
    """Levels 0 to 255, uint8, as float32 in [−1, 1]."""
    return pixels.float().div_(127.5).sub_(1)


GROUP = 4
"""How many neighbours in a batch share their class and their augmentation. So a statistic over a group, like the
minibatch standard deviation, measures the variety within one class. Differences between classes or augmentations would
hide a collapse."""


def group_of(batch: int) -> int:
    """The size of the groups in a batch: the largest divisor of `batch` up to `GROUP`.

    >>> [group_of(batch) for batch in (32, 50, 9, 5)]
    [4, 2, 3, 1]
    """
    return next(size for size in range(GROUP, 0, -1) if batch % size == 0)


class BalancedBatches:
    """Images of one training set, drawn with replacement, in groups of one class.

    Args:
        pixels: uint8[N, C, H, W], on the device where batches are wanted, or gathered from a memory map.
        labels: int64[N], on that device.
        probabilities: float[K], how often each class is drawn; a class without images is never drawn.
        flip: mirror each drawn image with probability ½.
    """

    def __init__(
        self, pixels: Tensor | MappedPixels, labels: Tensor, probabilities: Tensor, batch_size: int, flip: bool
    ) -> None:
        of = labels.cpu()
        self._pixels = pixels
        self._labels = labels
        self.counts = torch.bincount(of, minlength=len(probabilities))  # int64[K]
        self._first = self.counts.cumsum(0) - self.counts
        self._by_class = of.argsort(stable=True)
        weights = torch.where(self.counts > 0, probabilities.to(torch.float64), 0.0)
        self._cumulative = weights.cumsum(0) / weights.sum()
        self._last = int(self.counts.nonzero()[-1])
        self._batch_size = batch_size
        self._flip = flip
        self.attributes: Tensor | None = None  # float[N, A], where images have some
        self._whole = False  # how the last batch was drawn, and so the next one

    def draw(self, rng: torch.Generator, whole: bool = False) -> tuple[Tensor, Tensor]:
        """Return images float[B, C, H, W] in [−1, 1] and what is told about them; equal states of `rng` give equals.

        That is int64[B], the labels; or float[B, 1 + A], labels and attributes.

        Rows `g·i` to `g·(i + 1) − 1` show one class, where g = `group_of(B)`. Of several processes, each gets its part.

        Args:
            whole: get the rows of all processes.
        """
        self._whole = whole
        rows = self.rows(rng, whole)
        images, labels = self.take(rows)
        if self.attributes is not None:
            labels = torch.cat([labels[:, None].float(), self.attributes[rows.to(labels.device)]], dim=1)
        return self.mirrored(images, rng, whole), labels

    @property
    def mapped(self) -> bool:
        """Whether the images stay in the memory map of the cache."""
        return isinstance(self._pixels, MappedPixels)

    def expect(self, rng: torch.Generator) -> None:
        """Prepare the batch that a step draws whose random numbers begin like those of `rng`, which this changes."""
        if isinstance(self._pixels, MappedPixels):
            self._pixels.expect(self.rows(rng, self._whole))

    def rows(self, rng: torch.Generator, whole: bool = False) -> Tensor:
        """The rows of the images of a batch, int64[B]."""
        group = group_of(self._batch_size)
        groups = self._batch_size // group
        # stratified draws, one in each of `groups` equal parts of [0, 1): the class mixture varies less
        which = (torch.arange(groups) + torch.rand(groups, generator=rng, dtype=torch.float64)) / groups
        # right=True: a draw on a boundary must not select a class without images, whose interval is empty
        y = torch.searchsorted(self._cumulative, which, right=True)
        y = y.clamp_(max=self._last).repeat_interleave(group)  # rounding may leave the sum below 1
        within = torch.rand(self._batch_size, generator=rng, dtype=torch.float64) * self.counts[y]
        rows = self._by_class[self._first[y] + within.long()]
        return rows if whole else processes.own(rows)

    def mirrored(self, images: Tensor, rng: torch.Generator, whole: bool = False) -> Tensor:
        """A batch with half of the images mirrored, if so configured; float[B, C, H, W]."""
        mirrored = torch.rand(self._batch_size, generator=rng) < 0.5
        mirrored = mirrored if whole else processes.own(mirrored)
        if self._flip:
            images = torch.where(mirrored.to(images.device)[:, None, None, None], images.flip(3), images)
        return images.contiguous(memory_format=torch.channels_last)

    def take(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Given images as they are, float[B, C, H, W] in [−1, 1], and their labels int64[B]."""
        images = as_float(self._pixels[rows])
        return images.contiguous(memory_format=torch.channels_last), self._labels[rows.to(self._labels.device)]
