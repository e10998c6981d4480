"""An export's destination at a URL.

The export is built and packed in a hidden folder on this machine, and then uploaded. Object storage cannot rename a
folder, so a mark says what is unfinished: `_UNFINISHED.json` is the first file at the URL and the last to go, and
`manifest.json`, which makes a folder an export, is uploaded after everything else.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from synthaug.documents import ExportDocument
from synthaug.errors import RunFailed, SynthaugError
from synthaug.exporters.manifest import MANIFEST
from synthaug.exporters.workspace import PACKED, UPLOADED, Workspace
from synthaug.files import digest, write_text
from synthaug.parsing import JSON_BYTES, ParseError, parse_json
from synthaug.progress import Progress
from synthaug.storage import UNFINISHED, Storage, name_of

_MOST = 1 << 20


class NotUploaded(RunFailed):
    """The export is ready on this machine, but not at its URL."""


@dataclass(frozen=True)
class Remote:
    """A folder at a URL for an export."""

    storage: Storage

    @classmethod
    def open(cls, url: str) -> Remote:
        """Raises: SynthaugError: a package is missing."""
        return cls(Storage.open(url))

    @property
    def url(self) -> str:
        return self.storage.url

    @property
    def built_in(self) -> Path:
        """The name, on this machine, beside which the unfinished export lies; the same for each call."""
        return Path("exports").absolute() / f"{name_of(self.url)[:40]}-{digest(self.url)[:8]}"

    def check(self, *, overwrite: bool) -> None:
        """Refuse a URL where something lies. With `overwrite`, it may be an earlier export, also an unfinished one.

        Raises:
            SynthaugError: something is there.
            RunFailed: the storage cannot be read.
        """
        there = self.storage.files()
        if not there or self._is_mine(there):
            return
        if UNFINISHED in there:
            begun = _document(self.storage.read(UNFINISHED, _MOST))
            if not overwrite or begun.get("tool") != "synthaug":
                where = f"on {begun.get('host')!r} in {begun.get('folder')!r}"
                raise SynthaugError(
                    f"{self.url!r} holds an unfinished export, begun {where}: it can only be continued there, where "
                    "its images are",
                    "run the command there, or replace it with --overwrite",
                )
        elif _document(self.storage.read(MANIFEST, JSON_BYTES) if MANIFEST in there else b"").get("tool") != "synthaug":
            raise SynthaugError(
                f"{self.url!r} holds {next(iter(there))!r}, is not an earlier export and is not overwritten",
                "give another folder with --out",
            )
        elif not overwrite:
            raise SynthaugError(f"{self.url!r} exists already", "give another folder with --out, or --overwrite")

    def _is_mine(self, there: Mapping[str, Any]) -> bool:
        return UNFINISHED in there and _document(self.storage.read(UNFINISHED, _MOST)) == self._mark()

    def _mark(self) -> dict[str, Any]:
        return {"tool": "synthaug", "host": platform.node(), "folder": str(Workspace(self.built_in).path)}

    def upload(self, workspace: Workspace, document: ExportDocument, progress: Progress, *, overwrite: bool) -> None:
        """Bring a packed export to the URL, and delete it here. An interrupted upload goes on after its last file.

        What has appeared at the URL since the command began is not replaced, unless `overwrite` says so.

        Raises:
            NotUploaded: the storage or a disk fails, or something is there; the export stays here, and the same call
                continues.
        """
        write_text(workspace.path / PACKED, document.model_dump_json())
        try:
            self.check(overwrite=overwrite)
            self._upload(workspace, progress)
        except (SynthaugError, OSError) as error:
            hint = "the export is ready on this machine: run the same command again, and it is uploaded from there"
            raise NotUploaded(error.message if isinstance(error, SynthaugError) else str(error), hint) from error
        workspace.discard()

    def _upload(self, workspace: Workspace, progress: Progress) -> None:
        journal, tree = workspace.path / UPLOADED, workspace.tree
        there = self.storage.files()
        if not (journal.exists() and self._is_mine(there)):
            self.storage.write(UNFINISHED, json.dumps(self._mark()).encode())
            self.storage.remove([MANIFEST] if MANIFEST in there else [])  # from here on it is no export any more
            self.storage.remove(sorted(there.keys() - {UNFINISHED, MANIFEST}))
            journal.write_text("")
        done = set(journal.read_text(encoding="utf-8").splitlines()) & there.keys()
        names = sorted(p.relative_to(tree).as_posix() for p in tree.rglob("*") if p.is_file())
        names.sort(key=lambda name: name == MANIFEST)
        with progress.task("upload", len(names), "files") as task, journal.open("a", encoding="utf-8") as finished:
            for name in names:
                if name not in done:
                    self.storage.upload(tree / name, name)
                    finished.write(name + "\n")
                    finished.flush()
                task.advance()
        self.storage.remove([UNFINISHED])


def packed(workspace: Workspace) -> ExportDocument | None:
    """The document of an export that is only to be uploaded; None if there is work left."""
    with suppress(OSError, ValidationError):
        return ExportDocument.model_validate_json((workspace.path / PACKED).read_text(encoding="utf-8"))
    return None


def _document(text: bytes) -> dict[str, Any]:
    try:
        found = parse_json(text.decode())
    except (ParseError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}
