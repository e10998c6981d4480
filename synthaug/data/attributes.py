"""Columns of metadata tables beside the label, such as camera, site or age: in what images of a class differ.

The tables are those of `metadata`: `metadata.csv` or `.jsonl` at the root of the folder, or in its split folders, with
the column `file_name`. Numbers are divided into three ranges, so that each value of a column stands for many images.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np

from synthaug.data.layout import SPLIT_FOLDERS, TABLES
from synthaug.data.metadata import LABEL_COLUMNS, inside, rows_of
from synthaug.documents import RareCombination
from synthaug.errors import SynthaugError, plural, suggest

MISSING = "(none)"
"""The value of an image for which the table has none."""
MOST_VALUES = 20
"""Different words of a column; one with more is a text, a name or an identifier."""
FEW_NUMBERS = 6
"""Different numbers of a column that stay as they are."""
RARER, LEAST_EXPECTED = 3, 5
"""A combination is rare if it is so many times rarer than expected, and so many images are expected at least."""
_SHOWN = 200  # characters of a value
_NO_ATTRIBUTES = frozenset({"file_name", "synthetic", *LABEL_COLUMNS})


@dataclass(frozen=True)
class Column:
    """A column of the tables.

    `values`: of each image, a word or the range of its number; `MISSING` where there is none. `ordered`: all different
    values, ranges from low to high, `MISSING` last.
    """

    name: str
    kind: Literal["words", "numbers"]
    values: list[str]
    ordered: list[str]

    @property
    def divides(self) -> bool:
        """Whether it tells images apart, and does not tell each apart from all others."""
        return 2 <= len(self.ordered) <= MOST_VALUES + (MISSING in self.ordered)


def read_columns(root: Path, paths: Sequence[str]) -> dict[str, Column]:
    """`read_texts` as columns with few values.

    Raises:
        SynthaugError: a table is broken.
    """
    return {name: column_of(name, texts) for name, texts in read_texts(root, paths).items()}


def read_texts(root: Path, paths: Sequence[str]) -> dict[str, list[str]]:
    """What the columns of a folder's tables say of each image, by name, in the order of the tables.

    Args:
        root: the folder.
        paths: of its images [N], relative to `root`, with forward slashes.

    Returns:
        Texts [N] with single spaces; `MISSING` where there is none.

    Raises:
        SynthaugError: a table is broken.
    """
    rows = {path: k for k, path in enumerate(paths)}
    found: dict[str, list[Any]] = {}
    for table in _tables(root):
        for _, row in rows_of(root, table):
            name = row.get("file_name")
            path = inside(table, name.strip()) if isinstance(name, str) else None
            if path is None or path not in rows:
                continue
            for column, value in row.items():
                if isinstance(column, str) and column not in _NO_ATTRIBUTES and not isinstance(value, (list, dict)):
                    found.setdefault(column, [None] * len(paths))[rows[path]] = value
    return {name: [_text(value) for value in values] for name, values in found.items()}


def chosen_columns(root: Path, paths: Sequence[str], names: Sequence[str], option: str) -> list[Column]:
    """The columns that the user names with an option.

    Raises:
        SynthaugError: there is no such column, or it has one value, or too many.
    """
    columns = read_columns(root, paths)
    if not columns:
        raise SynthaugError(
            f"{option} {','.join(names)}: {str(root)!r} has no table with columns beside the label",
            "write metadata.csv with the columns file_name and, for example, camera",
        )
    for name in names:
        if name not in columns:
            raise SynthaugError(f"{option} {name}: there is no such column", suggest(name, list(columns)))
    check_divides(columns, names, option)
    return [columns[name] for name in names]


def check_divides(columns: Mapping[str, Column], names: Sequence[str], option: str) -> None:
    """Check that some of the columns have a few values, each of many images.

    Raises:
        SynthaugError: one has a single value, or too many.
    """
    for name in names:
        if not columns[name].divides:
            count = len([value for value in columns[name].ordered if value != MISSING])
            usable = [column.name for column in columns.values() if column.divides]
            raise SynthaugError(
                f"{option} {name}: the column has {plural(count, 'value')}, but 2 to {MOST_VALUES} are needed",
                f"use {', '.join(usable)}" if usable else f"leave {option} out",
            )


def rare_combinations(columns: Sequence[Column], labels: Sequence[str]) -> list[RareCombination]:
    """Combinations of a class and a value that are at most a third as frequent as expected; the rarest first.

    Args:
        columns: with a value for each image [N].
        labels: class of each image [N].
    """
    found = []
    of_class = Counter(labels)
    for column in columns:
        of_value, both = Counter(column.values), Counter(zip(labels, column.values, strict=True))
        for label, value in product(of_class, column.ordered):
            expected = of_class[label] * of_value[value] / len(labels)
            if expected >= LEAST_EXPECTED and both[label, value] <= expected / RARER:
                found.append(
                    RareCombination(
                        label=label, column=column.name, value=value, images=both[label, value], expected=expected
                    )
                )
    return sorted(found, key=lambda one: (one.images / one.expected, -one.expected))


def _tables(root: Path) -> list[str]:
    """Paths of the tables of a folder; links out of it are not followed."""
    folders = ["", *sorted(f"{p.name}/" for p in root.iterdir() if p.name.lower() in SPLIT_FOLDERS and p.is_dir())]
    found = [f"{folder}{name}" for folder in folders for name in TABLES if (root / folder / name).is_file()]
    return [table for table in found if (root / table).resolve().is_relative_to(root.resolve())]


def column_of(name: str, texts: Sequence[str]) -> Column:
    """A column with few values, from what the tables say of each image."""
    values = [text[:_SHOWN] for text in texts]
    numbers = [number_in(value) for value in values]
    given = {value for value in values if value != MISSING}
    if given and all(n is not None for n, value in zip(numbers, values, strict=True) if value != MISSING):
        return _of_numbers(name, numbers)
    return Column(name, "words", values, [*sorted(given), *([MISSING] if MISSING in values else [])])


def _of_numbers(name: str, numbers: Sequence[float | None]) -> Column:
    """Few different numbers stay; others become three ranges that hold about the same number of images."""
    given = np.array([n for n in numbers if n is not None])
    different = np.unique(given)
    if len(different) <= FEW_NUMBERS:
        ordered = [f"{n:g}" for n in different]
        values = [MISSING if n is None else f"{n:g}" for n in numbers]
    else:
        cuts = np.unique(np.quantile(given, [1 / 3, 2 / 3], method="lower"))
        low, high = f"{cuts[0]:g}", f"{cuts[-1]:g}"
        ordered = [f"up to {low}", *([f"{low} to {high}"] if len(cuts) > 1 else []), f"above {high}"]
        values = [MISSING if n is None else ordered[int(np.searchsorted(cuts, n))] for n in numbers]
    return Column(name, "numbers", values, [*ordered, *([MISSING] if MISSING in values else [])])


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return MISSING
    if isinstance(value, bool):
        return str(value).lower()
    return " ".join(str(value).split()) or MISSING


def number_in(value: str) -> float | None:
    """The finite number that a text is, if it is one."""
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
