"""What a generator is fed, and where that comes from.

The noise of image i of class c comes from a random generator of its own, seeded by (seed, c, i), and inputs come in
chunks of 64 images. Kernels round differently at other batch sizes, so image 70 of a class is always row 6 of chunk 1,
whether 71 images are asked for or 5000, in one process or in many.

A family that starts from images also gets a real training image for each image, its source. Which one depends on
(seed, c, i) as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synthaug import processes
from synthaug.data.batches import as_float
from synthaug.seeds import ATTRIBUTES, SOURCES, image_seed, stream

CHUNK = 64
_GOLDEN = (5**0.5 - 1) / 2


class Inputs(NamedTuple):
    """A batch for a generator.

    A NamedTuple, because Fabric casts tensors inside tuples, but refuses frozen dataclasses and copies others.
    """

    labels: Tensor  # int64[B]
    z: Tensor | None  # float[B, z_dim]
    sources: Tensor | None = None  # float[B, C', H', W'] in [-1, 1]: images that a generator starts from
    origins: Tensor | None = None  # int64[B]: the sources' rows among the training images
    attributes: Tensor | None = None  # float[B, A]: what is told beside the class; see `synthaug.data.conditions`

    @property
    def condition(self) -> Tensor:
        """What networks are told about each image: `labels`, or float[B, 1 + A], the class and then the attributes."""
        if self.attributes is None:
            return self.labels
        return torch.cat([self.labels[:, None].float(), self.attributes], dim=1)

    @property
    def noise(self) -> Tensor:
        """`z`, for a generator that cannot do without it."""
        assert self.z is not None, "this generator needs noise"
        return self.z

    @property
    def images(self) -> Tensor:
        """`sources`, for a generator that cannot do without them."""
        assert self.sources is not None, "this generator starts from images"
        return self.sources

    def row(self, k: int) -> Inputs:
        """The inputs of one image, a batch of 1."""
        return Inputs(*(None if part is None else part[k : k + 1] for part in self))  # type: ignore[arg-type]

    def to(self, device: torch.device) -> Inputs:
        return Inputs(*(None if part is None else part.to(device) for part in self))  # type: ignore[arg-type]


def joined(parts: Sequence[Inputs]) -> Inputs:
    """The rows of several batches in one."""
    return Inputs(*(None if column[0] is None else torch.cat(column) for column in zip(*parts, strict=True)))  # type: ignore[arg-type]


class InputSource(Protocol):
    """Gives the inputs of each image of a class: the same ones at each call, on any machine."""

    def chunk(self, class_index: int, index: int) -> Inputs:
        """Inputs of images `64 * index` to `64 * index + 63` of a class, on the CPU."""
        ...


@dataclass(frozen=True)
class Sources:
    """The training images that a generator may start from.

    Args:
        pixels: of all training images, or of their maps in a family that paints maps, uint8[N, C, H, W].
        rows: class → one or two lists of rows. Images take turns between the lists (of images to translate, and to
            vary). Each list is used up in random order before any of its images is used again.
    """

    pixels: NDArray[np.uint8]
    rows: Mapping[int, Sequence[NDArray[np.int64]]]
    _orders: dict[tuple[int, ...], NDArray[np.int64]] = field(default_factory=dict, repr=False)

    def origins(self, seed: int, class_index: int, indices: Sequence[int]) -> Tensor:
        """The rows, int64[len(indices)], that some images of a class start from."""
        lists = self.rows[class_index]
        found = []
        for index in indices:
            turn, which = index // len(lists), index % len(lists)
            cycle, place = divmod(turn, len(lists[which]))
            key = (seed, class_index, which, cycle)
            if key not in self._orders:
                self._orders[key] = stream(seed, SOURCES, class_index, which, cycle).permutation(lists[which])
            found.append(int(self._orders[key][place]))
        return torch.tensor(found, dtype=torch.int64)

    def draw(self, labels: Tensor, rng: torch.Generator) -> Tensor:
        """A random row to start from for each image of a training batch, int64[B]."""
        found = []
        for label, (which, place) in zip(
            labels.tolist(), processes.rand(len(labels), 2, rng=rng, dtype=torch.float64).tolist(), strict=True
        ):
            lists = self.rows[label]
            rows = lists[int(which * len(lists))]
            found.append(int(rows[int(place * len(rows))]))
        return torch.tensor(found, dtype=torch.int64)

    def images(self, rows: Tensor) -> Tensor:
        """The images of these rows, float[B, C, H, W] in [−1, 1], on the CPU."""
        return as_float(torch.from_numpy(self.pixels[rows.cpu().numpy()]))

    def add_to(self, inputs: Inputs, origins: Tensor) -> Inputs:
        """`inputs` with the images of these rows."""
        return inputs._replace(sources=self.images(origins), origins=origins)

    def most(self, class_index: int, draws: int) -> int:
        """How many images of a class may be made if each source is used at most `draws` times."""
        lists = self.rows[class_index]
        return min(len(rows) for rows in lists) * draws * len(lists)


class AttributePart(NamedTuple):
    """Images of a class that have the attributes of one of `rows`, but for those that are given.

    `weight`: how many images there are of it, beside those of other parts. `given`: float32[A], NaN where those of the
    row are kept.
    """

    weight: float
    rows: NDArray[np.int64]
    given: NDArray[np.float32]


@dataclass(frozen=True)
class Attributes:
    """What images are told beside their class: what was true of a training image, or what the user asks for.

    Args:
        vectors: of the training images, float32[n, A].
        parts: class → where its images get theirs from.
        sources: the images that a generator starts from; then each image gets what is true of its source instead, but
            for what is given, so that all else is kept.
    """

    vectors: NDArray[np.float32]
    parts: Mapping[int, Sequence[AttributePart]]
    sources: Sources | None = None

    def drawn(self, seed: int, class_index: int, indices: Sequence[int]) -> list[tuple[int, int]]:
        """For some images of a class: which part, and which row of `vectors`; depends on (seed, class, index).

        Parts follow each other at steps of the golden ratio, so that any number of images in a row has them in their
        shares.
        """
        if self.sources is not None:
            return [(0, row) for row in self.sources.origins(seed, class_index, indices).tolist()]
        parts = self.parts[class_index]
        cumulative = np.cumsum([part.weight for part in parts]) / sum(part.weight for part in parts)
        first = stream(seed, ATTRIBUTES, class_index).random()
        found = []
        for index in indices:
            which, place = (first + index * _GOLDEN) % 1, stream(seed, ATTRIBUTES, class_index, index).random()
            part = min(int(np.searchsorted(cumulative, which, side="right")), len(parts) - 1)
            found.append((part, int(parts[part].rows[int(place * len(parts[part].rows))])))
        return found

    def of(self, seed: int, class_index: int, indices: Sequence[int]) -> Tensor:
        """The attributes of some images of a class, float32[len(indices), A]."""
        parts = self.parts[class_index]
        rows = []
        for part, row in self.drawn(seed, class_index, indices):
            given = parts[part].given
            rows.append(np.where(np.isnan(given), self.vectors[row], given))
        return torch.from_numpy(np.stack(rows))


@dataclass(frozen=True)
class NoiseInputs:
    """Standard normal noise for each image of a class; the image that it starts from, and its attributes, if any."""

    seed: int
    z_dim: int
    sources: Sources | None = None
    attributes: Attributes | None = None

    def chunk(self, class_index: int, index: int) -> Inputs:
        images = range(index * CHUNK, (index + 1) * CHUNK)
        inputs = Inputs(torch.full((CHUNK,), class_index), noise(self.seed, class_index, images, self.z_dim))
        if self.attributes is not None:
            inputs = inputs._replace(attributes=self.attributes.of(self.seed, class_index, images))
        if self.sources is None:
            return inputs
        return self.sources.add_to(inputs, self.sources.origins(self.seed, class_index, images))


def noise(seed: int, class_index: int, indices: Sequence[int], z_dim: int) -> Tensor:
    """Standard normal noise of some images of a class, float32 [len(indices), z_dim]; on the CPU, for any device."""
    rows = torch.empty(len(indices), z_dim)
    for row, index in zip(rows, indices, strict=True):
        row.normal_(generator=torch.Generator().manual_seed(image_seed(seed, class_index, index)))
    return rows
