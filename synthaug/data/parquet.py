"""Parquet files with a column of images and one of classes, as Hugging Face `datasets` write them: needs pyarrow.

An image is a struct of `bytes` and `path`; it is named by its row and that path's last part. Classes are a
`ClassLabel` or a column of text or whole numbers named in `metadata.LABEL_COLUMNS`.
"""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Any

from synthaug.data.decode import MAX_FILE_BYTES, SUFFIXES
from synthaug.data.metadata import COLUMN_HINT, LABEL_COLUMNS, flag
from synthaug.data.shards import BrokenShard, Member, fault_of_name
from synthaug.errors import SynthaugError

try:
    import pyarrow
    import pyarrow.parquet
except ImportError as error:
    raise SynthaugError("reading Parquet files needs pyarrow", "pip install 'synthaug[parquet]'") from error

_MOST_GROUP = 4 << 30  # bytes of images in a row group, all of which a reader must hold
_MOST_TEXT = 1 << 30  # characters of paths and labels in a row group
_LONGEST, _LONGEST_LABEL = 120, 1000  # a longer label is refused as a name of a class
_MAGIC = (
    (b"\x89PNG", ".png"), (b"\xff\xd8", ".jpg"), (b"RIFF", ".webp"), (b"GIF8", ".gif"), (b"BM", ".bmp"),
    (b"II*\0", ".tif"), (b"MM\0*", ".tif"),
)  # fmt: skip


