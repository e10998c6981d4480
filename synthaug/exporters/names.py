"""File names of an export: no two are equal, on any file system."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from synthaug.data.class_names import portable


def file_names(paths: Iterable[str]) -> list[str]:
    """A file name for each path: its last part as every system can have it, with a number if two are equal on some.

    >>> file_names(["a/1.png", "b/1.PNG", "b/2:30.png"])
    ['1.png', '1_2.PNG', '2_30.png']
    """
    taken: set[str] = set()
    numbers: dict[str, int] = {}  # the last one that a name got
    names = []
    for path in paths:
        pure = PurePosixPath(portable(PurePosixPath(path).name))
        name, first = pure.name, pure.name.casefold()
        while name.casefold() in taken:
            numbers[first] = numbers.get(first, 1) + 1
            name = f"{pure.stem}_{numbers[first]}{pure.suffix}"
        taken.add(name.casefold())
        names.append(name)
    return names


def synthetic_prefix(real_names: Iterable[str]) -> str:
    """A prefix for the names of synthetic files that no real file's name begins with.

    >>> synthetic_prefix(["Synthetic_1.png"])
    'synthetic-2_'
    """
    folded = [name.casefold() for name in real_names]
    prefix, number = "synthetic_", 1
    while any(name.startswith(prefix) for name in folded):
        number += 1
        prefix = f"synthetic-{number}_"
    return prefix
