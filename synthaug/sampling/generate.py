"""Samples of a trained generator. Each can be made again from (seed, class, index): see `synthaug.models.inputs`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from synthaug.data.maps import OwnMaps
from synthaug.data.where import as_texts, asked
from synthaug.documents import ConditionPlan, EvaluateDocument, FitDocument, WorkflowDocument
from synthaug.errors import RunFailed, SynthaugError, suggest
from synthaug.models.family import to_uint8
from synthaug.models.inputs import CHUNK, InputSource
from synthaug.runs import Run, RunLike, find
from synthaug.sampling.options import check_truncation
from synthaug.sampling.trained import TrainedGenerator, load_generator
from synthaug.sampling.truncation import Truncation
from synthaug.translators.modes import Mode


@dataclass(frozen=True)
class SeededGenerator:
    """A trained generator, the seed of its images, and their truncation, if any."""

    trained: TrainedGenerator
    seed: int
    truncation: Truncation | None = None

    @property
    def classes(self) -> list[str]:
        return self.trained.classes

    @property
    def inputs(self) -> InputSource:
        return self.trained.inputs(self.seed)

    @property
    def psi(self) -> float:
        """The truncation; 1 is none."""
        return 1.0 if self.truncation is None else self.truncation.psi

    def class_index(self, label: str) -> int:
        """The index of a class.

        Raises:
            SynthaugError: the run has no such class.
        """
        if label not in self.trained.classes:
            raise SynthaugError(f"the run has no class {label!r}", suggest(label, self.trained.classes))
        return self.trained.classes.index(label)

    def origins(self, label: str, index: int) -> NDArray[np.int64] | None:
        """The rows [64] of `RunSources` that a chunk starts from; None for a family that starts from noise."""
        sources = self.trained.sources
        if sources is None:
            return None
        images = range(index * CHUNK, (index + 1) * CHUNK)
        rows: NDArray[np.int64] = sources.images.origins(self.seed, self.class_index(label), images).numpy()
        return rows

    def training_rows(self, label: str, index: int) -> NDArray[np.int64] | None:
        """The rows [64] of the training images behind a chunk; None if it starts from noise or the user's maps."""
        sources = self.trained.sources
        return None if sources is None or sources.inputs is not None else self.origins(label, index)

    @property
    def where(self) -> Mapping[str, str]:
        """Condition → value that all images are told."""
        told = self.trained.attributes
        return {} if told is None else told.plan.where

    def extrapolated(self, labels: Sequence[str]) -> list[str]:
        """Those of some classes of which no training image has the conditions that are asked for."""
        told = self.trained.attributes
        if told is None or not self.where:
            return []
        return [label for label in labels if not told.conditions.seen(label, self.where)]

    def sources(self, label: str, count: int) -> NDArray[np.uint8]:
        """The real images or maps, uint8 [count, C, H, W], that the first `count` images of a class start from."""
        assert self.trained.sources is not None, "this run starts from noise"
        images = self.trained.sources.images
        origins = images.origins(self.seed, self.class_index(label), range(count))
        pixels: NDArray[np.uint8] = images.pixels[origins.numpy()]
        return pixels

    def most(self, label: str) -> float:
        """How many images of a class may be made: each source is used a limited number of times."""
        sources = self.trained.sources
        return math.inf if sources is None else sources.images.most(self.class_index(label), sources.draws)

    def chunk(self, label: str, index: int) -> NDArray[np.uint8]:
        """Images `64 * index` to `64 * index + 63` of a class, uint8 [64, C, H, W].

        Raises:
            RunFailed: the generator's output is not finite.
        """
        images = (self.truncation or self.trained).generate(self.inputs.chunk(self.class_index(label), index))
        if not bool(torch.isfinite(images).all()):
            raise RunFailed(
                f"checkpoint {self.trained.checkpoint!r} generates values that are not numbers for class {label!r}",
                "the training diverged; use another checkpoint with --checkpoint, or train again",
            )
        return to_uint8(images)

    def sample(self, label: str, count: int, start: int = 0) -> NDArray[np.uint8]:
        """Images `start` to `start + count - 1` of a class, uint8 [count, C, H, W].

        Raises:
            SynthaugError: there is no such class, or `count` or `start` is negative.
        """
        if count < 0 or start < 0:
            raise SynthaugError(f"cannot sample {count} images from index {start}", "give numbers of 0 or more")
        self.class_index(label)
        shape = (count, self.trained.channels, self.trained.resolution, self.trained.resolution)
        images = np.empty(shape, np.uint8)
        for index, rows in chunk_rows(start, count):
            chunk = self.chunk(label, index)
            first = index * CHUNK + rows.start - start
            images[first : first + len(rows)] = chunk[rows.start : rows.stop]
        return images


def chunk_rows(start: int, count: int) -> Iterator[tuple[int, range]]:
    """The chunks that hold images `start` to `start + count - 1`, each with the rows of these images.

    >>> list(chunk_rows(60, 10))
    [(0, range(60, 64)), (1, range(0, 6))]
    """
    end = start + count
    for index in range(start // CHUNK, -(-end // CHUNK) if count else 0):
        yield index, range(max(start - index * CHUNK, 0), min(end - index * CHUNK, CHUNK))


def load(
    run: RunLike | None = None,
    *,
    checkpoint: str | Path = "best",
    seed: int | None = None,
    truncation: float = 1.0,
    mode: Mode | None = None,
    inputs: OwnMaps | None = None,
    where: Sequence[str] | Mapping[str, object] = (),
    text: str | None = None,
    plan: ConditionPlan | None = None,
    device: str = "auto",
    runs: str | Path | None = None,
    cache: str | Path | None = None,
) -> SeededGenerator:
    """Open a run's generator; `synthaug.load(run).sample("rare", 16)` gives 16 images.

    `run` is a path, a name, a number or a result of `fit`, `evaluate` or `run`; None is the latest run. `seed` is the
    run's own unless given. A `truncation` below 1 gives less varied, more typical images (see `sampling.truncation`).
    `mode` is for families that start from images: `translate`, `vary` or `both`; `inputs` are maps of the user to
    paint; `cache` is the folder of decoded images. In a run with conditions, `where={"camera": "b"}` gives all images a
    value, `text` does so in the column of texts, and `plan` is that of an export.

    Raises:
        SynthaugError: there is no such run or checkpoint, `seed` or `truncation` is out of range, or `where` or `text`
            do not fit the run.
    """
    check_truncation(truncation)
    if isinstance(run, (FitDocument, EvaluateDocument, WorkflowDocument)):
        run = run.run
    found = run if isinstance(run, Run) else find(run, None if runs is None else Path(runs))
    if seed is not None and not 0 <= seed < 2**31:
        raise SynthaugError(f"seed {seed} is out of range", "give a number from 0 to 2147483647")
    if plan is None:
        plan = ConditionPlan(where=asked(found.facts().conditions, as_texts(where), text, found.name))
    folder = None if cache is None else Path(cache)
    trained = load_generator(found, checkpoint, device, mode, inputs, cache=folder, plan=plan)
    truncated = Truncation(trained, truncation) if truncation < 1 else None
    return SeededGenerator(trained, trained.seed if seed is None else seed, truncated)