class ParquetShard:
    """A Parquet file; of its images, the last two row groups that were read stay in memory."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, Lock()
        self._groups: dict[int, list[bytes | None] | OSError] = {}
        self._rows: dict[str, tuple[int, int]] = {}
        self.members: dict[str, Member] = {}
        self.faults: dict[str, str] = {}
        try:
            with pyarrow.parquet.ParquetFile(path) as file:
                self._image, label, names = _columns(file.schema_arrow, path)
                first = 0
                for group in range(file.num_row_groups):
                    self._index(file, group, first, label, names)
                    first += file.metadata.row_group(group).num_rows
        except (pyarrow.ArrowException, OSError, ValueError, KeyError, StopIteration) as error:
            raise BrokenShard(path, f"not as its schema says: {error}", "write it again") from error

    def read(self, name: str) -> bytes:
        group, row = self._rows[name]
        with self._lock:
            if group not in self._groups:
                self._groups = dict([*self._groups.items()][-1:])
                with pyarrow.parquet.ParquetFile(self._path) as file:
                    self._groups[group] = self._images(file, group)
            images = self._groups[group]
        if isinstance(images, OSError):
            raise images
        if (data := images[row]) is None:
            raise OSError(errno.EINVAL, "the image is not in the file", str(self._path))
        return data

    def _images(self, file: Any, group: int) -> list[bytes | None] | OSError:
        """The images of a row group, or why they cannot be read."""
        images: list[bytes | None] = []
        total = 0
        try:
            for row in _rows(file, group, [f"{self._image}.bytes"]):
                data = (row[self._image] or {}).get("bytes")
                total += len(data or b"")
                if total > _MOST_GROUP:
                    return OSError(errno.EINVAL, _too_large(), str(self._path))
                images.append(data if data is not None and len(data) <= MAX_FILE_BYTES else None)
        except (pyarrow.ArrowException, OSError) as error:
            return OSError(errno.EIO, f"broken row group {group}: {error}", str(self._path))
        return images

    def _index(self, file: Any, group: int, first: int, label: str, names: list[str] | None) -> None:
        about = file.metadata.row_group(group)
        columns = [about.column(k) for k in range(about.num_columns)]
        size = next(c.total_uncompressed_size for c in columns if c.path_in_schema == f"{self._image}.bytes")
        if size > _MOST_GROUP:
            self.faults[f"{first:08d}"] = _too_large()
            return
        wanted = [c for c in (f"{self._image}.path", label, "synthetic") if c in {c.path_in_schema for c in columns}]
        images: list[bytes | None] | OSError | None = None
        text = row = 0
        for row, found in enumerate(_rows(file, group, wanted), 1):
            path, value = str((found.get(self._image) or {}).get("path") or ""), found[label]
            text += len(path) + len(str(value))
            if text > _MOST_TEXT:
                raise ValueError(f"more than {_MOST_TEXT >> 20} MiB of text in a row group")
            suffix = Path(path).suffix.lower()
            if suffix not in SUFFIXES:  # the contents tell the kind
                images = self._images(file, group) if images is None else images
                suffix = _suffix(None if isinstance(images, OSError) else images[row - 1])
            name = f"{first + row - 1:08d}{_stem(path)}{suffix}"
            self._rows[name] = group, row - 1
            self.members[name] = Member(
                size // max(1, about.num_rows), _label(value, names), flag(found.get("synthetic"))
            )
        if row != about.num_rows:
            raise ValueError(f"{row} rows instead of {about.num_rows}")


def _rows(file: Any, group: int, columns: list[str]) -> Iterator[dict[str, Any]]:
    """The rows of a row group, one by one: sizes that a file gives may be too small, and a value may stand for many."""
    # one thread: this may be a forked process
    for batch in file.iter_batches(batch_size=1, row_groups=[group], columns=columns, use_threads=False):
        yield from batch.to_pylist()


def _too_large() -> str:
    return f"a row group of more than {_MOST_GROUP >> 20} MiB of images"


def _columns(schema: Any, path: Path) -> tuple[str, str, list[str] | None]:
    """The names of the columns of images and classes, and the names of the classes, if they are numbers.

    Raises:
        BrokenShard: there is no such column, or more than one, or two columns have one name.
    """
    if len({*schema.names}) < len(schema.names):
        raise BrokenShard(path, "two columns of one name", "give each column a name of its own")
    features = _features(schema)
    structs = [field.name for field in schema if _is_image(field.type)]
    images = [name for name in structs if features.get(name, {}).get("_type", "Image") == "Image"]
    if len(images) != 1:
        shown = ", ".join(schema.names[:20])
        raise BrokenShard(
            path,
            f"{len(images) or 'no'} columns of images (columns: {shown})",
            "keep one column of the type `datasets.Image`, a struct of bytes and path",
        )
    classes = [
        field.name for field in schema
        if features.get(field.name, {}).get("_type") == "ClassLabel" and _is_label(field.type)
    ]  # fmt: skip
    plain = [c for c in LABEL_COLUMNS if c in schema.names and _is_label(schema.field(c).type)]
    label = next(iter([c for c in plain if c in classes] or (classes if len(classes) == 1 else plain)), None)
    if label is None:
        fault = f"several ({', '.join(classes)})" if classes else "no"
        raise BrokenShard(path, f"{fault} columns of classes", COLUMN_HINT)
    names = features.get(label, {}).get("names")
    return images[0], label, [str(name) for name in names] if isinstance(names, list) else None


def _features(schema: Any) -> dict[str, dict[str, Any]]:
    """The types of the columns as `datasets` notes them."""
    try:
        found = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: feature for name, feature in found.items() if isinstance(feature, dict)}
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return {}


def _is_image(kind: Any) -> bool:
    index = kind.get_field_index("bytes") if pyarrow.types.is_struct(kind) else -1
    return index >= 0 and bool(
        pyarrow.types.is_binary(kind[index].type) or pyarrow.types.is_large_binary(kind[index].type)
    )


def _is_label(kind: Any) -> bool:
    return bool(pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind) or pyarrow.types.is_integer(kind))


def _label(value: Any, names: list[str] | None) -> str | None:
    if isinstance(value, int) and names is not None:
        return names[value] if 0 <= value < len(names) else None
    return None if value is None else str(value).strip()[:_LONGEST_LABEL] or None


def _stem(path: str) -> str:
    """The last part of a path that came with an image, if it can be a part of ours."""
    stem = re.split(r"[/\\]", path)[-1].rpartition(".")[0]
    return f"-{stem}" if stem and len(stem) <= _LONGEST and fault_of_name(stem) is None else ""


def _suffix(image: bytes | None) -> str:
    return next((suffix for magic, suffix in _MAGIC if (image or b"").startswith(magic)), ".png")
