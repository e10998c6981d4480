"""The hidden folder of an unfinished export, with journals so that an interrupted export can be continued.

    .NAME.partial/
        settings.json   options of the export; an export with other options starts again
        writer.lock     held by the process that writes the export; writer.json says which
        classes/        a folder per class with its journal: see `journal`
        packed.json     the command's result, once the tree is complete and only to be uploaded
        uploaded.txt    the files that are uploaded, if it goes to a URL
        tree/           the export itself; becomes NAME

A process can be killed at any moment. The next process reads the journals as far as they are whole, deletes everything
else, and continues from there. It uses and empties only a real folder with nothing but these in it: a link, a pipe or a
user's file in their place is an error.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Literal

from synthaug.errors import SynthaugError
from synthaug.exporters.journal import TREE, Journal, holder_of
from synthaug.exporters.manifest import METADATA, is_export
from synthaug.files import make_folders, move, remove_empty, replacing, write_json
from synthaug.locks import LOCK, NOTE, is_held, only_writer

SETTINGS, CLASSES, PACKED, UPLOADED = "settings.json", "classes", "packed.json", "uploaded.txt"
_EARLIER = ("journal.jsonl", "accepted")  # of exports by earlier versions, which start again
_FILES = (SETTINGS, CLASSES, PACKED, UPLOADED, LOCK, NOTE, TREE, *_EARLIER)
_OURS = re.compile("|".join(map(re.escape, _FILES)) + r"|\..*\.tmp")


class Workspace:
    """The hidden folder of one export. Call `open` first, and `finish`, `discard` or `release` last."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.path = out.parent / f".{out.name}.partial"
        self.tree = self.path / TREE
        self.replaced = out.parent / f".{out.name}.replaced"
        self._lock = ExitStack()
        self._locked = False
        self._holder = b""
        self._made: list[Path] = []

    def open(self, settings: Mapping[str, Any]) -> Literal["new", "continued", "discarded"]:
        """Lock the folder, and return whether an earlier export is continued; one with other settings is discarded.

        Raises:
            SynthaugError: another process exports to the same place, or something else has the folder's name.
        """
        self._put_back()
        self._check_ours()
        self._made = make_folders(self.path)
        self._lock.enter_context(only_writer(self.path, f"the unfinished export to {str(self.out)!r}"))
        self._locked, self._holder = True, holder_of(self.path)
        self._await_tasks()
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
        write_json(file, wanted)
        return "discarded" if earlier else "new"

    def size(self) -> int:
        """Bytes of what an earlier call has left; what goes on needs no further space for it."""
        return sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file() and not file.is_symlink())

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

    def _await_tasks(self) -> None:
        """Wait for tasks on other machines that do not know yet that their command has ended.

        Raises:
            Held: one does not end.
        """
        for folder in filter(is_held, self.path.glob(f"{CLASSES}/*")):
            with self.journal(folder.name).only_writer():
                pass

    def _put_back(self) -> None:
        """Restore the old export if a process died after moving it away and before moving the new one in."""
        if _is(self.replaced, stat.S_ISDIR) and not self.out.exists():
            move(self.replaced, self.out)

    def journal(self, label: str) -> Journal:
        """The journal of a class. It can be pickled, for tasks of other processes."""
        return Journal(self.path, self.path / CLASSES / label, self._holder)

    def finished(self, labels: Iterable[str]) -> Iterator[dict[str, Any]]:
        """The entries of an earlier process whose files are complete; everything else is deleted."""
        known = set[Path]()
        for label in labels:
            yield from self.journal(label).entries(known)
        for path in list(self.tree.rglob("*")):
            if path.is_file() and path not in known:
                path.unlink()

    def write_metadata(self, split: str) -> None:
        """Write the rows of the journals of all classes of a split, one after the other."""
        folder = self.tree / split
        if not folder.is_dir():
            return
        labels = sorted(p.name for p in folder.iterdir() if p.is_dir())
        with replacing(folder / METADATA) as temporary, temporary.open("wb") as file:
            for label in labels:
                file.writelines(self.journal(label).rows(split))

    def finish(self) -> None:
        """Move the tree to the destination; an earlier export there is replaced."""
        if self.out.exists():
            if not is_export(self.out):
                raise SynthaugError(f"{str(self.out)!r} appeared while exporting", "give another folder with --out")
            shutil.rmtree(self.replaced, ignore_errors=True)
            move(self.out, self.replaced)
        try:
            move(self.tree, self.out)
        except OSError:
            self._put_back()
            raise
        shutil.rmtree(self.replaced, ignore_errors=True)
        self.release()
        shutil.rmtree(self.path, ignore_errors=True)

    def discard(self) -> None:
        """Delete the unfinished export, if this process holds its lock, and the folders made for it."""
        if self._locked:
            (self.path / NOTE).unlink(missing_ok=True)
            with suppress(SynthaugError):
                self._await_tasks()
            self.release()
            shutil.rmtree(self.path, ignore_errors=True)
        remove_empty(self._made)

    def release(self) -> None:
        """Unlock the folder and keep its contents."""
        self._lock.close()
        self._locked = False


def _is(path: Path, kind: Callable[[int], bool]) -> bool:
    """Whether something of a kind of `stat` lies there. A link is not what it points to."""
    try:
        return kind(path.lstat().st_mode)
    except OSError:
        return False
