"""The journal of one class of an unfinished export, and what else is stored of the class until the export is finished.

    classes/NAME/
        journal.jsonl   for each finished chunk, in order: a line that describes it, then its rows of metadata
        accepted.f32    features of accepted images, for the gates
        writer.lock     held by the task that fills the class, if another process runs it

The real images of a class come before its synthetic ones. A process can be killed at any moment: the next one reads the
journal up to the first entry that is incomplete, or whose files differ from their hashes.

A class may be filled by a task on another machine, which outlives the command if that is killed or interrupted. Such a
task holds the lock of its class, and ends at its next entry if the export is no longer that of its command.
"""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from synthaug.errors import RunFailed, SynthaugError
from synthaug.exporters.manifest import dump_row
from synthaug.files import sha256
from synthaug.locks import NOTE, only_writer

TREE, JOURNAL, ACCEPTED = "tree", "journal.jsonl", "accepted.f32"
_WAIT = 60  # seconds for a task that is ending, which takes as long as a chunk of images


@dataclass(frozen=True)
class Journal:
    """The journal of a class.

    `folder` is its place in `workspace`, the folder of the export; `holder` is the note of the command that exports.
    """

    workspace: Path
    folder: Path
    holder: bytes

    @property
    def tree(self) -> Path:
        """The export that the rows describe."""
        return self.workspace / TREE

    @property
    def file(self) -> Path:
        return self.folder / JOURNAL

    def entries(self, known: set[Path] | None = None) -> Iterator[dict[str, Any]]:
        """The entries that are complete; everything after them is deleted.

        Args:
            known: if given, an entry's files must have the hashes of its rows, too, and are added to it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.file.touch()
        whole = 0
        with self.file.open("rb") as lines:
            while (entry := _next_entry(lines)) is not None and (known is None or self._are_whole(entry, known)):
                whole = lines.tell()
                yield entry
        with self.file.open("r+b") as lines:
            lines.truncate(whole)

    def _are_whole(self, entry: Mapping[str, Any], known: set[Path]) -> bool:
        for row in entry.get("rows", ()):
            path = self.tree / entry["split"] / row["file_name"]
            try:
                if sha256(path) != row["sha256"]:
                    return False
            except OSError:
                return False
            known.add(path)
        return True

    def only_writer(self) -> AbstractContextManager[None]:
        """The lock of the class, for a task of another process. A task that is ending is waited for.

        Raises:
            Held: another task does not end.
            SynthaugError: this machine does not see the export.
        """
        if not self.workspace.is_dir():
            raise SynthaugError(
                f"{socket.gethostname()} does not see the folder of the export, {str(self.workspace)!r}",
                "give a folder on a disk that all machines share with --out",
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        return only_writer(self.folder, f"the class {self.folder.name!r} of an unfinished export", wait=_WAIT)

    def record(self, entry: Mapping[str, Any]) -> None:
        """Append a finished chunk; its files must be written already.

        Raises:
            RunFailed: the command that exports has ended, or another one goes on.
        """
        if holder_of(self.workspace) != self.holder:
            raise RunFailed(
                f"the export in {str(self.workspace)!r} is no longer that of this task", "run the export again"
            )
        lines = [dump_row({**entry, "rows": len(entry["rows"])}), *map(dump_row, entry["rows"]), ""]
        data = "\n".join(lines).encode()
        with self.file.open("ab", buffering=0) as file:
            if file.write(data) != len(data):  # unbuffered: a full disk writes a part and raises nothing
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.file))

    def rows(self, split: str) -> Iterator[bytes]:
        """The lines of metadata of a finished class, real images first."""
        with self.file.open("rb") as lines:
            while line := lines.readline():
                entry = json.loads(line)
                for _ in range(entry["rows"]):
                    row = lines.readline()
                    if entry["split"] == split:
                        yield row

    def remember(self, rows: NDArray[np.float32]) -> None:
        """Append features of accepted images, float32 [n, d]. Call it before `record`, which counts them."""
        with (self.folder / ACCEPTED).open("ab") as file:
            file.write(np.ascontiguousarray(rows, "<f4").tobytes())

    def remembered(self, count: int, dim: int) -> NDArray[np.float32]:
        """The first `count` remembered rows [count, dim]; later rows, which no record counts, are dropped."""
        file = self.folder / ACCEPTED
        if not file.exists() and count == 0:
            return np.empty((0, dim), np.float32)
        if file.stat().st_size < count * dim * 4:
            raise SynthaugError(
                f"{str(file)!r} was cut off, perhaps by a power cut",
                "run the same command again: the export starts anew",
            )
        with file.open("r+b") as handle:
            handle.truncate(count * dim * 4)
        return np.fromfile(file, "<f4").reshape(count, dim).astype(np.float32)


def holder_of(workspace: Path) -> bytes:
    """The note of the command that holds the lock of an export; empty if there is none."""
    try:
        return (workspace / NOTE).read_bytes()
    except OSError:
        return b""


def _next_entry(journal: BinaryIO) -> dict[str, Any] | None:
    """The next entry with its rows; None at the end, or if a process was killed while it wrote the entry."""
    try:
        entry: dict[str, Any] = _parsed(journal.readline())
        entry["rows"] = [_parsed(journal.readline()) for _ in range(entry["rows"])]
    except (ValueError, TypeError, KeyError):
        return None
    return entry


def _parsed(line: bytes) -> Any:
    if not line.endswith(b"\n"):
        raise ValueError(line)
    return json.loads(line)
