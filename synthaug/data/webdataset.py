"""WebDataset shards: tar files in which a sample is an image with a `.cls` or `.json` of the same name before its dot.

https://github.com/webdataset/webdataset. The class is a text in the JSON object (`label` or another of
`metadata.LABEL_COLUMNS`), else the contents of the `.cls`, else a number in the object.
"""

from __future__ import annotations

import errno
import tarfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from typing_extensions import Self

from synthaug.data.decode import MAX_FILE_BYTES, SUFFIXES
from synthaug.data.metadata import LABEL_COLUMNS, flag
from synthaug.data.shards import BrokenShard, Member, fault_of_name
from synthaug.parsing import ParseError, is_text, parse_json

_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_MOST_HEADER = 1 << 20
_MOST_TEXT = 1 << 20
_BLOCK = 512


class _Header(tarfile.TarInfo):
    """A header whose extensions, which `tarfile` reads into memory, are of bounded size."""

    @classmethod
    def frombuf(cls, buf: Any, encoding: str, errors: str) -> Self:
        header = super().frombuf(buf, encoding, errors)
        if header.type in _HEADERS and not 0 <= header.size <= _MOST_HEADER:
            raise tarfile.ReadError("a header of more than 1 MiB")
        return header


class TarShard:
    """A tar file, not compressed, so that each image can be read alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places: dict[str, tuple[int, int]] = {}
        self.faults: dict[str, str] = {}
        self._labels: dict[str, dict[str, Any]] = defaultdict(dict)
        try:
            with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:", tarinfo=_Header) as tar:
                self._index(tar, path.stat().st_size)
        except (tarfile.TarError, ValueError, OverflowError, IndexError, RecursionError, OSError) as error:
            # numbers of a broken header, a sparse one that is cut off, or thousands of long names
            if not self._places:
                raise BrokenShard(path, f"not an uncompressed tar file ({error})", "pack it again") from error
            self.faults[""] = f"broken after {len(self._places)} images: {error}"
        self.members = {name: self._member(name, size) for name, (_, size) in self._places.items()}
        del self._labels

    def read(self, name: str) -> bytes:
        start, size = self._places[name]
        with self._path.open("rb", buffering=0) as file:
            file.seek(start)
            data = file.read(size)
        if len(data) != size:
            raise OSError(errno.EIO, "the shard was cut off", str(self._path))
        return data

    def _index(self, tar: tarfile.TarFile, size: int) -> None:
        images: dict[str, str] = {}
        for info in tar:
            tar.members = []  # type: ignore[attr-defined]  # it would keep every header
            if info.size < 0:  # `tarfile` would go back, and never end
                raise tarfile.ReadError("a header with a negative size")
            if info.isdir():
                continue
            name = info.name.removeprefix("./")
            if fault := self._fault(info, name, size):
                self.faults[name if is_text(name) else name.encode("utf-8", "replace").decode()] = fault
                continue
            folder, slash, file = name.rpartition("/")
            key, _, kind = file.partition(".")
            key, kind = f"{folder}{slash}{key}", kind.lower()
            if f".{kind}" in SUFFIXES:
                if images.setdefault(key, name) != name or name in self._places:
                    self.faults[name] = "a second image of its sample, or a second file of its name"
                else:
                    self._places[name] = info.offset_data, info.size
            elif kind in ("cls", "json") and info.size <= _MOST_TEXT and (member := tar.extractfile(info)) is not None:
                self._labels[key][kind] = member.read()
        self._check_end(tar)

    def _fault(self, info: tarfile.TarInfo, name: str, size: int) -> str | None:
        if fault := fault_of_name(name):
            return fault
        if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or info.sparse:
            return "not a regular file"
        if info.size > MAX_FILE_BYTES:
            return f"the file is larger than {MAX_FILE_BYTES >> 20} MiB"
        return "the shard was cut off" if info.offset_data + info.size > size else None

    @staticmethod
    def _check_end(tar: tarfile.TarFile) -> None:
        """`tarfile` takes a broken header for the end; after the last file there is a block of zeros, or nothing."""
        assert tar.fileobj is not None
        tar.fileobj.seek(tar.offset)
        if any(tar.fileobj.read(_BLOCK)):
            raise tarfile.ReadError("a broken header")

    def _member(self, name: str, size: int) -> Member:
        folder, slash, file = name.rpartition("/")
        texts = self._labels.get(f"{folder}{slash}{file.partition('.')[0]}", {})
        try:
            row = parse_json(texts["json"].decode()) if "json" in texts else {}
            written = texts["cls"].decode().strip() if "cls" in texts else None
        except (ParseError, UnicodeDecodeError):
            return Member(size, None)
        row = row if isinstance(row, dict) else {}
        named = [row[column] for column in LABEL_COLUMNS if column in row]
        text = next((value for value in named if isinstance(value, str) and value.strip()), None)
        number = next((str(value) for value in named if isinstance(value, int) and not isinstance(value, bool)), None)
        return Member(size, text or written or number, flag(row.get("synthetic")))
