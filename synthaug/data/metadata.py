"""Labels from a Hugging Face imagefolder table: `metadata.jsonl` or `metadata.csv` with `file_name` and a label column.

Format: https://huggingface.co/docs/datasets/image_dataset. `synthaug export` writes such tables; images that they mark
as synthetic keep the mark.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from synthaug.data.class_names import normalise_label
from synthaug.data.layout import SPLIT_FOLDERS, Entry, Found, Tree, is_image_name
from synthaug.documents import Unreadable
from synthaug.errors import SynthaugError
from synthaug.parsing import ParseError, parse_json, read_lines

LABEL_COLUMNS = ("label", "labels", "class", "category", "target", "class_name", "label_name")
COLUMN_HINT = f"name the label column one of: {', '.join(LABEL_COLUMNS)}"


def by_tables(tree: Tree, tables: list[str]) -> Found | None:
    """Read labels from the metadata tables of a folder; None if no table has the needed columns.

    Raises:
        SynthaugError: a table is broken, or a label cannot be the name of a class.
    """
    found = Found("metadata", ignored=list(tree.hidden))
    found.unreadable = [Unreadable(path=path, reason=reason) for path, reason in tree.refused.items()]
    seen: dict[str, str] = {}
    for table in tables:
        rows = list(rows_of(tree.root, table))
        column = next((c for c in LABEL_COLUMNS if any(c in row for _, row in rows)), None)
        if column is None or not any("file_name" in row for _, row in rows):
            found.ignored.append(table)
            continue
        for line, row in rows:
            _take(tree, table, line, row, column, found, seen)
    if not seen:
        return None
    with_images = {entry.label for entry in found.entries}
    found.empty = {label: reason for label, reason in found.empty.items() if label not in with_images}
    listed = set(seen) | set(tables)
    found.ignored += [path for path in tree.files if path not in listed]
    return found


def _take(
    tree: Tree, table: str, line: int, row: dict[str, Any], column: str, found: Found, seen: dict[str, str]
) -> None:
    where = f"{table} line {line}"
    name = row.get("file_name")
    if not isinstance(name, str) or not name.strip():
        raise SynthaugError(f"{where} has no file_name", "each row names its image, relative to the table's folder")
    if (path := inside(table, name.strip())) is None:
        found.unreadable.append(Unreadable(path=name, reason=f"{where} names a file outside the folder"))
        return
    value = row.get(column)
    if value is None or (isinstance(value, str) and not value.strip()) or isinstance(value, (list, dict, float)):
        found.ignored.append(f"{path} ({where}: no usable label)")
        return
    label = normalise_label(str(value), where)
    if path in seen:
        if seen[path] != label:
            raise SynthaugError(
                f"{where} labels {path!r} as {label!r}, an earlier row as {seen[path]!r}", "keep one of the two"
            )
        return
    seen[path] = label
    if path in tree.refused:
        return
    if path not in tree.files:
        found.unreadable.append(Unreadable(path=path, reason=f"{where} names it, but there is no such file"))
        found.empty.setdefault(label, "its files are missing")
        return
    if not is_image_name(path):
        found.unreadable.append(Unreadable(path=path, reason="not an image file by its name"))
        return
    split = SPLIT_FOLDERS.get(path.split("/", 1)[0].lower()) if "/" in path else None
    found.entries.append(Entry(path, label, split, tree.files[path], flag(row.get("synthetic"))))


def inside(table: str, name: str) -> str | None:
    """The file's path relative to the root; None if it leads out of the root."""
    relative = PurePosixPath(table).parent / name.replace("\\", "/")
    return None if relative.is_absolute() or ".." in relative.parts else str(relative)


def flag(value: Any) -> bool | None:
    if isinstance(value, str):
        return {"true": True, "1": True, "false": False, "0": False}.get(value.strip().lower())
    return bool(value) if isinstance(value, (bool, int)) else None


def names_files(root: Path, table: str) -> bool:
    """Whether a table says which image each row is about: its other columns can be used, also without a label."""
    return any("file_name" in row for _, row in rows_of(root, table))


def rows_of(root: Path, table: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows of a table with the numbers of their lines.

    Args:
        root: the folder.
        table: its path, relative to the folder.

    Raises:
        SynthaugError: the table cannot be read, or a line is not a row.
    """
    path, csv_file = root / table, table.endswith(".csv")
    try:
        lines = read_lines(path, newline="" if csv_file else "\n")
        yield from _csv_rows(table, lines) if csv_file else _json_rows(table, lines)
    except OSError as error:
        raise SynthaugError(f"cannot read {table}: {error.strerror}", "check its permissions") from error
    except ParseError as error:
        raise SynthaugError(f"{table} {error}", "write a table of UTF-8 text, with one row per image") from error


def _csv_rows(table: str, lines: Iterator[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(lines, strict=True)
    try:
        yield from ((reader.line_num, dict(row)) for row in reader)
    except csv.Error as error:
        message = f"{table} line {reader.line_num} is not valid CSV: {error}"
        raise SynthaugError(message, "check its quotes") from error


def _json_rows(table: str, lines: Iterator[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    hint = "write one JSON object per line"
    for line, content in enumerate(lines, start=1):
        if not content.strip():
            continue
        try:
            row = parse_json(content)
        except ParseError as error:
            raise SynthaugError(f"{table} line {line} {error}", hint) from error
        if not isinstance(row, dict):
            raise SynthaugError(f"{table} line {line} is not a JSON object", hint)
        yield line, row
