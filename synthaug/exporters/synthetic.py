"""Fill a class with synthetic images: generate, judge, encode and write, on all cores, in a fixed order.

For many images on a CPU, forked processes generate and measure chunks and encode the accepted images, while this
process judges the chunks in order and records them. For few images, or on a GPU, this process generates, and threads
encode.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits
from typing_extensions import Self

from synthaug.config import Fit
from synthaug.data.decode import quiet_decoding
from synthaug.data.parallel import Crew, worth_forking
from synthaug.exporters.folder import Written, write_synthetic
from synthaug.exporters.looks import Look, LookCount, Looks, Tables
from synthaug.exporters.manifest import NO_NUMBER, NO_TEXT, MetadataRow, gate_row
from synthaug.exporters.workspace import Workspace
from synthaug.models.inputs import CHUNK
from synthaug.progress import Task
from synthaug.sampling.gate import Gate
from synthaug.sampling.gated_samples import (
    MOST_PENDING,
    Batch,
    Candidates,
    judge_chunks,
    make_candidates,
    max_candidates,
    shortfall,
)
from synthaug.sampling.generate import Sampler
from synthaug.sampling.judgement import Judgement
from synthaug.sampling.upscaling import TrainedUpscaler
from synthaug.seeds import look_draw

_SLICE = 16  # images that a worker encodes at once


@dataclass
class Output:
    """Progress of one class."""

    chunks: int = 0
    written: int = 0
    remembered: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    sources: set[str] = field(default_factory=set)

    def count(self, entry: Mapping[str, Any]) -> None:
        """Add a finished chunk from its journal entry."""
        self.chunks = entry["chunk"] + 1
        self.written += len(entry["rows"])
        self.remembered += entry["remembered"]
        self.rejected.update(entry["rejected"])
        self.sources.update(row["source_path"] for row in entry["rows"] if row.get("source_path"))


@dataclass(frozen=True)
class _Files:
    """Accepted images of one class for a worker to encode and write."""

    folder: Path
    names: list[str]
    pixels: NDArray[np.uint8]  # [n, C, H, W]
    looks: list[int]


@dataclass(frozen=True)
class _Pending:
    """A judged chunk whose files are being written."""

    batch: Batch
    rows: NDArray[np.intp]  # accepted
    names: list[str]
    looks: list[int]
    memory: NDArray[np.float32] | None
    files: list[Future[list[Written]]]


@contextmanager
def _half_of_the_cores() -> Iterator[None]:
    """Leave half of the cores to the encoders. The threads of small networks wait for each other in a busy loop: on two
    cores with encoders, one thread is four times as fast as two."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, before // 2))
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass
class SyntheticWriter:
    """Writes accepted images into a workspace. The next chunks are generated and judged while files are encoded.

    Args:
        looks: class → the looks that its images draw from.
        total: images of all classes together.
    """

    workspace: Workspace
    sampler: Sampler
    gate: Gate | None
    fit: Fit
    tables: Tables
    train_paths: Sequence[str]
    looks: Mapping[str, Sequence[LookCount]]
    total: int
    upscaler: TrainedUpscaler | None = None

    def __post_init__(self) -> None:
        self._share = 1.0 if self.gate is None or self.gate.selector is None else self.gate.selector.keep
        self._forks = self.sampler.trained.device.type == "cpu" and worth_forking(self.total)
        self._stack = ExitStack()
        self._unmeasured = gate_row()

    def __enter__(self) -> Self:
        self._stack.enter_context(quiet_decoding())
        self._crew = self._stack.enter_context(Crew(self._work, forks=self._forks))
        self._stack.enter_context(threadpool_limits(1) if self._forks else _half_of_the_cores())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _work(self, label: str, job: int | _Files) -> Candidates | list[Written]:
        """Work of a crew member: generate and measure a chunk of a class, or write some of its images."""
        if isinstance(job, int):
            return make_candidates(self.sampler, self.gate, label, job)
        looks = self.looks[label]
        return [
            write_synthetic(job.folder / name, pixels, looks[look], self.fit, self.tables, upscaler=self.upscaler)
            for name, pixels, look in zip(job.names, job.pixels, job.looks, strict=True)
        ]

    def fill(self, label: str, count: int, output: Output, prefix: str, allow_short: bool, task: Task) -> None:
        """Write images of a class until there are `count`; `output` counts those that exist already.

        Raises:
            RunFailed: the class cannot be filled, and `allow_short` is not given.
        """
        index = self.sampler.class_index(label)
        pending: deque[_Pending] = deque()
        batches = judge_chunks(
            self.sampler, self.gate, label, count,
            limit=max_candidates(count, self._share), chunk=output.chunks, have=output.written,
            submit=self._crew.submit if self._forks else None,
        )  # fmt: skip
        available = Looks(self.looks[label], self.fit, self.sampler.trained.resolution)
        remembered = output.remembered
        for batch in batches:
            memory = None
            if self.gate is not None:
                memory = self.gate.memory(index, remembered)
                remembered += len(memory)
            pending.append(self._start(batch, label, index, available, prefix, memory))
            while len(pending) > MOST_PENDING:
                self._end(pending.popleft(), label, index, output, task)
        while pending:
            self._end(pending.popleft(), label, index, output, task)
        if self.gate is not None:
            self.gate.forget(index)
        if output.written < count and not allow_short:
            raise shortfall(label, output.written, count, output.rejected)

    def _start(
        self, batch: Batch, label: str, index: int, available: Looks, prefix: str, memory: NDArray[np.float32] | None
    ) -> _Pending:
        """Choose looks for the accepted images of a chunk, and let the crew write them."""
        rows, first = np.flatnonzero(batch.judgement.accepted), batch.chunk * CHUNK
        draws = [look_draw(self.sampler.seed, index, first + int(row)) for row in rows]
        looks = [available.choose(batch.pixels[row], draw) for row, draw in zip(rows, draws, strict=True)]
        names = [
            file_name(prefix, first + int(row), available.looks[look]) for row, look in zip(rows, looks, strict=True)
        ]
        folder, files = self.workspace.tree / "train" / label, []
        for start in range(0, len(rows), _SLICE):
            part = slice(start, start + _SLICE)
            files.append(self._crew.submit(label, _Files(folder, names[part], batch.pixels[rows[part]], looks[part])))
        return _Pending(batch, rows, names, looks, memory, files)

    def _end(self, pending: _Pending, label: str, index: int, output: Output, task: Task) -> None:
        """Wait for the files of a chunk and record it."""
        written = [file for future in pending.files for file in future.result()]
        judgement, first = pending.batch.judgement, pending.batch.chunk * CHUNK
        sources = self._sources(label, pending.batch.chunk)
        rows = [
            MetadataRow(
                file_name=f"{label}/{name}",
                label=label,
                synthetic=True,
                **vars(file),
                seed=self.sampler.seed,
                sample_index=first + int(row),
                class_index=index,
                checkpoint_sha256=self.sampler.trained.sha256,
                look=look,
                **sources[int(row)],
                gate=self._measured(judgement, int(row)),
            )
            for row, name, look, file in zip(pending.rows, pending.names, pending.looks, written, strict=True)
        ]
        memory = 0 if pending.memory is None else len(pending.memory)
        if pending.memory is not None and memory:
            self.workspace.remember(index, pending.memory)
        entry = {
            "kind": "synthetic",
            "split": "train",
            "label": label,
            "chunk": pending.batch.chunk,
            "rows": [vars(row) for row in rows],
            "rejected": dict(judgement.rejected),
            "remembered": memory,
        }
        self.workspace.record(entry)
        output.count(entry)
        task.advance(len(rows))
        if output.rejected:
            task.note(f"{label}: rejected " + ", ".join(f"{r} {n}" for r, n in output.rejected.most_common()))

    def _sources(self, label: str, chunk: int) -> list[dict[str, Any]]:
        """The columns of a chunk's rows that say which image or map each was made from, if from any."""
        origins, sources = self.sampler.origins(label, chunk), self.sampler.trained.sources
        if origins is None or sources is None:
            return [{}] * CHUNK
        rows = [sources.rows[origin] for origin in origins]
        return [
            {
                "mode": "inputs" if sources.inputs else "vary" if row.label == label else "translate",
                "source_path": row.path,
                "source_pixel_sha256": row.pixel_sha256,
                "source_label": row.label,
                "source_group": row.group,
            }
            for row in rows
        ]

    def _measured(self, judgement: Judgement, row: int) -> dict[str, Any]:
        if self.gate is None:
            return self._unmeasured
        nearest = int(judgement.nearest_real_index[row])
        values = (judgement.agreement[row], judgement.nearest_real_distance[row])
        agreement, distance = (float(value) if np.isfinite(value) else NO_NUMBER for value in values)
        score = float(judgement.score[row]) if np.isfinite(judgement.score[row]) else None
        return gate_row(agreement, distance, self.train_paths[nearest] if nearest >= 0 else NO_TEXT, score)


def file_name(prefix: str, index: int, look: Look) -> str:
    return f"{prefix}{index:06d}{look.suffix}"
