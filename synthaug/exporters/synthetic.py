"""Fill a class with synthetic images: generate, judge, dress, encode and write, on all cores, in a fixed order."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import Self

from synthaug.config import Fit
from synthaug.data.decode import quiet_decoding
from synthaug.exporters.folder import Written, write_synthetic
from synthaug.exporters.looks import Look, LookCount, Tables, Wardrobe
from synthaug.exporters.manifest import NO_NUMBER, NO_TEXT, gate_row, synthetic_row
from synthaug.exporters.workspace import Workspace
from synthaug.progress import Task
from synthaug.sampling.gate import Batch, Gate, Judgement, judged, max_candidates, shortfall
from synthaug.sampling.generate import CHUNK, Sampler, image_seed

_AHEAD = 4  # chunks generated before the oldest is written
_SLICE = 16  # images that a thread takes at once


@dataclass
class Output:
    """How far a class is."""

    chunks: int = 0
    written: int = 0
    remembered: int = 0
    rejected: Counter[str] = field(default_factory=Counter)

    def count(self, entry: Mapping[str, Any]) -> None:
        """Add a finished chunk, as it stands in the journal."""
        self.chunks = entry["chunk"] + 1
        self.written += len(entry["rows"])
        self.remembered += entry["remembered"]
        self.rejected.update(entry["rejected"])


@dataclass(frozen=True)
class _Pending:
    """A judged chunk whose files are being written."""

    batch: Batch
    rows: NDArray[np.intp]  # accepted
    looks: list[int]
    memory: NDArray[np.float32] | None
    files: list[Future[list[Written]]]


@contextmanager
def _half_of_the_cores() -> Iterator[None]:
    """Leave cores to the encoders, which have as much to do as the small nets, whose threads wait for each other by
    spinning: on two cores, one thread is four times as fast as two that are disturbed."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, before // 2))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def look_draw(seed: int, class_index: int, index: int) -> int:
    """The random number by which an image chooses its look; unrelated to its noise."""
    return image_seed(seed, class_index, index) // 7


class SyntheticWriter:
    """Writes accepted images into a workspace. While files are encoded, the next chunk is generated and judged."""

    def __init__(
        self,
        workspace: Workspace,
        sampler: Sampler,
        gate: Gate | None,
        fit: Fit,
        tables: Tables,
        train_paths: Sequence[str],
        threads: int,
    ) -> None:
        self.workspace = workspace
        self.sampler = sampler
        self.gate = gate
        self.fit = fit
        self.tables = tables
        self.train_paths = train_paths
        self._pool = ThreadPoolExecutor(threads)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(quiet_decoding())
        self._stack.enter_context(_half_of_the_cores())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._stack.close()

    def fill(
        self,
        label: str,
        count: int,
        output: Output,
        looks: Sequence[LookCount],
        prefix: str,
        allow_short: bool,
        task: Task,
    ) -> None:
        """Write images of a class until `count` are there; `output` says how far earlier work came.

        Raises:
            RunFailed: the class cannot be filled, and `allow_short` is not given.
        """
        index = self.sampler.class_index(label)
        folder = self.workspace.tree / "train" / label
        pending: deque[_Pending] = deque()
        batches = judged(
            self.sampler, self.gate, label, count,
            limit=max_candidates(count), chunk=output.chunks, have=output.written,
        )  # fmt: skip
        wardrobe = Wardrobe(looks, self.fit, self.sampler.trained.resolution)
        remembered = output.remembered
        for batch in batches:
            memory = None
            if self.gate is not None:
                memory = self.gate.memory(index, remembered)
                remembered += len(memory)
            pending.append(self._start(batch, index, folder, wardrobe, prefix, memory))
            while len(pending) > _AHEAD:
                self._end(pending.popleft(), label, index, looks, prefix, output, task)
        while pending:
            self._end(pending.popleft(), label, index, looks, prefix, output, task)
        if self.gate is not None:
            self.gate.forget(index)
        if output.written < count and not allow_short:
            raise shortfall(label, output.written, count, output.rejected)

    def _start(
        self,
        batch: Batch,
        index: int,
        folder: Path,
        wardrobe: Wardrobe,
        prefix: str,
        memory: NDArray[np.float32] | None,
    ) -> _Pending:
        """Choose looks for the accepted images of a chunk, and let the threads write them."""
        rows, chosen, work = np.flatnonzero(batch.judgement.accepted), [], []
        for row in rows:
            number = batch.chunk * CHUNK + int(row)
            chosen.append(wardrobe.choose(batch.pixels[row], look_draw(self.sampler.seed, index, number)))
            look = wardrobe.looks[chosen[-1]]
            work.append((folder / file_name(prefix, number, look), batch.pixels[row], look))
        files = [self._pool.submit(self._write, work[start : start + _SLICE]) for start in range(0, len(work), _SLICE)]
        return _Pending(batch, rows, chosen, memory, files)

    def _write(self, work: Sequence[tuple[Path, NDArray[np.uint8], Look]]) -> list[Written]:
        return [write_synthetic(path, pixels, look, self.fit, self.tables) for path, pixels, look in work]

    def _end(
        self,
        pending: _Pending,
        label: str,
        index: int,
        looks: Sequence[LookCount],
        prefix: str,
        output: Output,
        task: Task,
    ) -> None:
        """Wait for the files of a chunk and record it."""
        written = [file for future in pending.files for file in future.result()]
        judgement, first = pending.batch.judgement, pending.batch.chunk * CHUNK
        rows = []
        for row, look, file in zip(pending.rows, pending.looks, written, strict=True):
            rows.append(
                synthetic_row(
                    file_name=f"{label}/{file_name(prefix, first + int(row), looks[look])}",
                    label=label,
                    class_index=index,
                    width=file.width,
                    height=file.height,
                    sha256=file.sha256,
                    pixel_sha256=file.pixel_sha256,
                    seed=self.sampler.seed,
                    sample_index=first + int(row),
                    checkpoint_sha256=self.sampler.trained.sha256,
                    look=look,
                    gate=self._measured(judgement, int(row)),
                )
            )
        memory = 0
        if pending.memory is not None and len(pending.memory):
            self.workspace.remember(index, pending.memory)
            memory = len(pending.memory)
        entry = {
            "kind": "synthetic",
            "split": "train",
            "label": label,
            "chunk": pending.batch.chunk,
            "rows": rows,
            "rejected": dict(judgement.rejected),
            "remembered": memory,
        }
        self.workspace.record(entry)
        output.count(entry)
        task.advance(len(rows))
        if output.rejected:
            task.note(f"{label}: turned away " + ", ".join(f"{r} {n}" for r, n in output.rejected.most_common()))

    def _measured(self, judgement: Judgement, row: int) -> dict[str, Any]:
        nearest = int(judgement.nearest_real_index[row])
        values = (judgement.agreement[row], judgement.nearest_real_distance[row])
        agreement, distance = (float(value) if np.isfinite(value) else NO_NUMBER for value in values)
        return gate_row(agreement, distance, self.train_paths[nearest] if nearest >= 0 else NO_TEXT)


def file_name(prefix: str, index: int, look: Look) -> str:
    return f"{prefix}{index:06d}{look.suffix}"
