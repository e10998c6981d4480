"""What a generator is fed, and where that comes from.

The noise of image i of class c comes from a random generator of its own, seeded by (seed, c, i), and inputs come in
chunks of 64 images. Kernels round differently at other batch sizes, so image 70 of a class is always row 6 of chunk 1,
whether 71 images are asked for or 5000, in one process or in many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from synthaug.seeds import image_seed

CHUNK = 64


class Inputs(NamedTuple):
    """A batch for a generator.

    A NamedTuple, because Fabric casts tensors inside tuples, but refuses frozen dataclasses and copies others.
    """

    labels: Tensor  # int64[B]
    z: Tensor | None  # float[B, z_dim]
    sources: Tensor | None = None  # float[B, C', H', W'] in [-1, 1]: images that a generator starts from

    @property
    def noise(self) -> Tensor:
        """`z`, for a generator that cannot do without it."""
        assert self.z is not None, "this generator needs noise"
        return self.z

    def to(self, device: torch.device) -> Inputs:
        return Inputs(
            self.labels.to(device),
            None if self.z is None else self.z.to(device),
            None if self.sources is None else self.sources.to(device),
        )


class InputSource(Protocol):
    """Gives the inputs of each image of a class: the same ones at each call, on any machine."""

    def chunk(self, class_index: int, index: int) -> Inputs:
        """Inputs of images `64 * index` to `64 * index + 63` of a class, on the CPU."""
        ...


@dataclass(frozen=True)
class NoiseInputs:
    """Standard normal noise for each image of a class."""

    seed: int
    z_dim: int

    def chunk(self, class_index: int, index: int) -> Inputs:
        images = range(index * CHUNK, (index + 1) * CHUNK)
        return Inputs(torch.full((CHUNK,), class_index), noise(self.seed, class_index, images, self.z_dim))


def noise(seed: int, class_index: int, indices: Sequence[int], z_dim: int) -> Tensor:
    """Standard normal noise of some images of a class, float32 [len(indices), z_dim]; on the CPU, for any device."""
    rows = torch.empty(len(indices), z_dim)
    for row, index in zip(rows, indices, strict=True):
        row.normal_(generator=torch.Generator().manual_seed(image_seed(seed, class_index, index)))
    return rows
