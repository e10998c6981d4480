"""The hidden folder of an unfinished export, with a journal so that an interrupted export can be continued.

    .NAME.partial/
        settings.json   options of the export; an export with other options starts again
        writer.lock     held by the process that writes the export; writer.json says which
        journal.jsonl   for each finished chunk, in order: a line that describes it, then its rows of metadata
        accepted/       features of accepted images, for the gates; one file per class
        packed.json     the command's result, once the tree is complete and only to be uploaded
        uploaded.txt    the files that are uploaded, if it goes to a URL
        tree/           the export itself; becomes NAME

A process can be killed at any moment. The next process reads the journal up to the first entry that is incomplete or
whose files differ from their hashes, deletes everything after it, and continues from there. It uses and empties only a
real folder with nothing but these in it: a link, a pipe or a user's file in their place is an error.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from synthaug.errors import SynthaugError
from synthaug.exporters.manifest import METADATA, dump_row, is_export
from synthaug.files import make_folders, remove_empty, replacing, sha256, write_json
from synthaug.locks import LOCK, NOTE, only_writer

SETTINGS, JOURNAL, PACKED, UPLOADED = "settings.json", "journal.jsonl", "packed.json", "uploaded.txt"
_FILES = (SETTINGS, JOURNAL, PACKED, UPLOADED, LOCK, NOTE, "accepted", "tree")
_OURS = re.compile("|".join(map(re.escape, _FILES)) + r"|\..*\.tmp")


class Workspace:
    """The hidden folder of one export. Call `open` first, and `finish`, `discard` or `release` last."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.path = out.parent / f".{out.name}.partial"
        self.tree = self.path / "tree"
        self.replaced = out.parent / f".{out.name}.replaced"
        self._lock = ExitStack()
        self._journal: FileIO | None = None
        self._index: dict[tuple[str, str, str], list[tuple[int, int]]] | None = None
        self._locked = False
        self._made: list[Path] = []

    def open(self, settings: Mapping[str, Any]) -> Literal["new", "continued", "discarded"]:
        """Lock the folder, and return whether an earlier export is continued; one with other settings is discarded.

        Raises:
            SynthaugError: another process is exporting to the same place, or something else lies in the folder's place.
        """
        self._put_back()
        self._check_ours()
        self._made = make_folders(self.path)
        self._lock.enter_context(only_writer(self.path, f"the unfinished export to {str(self.out)!r}"))
        self._locked = True
        wanted = json.loads(json.dumps(settings))
        file = self.path / SETTINGS
        earlier = file.exists()
        with suppress(OSError, ValueError):
            if json.loads(file.read_text(encoding="utf-8")) == wanted and self.tree.is_dir():
                return "continued"
        for stale in self.path.iterdir():
            if stale.name not in (LOCK, NOTE):
                shutil.rmtree(stale) if stale.is_dir() else stale.unlink()
        self.tree.mkdir()
        (self.path / "accepted").mkdir()
        write_json(file, wanted)
        return "discarded" if earlier else "new"

    def _check_ours(self) -> None:
        """Check that the folder is missing, or one that an earlier export left."""
        if not os.path.lexists(self.path):
            return
        strange = [self.path]
        if _is(self.path, stat.S_ISDIR):
            strange = [entry for entry in self.path.iterdir() if not _OURS.fullmatch(entry.name)]
            strange += [p for p in self.path.rglob("*") if not (_is(p, stat.S_ISDIR) or _is(p, stat.S_ISREG))]
        if strange:
            raise SynthaugError(
                f"{str(strange[0])!r} is in the place of an unfinished export, and no export has made it",
                "move it away, or give another folder with --out",
            )

    def _put_back(self) -> None:
        """Restore the old export if a process died after moving it away and before moving the new one in."""
        if _is(self.replaced, stat.S_ISDIR) and not self.out.exists():
            self.replaced.rename(self.out)

    def journal(self) -> Iterator[dict[str, Any]]:
        """The entries of an earlier process whose files are complete; everything after them is deleted."""
        file = self.path / JOURNAL
        file.touch()
        whole, known = 0, set[Path]()
        with file.open("rb") as lines:
            while (entry := _next_entry(lines)) is not None and self._files_are_whole(entry, known):
                whole = lines.tell()
                yield entry
        with file.open("r+b") as lines:
            lines.truncate(whole)
        for path in list(self.tree.rglob("*")):
            if path.is_file() and path not in known:
                path.unlink()

    def _files_are_whole(self, entry: Mapping[str, Any], known: set[Path]) -> bool:
        for row in entry.get("rows", ()):
            path = self.tree / entry["split"] / row["file_name"]
            try:
                if sha256(path) != row["sha256"]:
                    return False
            except OSError:
                return False
            known.add(path)
        return True

    def record(self, entry: Mapping[str, Any]) -> None:
        """Append a finished chunk; its files must be written already."""
        if self._journal is None:
            self._journal = (self.path / JOURNAL).open("ab", buffering=0)
        self._index = None
        lines = [dump_row({**entry, "rows": len(entry["rows"])}), *map(dump_row, entry["rows"]), ""]
        data = "\n".join(lines).encode()
        if self._journal.write(data) != len(data):  # unbuffered: a full disk writes a part and raises nothing
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path / JOURNAL))

    def rows(self, split: str, label: str, kind: str) -> Iterator[bytes]:
        """The lines of metadata of the finished chunks of one kind, chunk by chunk."""
        with (self.path / JOURNAL).open("rb") as file:
            for start, size in self._places().get((split, label, kind), ()):
                file.seek(start)
                yield file.read(size)

    def write_metadata(self, split: str) -> None:
        """Write the rows of a split by class, real ones first, with one chunk in memory at a time."""
        folder = self.tree / split
        if not folder.is_dir():
            return
        labels = sorted(p.name for p in folder.iterdir() if p.is_dir())
        with replacing(folder / METADATA) as temporary, temporary.open("wb") as file:
            for label in labels:
                for kind in ("real", "synthetic"):
                    file.writelines(self.rows(split, label, kind))

    def _places(self) -> dict[tuple[str, str, str], list[tuple[int, int]]]:
        """Start and size in bytes of the rows of each journal entry, by split, class and kind."""
        if self._index is None:
            self._index = {}
            with (self.path / JOURNAL).open("rb") as lines:
                while line := lines.readline():
                    entry, start = json.loads(line), lines.tell()
                    size = sum(len(lines.readline()) for _ in range(entry["rows"]))
                    self._index.setdefault((entry["split"], entry["label"], entry["kind"]), []).append((start, size))
        return self._index

    def remember(self, class_index: int, rows: NDArray[np.float32]) -> None:
        """Append features of accepted images, float32 [n, d]. Call it before `record`, which counts them."""
        with (self.path / "accepted" / f"{class_index}.f32").open("ab") as file:
            file.write(np.ascontiguousarray(rows, "<f4").tobytes())

    def remembered(self, class_index: int, count: int, dim: int) -> NDArray[np.float32]:
        """The first `count` remembered rows [count, dim]; later rows, which no record counts, are dropped."""
        file = self.path / "accepted" / f"{class_index}.f32"
        if not file.exists() and count == 0:
            return np.empty((0, dim), np.float32)
        with file.open("r+b") as handle:
            handle.truncate(count * dim * 4)
        return np.fromfile(file, "<f4").reshape(count, dim).astype(np.float32)

    def finish(self) -> None:
        """Move the tree to the destination; an earlier export there is replaced."""
        self.close()
        if self.out.exists():
            if not is_export(self.out):
                raise SynthaugError(f"{str(self.out)!r} appeared while exporting", "give another folder with --out")
            shutil.rmtree(self.replaced, ignore_errors=True)
            self.out.rename(self.replaced)
        try:
            self.tree.rename(self.out)
        except OSError:
            self._put_back()
            raise
        shutil.rmtree(self.replaced, ignore_errors=True)
        self.release()
        shutil.rmtree(self.path, ignore_errors=True)

    def discard(self) -> None:
        """Delete the unfinished export, if this process holds its lock, and the folders made for it."""
        if self._locked:
            self.release()
            shutil.rmtree(self.path, ignore_errors=True)
        remove_empty(self._made)

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def release(self) -> None:
        """Unlock the folder and keep its contents."""
        self.close()
        self._lock.close()
        self._locked = False


def _is(path: Path, kind: Callable[[int], bool]) -> bool:
    """Whether something of a kind of `stat` lies there. A link is not what it points to."""
    try:
        return kind(path.lstat().st_mode)
    except OSError:
        return False


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
