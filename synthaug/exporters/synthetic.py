"""Fill a class with synthetic images: generate, judge, encode and write, on all cores, in a fixed order.

For many images on a CPU, forked processes generate and measure chunks and encode the accepted images, while this
process judges the chunks in order and records them. For few images, or on a GPU, this process generates, and threads
encode. Or each class is a task of its own (`fill_class`), in another process or on another machine.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
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
from synthaug.data.parallel import Crew
from synthaug.exporters.folder import Written, write_synthetic
from synthaug.exporters.journal import Journal
from synthaug.exporters.looks import Look, LookCount, Looks, Tables
from synthaug.exporters.manifest import NO_NUMBER, NO_TEXT, MetadataRow, gate_row
from synthaug.models.inputs import CHUNK
from synthaug.progress import Silent, Task
from synthaug.sampling.copies import MEMORY_DIM
from synthaug.sampling.curation import Choice
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
from synthaug.sampling.generate import SeededGenerator
from synthaug.sampling.judgement import Judgement
from synthaug.sampling.upscaling import TrainedUpscaler
from synthaug.seeds import look_draw
from synthaug.tasks import Workers, run_tasks

_SLICE = 16  # images that a worker encodes at once


@dataclass
class Output:
    """Progress of one class."""

    chunks: int = 0
    written: int = 0
    remembered: int = 0
    accepted_by_hand: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    sources: set[str] = field(default_factory=set)
    combinations: Counter[str] = field(default_factory=Counter)

    def count(self, entry: Mapping[str, Any]) -> None:
        """Add a finished chunk from its journal entry."""
        self.chunks = entry["chunk"] + 1
        self.written += len(entry["rows"])
        self.remembered += entry["remembered"]
        self.accepted_by_hand += entry["accepted_by_hand"]
        self.rejected.update(entry["rejected"])
        self.sources.update(row["source_path"] for row in entry["rows"] if row.get("source_path"))
        self.combinations.update(row["combination"] for row in entry["rows"] if row["combination"])

    @classmethod
    def of(cls, entries: Iterable[Mapping[str, Any]]) -> Self:
        """What the entries of a class's journal say; those of real images are left out."""
        output = cls()
        for entry in entries:
            if entry["kind"] == "synthetic":
                output.count(entry)
        return output


@dataclass(frozen=True)
class ToFill:
    """A class, how many synthetic images it gets, what their names begin with, and its journal."""

    label: str
    count: int
    prefix: str
    journal: Journal


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
    """Writes accepted images. The next chunks are generated and judged while files are encoded.

    Args:
        looks: class → the looks that its images draw from.
        allow_short: a class that cannot be filled is no error.
        forks: share the work among forked processes.
        choice: decisions by hand.
    """

    sampler: SeededGenerator
    gate: Gate | None
    fit: Fit
    tables: Tables
    train_paths: Sequence[str]
    looks: Mapping[str, Sequence[LookCount]]
    upscaler: TrainedUpscaler | None
    allow_short: bool
    forks: bool = False
    choice: Choice | None = None

    def __post_init__(self) -> None:
        self._share = 1.0 if self.gate is None or self.gate.selector is None else self.gate.selector.keep
        self._stack = ExitStack()
        self._unmeasured = gate_row()

    def __enter__(self) -> Self:
        self._stack.enter_context(quiet_decoding())
        self._crew = self._stack.enter_context(Crew(self._work, forks=self.forks))
        self._stack.enter_context(threadpool_limits(1) if self.forks else _half_of_the_cores())
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

    def fill(self, wanted: ToFill, output: Output, task: Task) -> None:
        """Write images of a class until it has enough; `output` counts those that exist already.

        Raises:
            RunFailed: the class cannot be filled, and `allow_short` is not given.
        """
        label, count, journal = wanted.label, wanted.count, wanted.journal
        index = self.sampler.class_index(label)
        if self.gate is not None:
            self.gate.restore(index, journal.remembered(output.remembered, MEMORY_DIM))
        pending: deque[_Pending] = deque()
        batches = judge_chunks(
            self.sampler, self.gate, label, count,
            limit=max_candidates(count, self._share), chunk=output.chunks, have=output.written,
            submit=self._crew.submit if self.forks else None, choice=self.choice,
        )  # fmt: skip
        available = Looks(self.looks[label], self.fit, self.sampler.trained.resolution)
        remembered = output.remembered
        for batch in batches:
            memory = None
            if self.gate is not None:
                memory = self.gate.memory(index, remembered)
                remembered += len(memory)
            pending.append(self._start(batch, wanted, index, available, memory))
            while len(pending) > MOST_PENDING:
                self._end(pending.popleft(), wanted, index, output, task)
        while pending:
            self._end(pending.popleft(), wanted, index, output, task)
        if self.gate is not None:
            self.gate.forget(index)
        if output.written < count and not self.allow_short:
            raise shortfall(label, output.written, count, output.rejected)

    def _start(
        self, batch: Batch, wanted: ToFill, index: int, available: Looks, memory: NDArray[np.float32] | None
    ) -> _Pending:
        """Choose looks for the accepted images of a chunk, and let the crew write them."""
        rows, first = np.flatnonzero(batch.judgement.accepted), batch.chunk * CHUNK
        draws = [look_draw(self.sampler.seed, index, first + int(row)) for row in rows]
        looks = [available.choose(batch.pixels[row], draw) for row, draw in zip(rows, draws, strict=True)]
        names = [
            file_name(wanted.prefix, first + int(row), available.looks[look])
            for row, look in zip(rows, looks, strict=True)
        ]
        label, files = wanted.label, []
        folder = wanted.journal.tree / "train" / label
        for start in range(0, len(rows), _SLICE):
            part = slice(start, start + _SLICE)
            files.append(self._crew.submit(label, _Files(folder, names[part], batch.pixels[rows[part]], looks[part])))
        return _Pending(batch, rows, names, looks, memory, files)

    def _end(self, pending: _Pending, wanted: ToFill, index: int, output: Output, task: Task) -> None:
        """Wait for the files of a chunk and record it."""
        label, journal = wanted.label, wanted.journal
        written = [file for future in pending.files for file in future.result()]
        judgement, first = pending.batch.judgement, pending.batch.chunk * CHUNK
        sources = self._sources(label, pending.batch.chunk)
        told, seed = self.sampler.trained.attributes, self.sampler.seed
        conditions = [{}] * CHUNK if told is None else told.rows(seed, label, pending.batch.chunk)
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
                **conditions[int(row)],
                gate=self._measured(judgement, int(row)),
            )
            for row, name, look, file in zip(pending.rows, pending.names, pending.looks, written, strict=True)
        ]
        memory = 0 if pending.memory is None else len(pending.memory)
        liked = set() if self.choice is None else self.choice.curation.of_class(label, "accepted")
        if pending.memory is not None and memory:
            journal.remember(pending.memory)
        entry = {
            "kind": "synthetic",
            "split": "train",
            "label": label,
            "chunk": pending.batch.chunk,
            "rows": [vars(row) for row in rows],
            "rejected": dict(judgement.rejected),
            "remembered": memory,
            "accepted_by_hand": len(liked.intersection(row.sample_index for row in rows)),
        }
        journal.record(entry)
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


def fill_classes(
    writer: SyntheticWriter, classes: Sequence[ToFill], outputs: dict[str, Output], workers: Workers | None, task: Task
) -> None:
    """Fill classes, here with all cores (`workers` None), or each in a task; the images are the same.

    `outputs` counts what exists already, and is brought up to date.

    Raises:
        RunFailed: as for `SyntheticWriter.fill` and `run_tasks`.
    """
    if workers is None:
        with writer:
            for wanted in classes:
                writer.fill(wanted, outputs[wanted.label], task)
        return
    made = run_tasks(fill_class, writer, classes, workers, what="classes")
    for wanted, output in zip(classes, made, strict=True):
        task.advance(output.written - outputs[wanted.label].written)
        outputs[wanted.label] = output


def fill_class(writer: SyntheticWriter, wanted: ToFill) -> Output:
    """A task: fill one class on one core, from what its journal says is done. Its images must lie on a shared disk.

    Args:
        writer: not begun; other tasks of the process have the same.
        wanted: the class.

    Raises:
        RunFailed: as for `SyntheticWriter.fill`, or the command that gave this task has ended.
        SynthaugError: this machine does not see the folder of the export, or another task fills the class.
    """
    with wanted.journal.only_writer(), replace(writer, forks=False) as own, Silent().task("", None, "") as task:
        output = Output.of(wanted.journal.entries())
        own.fill(wanted, output, task)
    return output
