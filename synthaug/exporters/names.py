"""Names on disk that can be trusted: class folders that never leave the output, files that never meet."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from synthaug.errors import SynthaugError

_DEVICES = re.compile(
    r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE
)  # no file can be called so on Windows
_METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")


def check_class_name(label: str) -> str:
    """Return `label` if a folder of that name stays inside its parent; unicode and spaces pass unchanged.

    Raises:
        SynthaugError: it is empty, begins with a dot, has separators or control characters, is too long or reserved.

    >>> check_class_name("Grüner Käfer")
    'Grüner Käfer'
    """
    fault = None
    if not label.strip():
        fault = "is empty"
    elif "/" in label or "\\" in label:
        fault = "has a path separator"
    elif label.startswith("."):
        fault = "begins with a dot"
    elif any(ord(character) < 32 or ord(character) == 127 for character in label):
        fault = "has a control character"
    elif len(label.encode("utf-8", "surrogateescape")) > 200:
        fault = "is longer than 200 bytes"
    elif _DEVICES.fullmatch(label) or label.lower() in _METADATA:
        fault = "is a reserved file name"
    if fault:
        raise SynthaugError(
            f"the class name {label!r} {fault} and cannot become a folder", "rename the class and train again"
        )
    return label


def file_names(paths: Iterable[str]) -> list[str]:
    """A file name for each path: its last part, with a number where two would be equal on some file system.

    >>> file_names(["a/1.png", "b/1.PNG", "b/2.png"])
    ['1.png', '1_2.PNG', '2.png']
    """
    taken: set[str] = set()
    names = []
    for path in paths:
        pure = PurePosixPath(path)
        name, number = pure.name, 1
        while name.casefold() in taken:
            number += 1
            name = f"{pure.stem}_{number}{pure.suffix}"
        taken.add(name.casefold())
        names.append(name)
    return names


def synthetic_prefix(real_names: Iterable[str]) -> str:
    """What the names of synthetic files begin with, such that no real file's name begins so.

    >>> synthetic_prefix(["Synthetic_1.png"])
    'synthetic-2_'
    """
    folded = [name.casefold() for name in real_names]
    prefix, number = "synthetic_", 1
    while any(name.startswith(prefix) for name in folded):
        number += 1
        prefix = f"synthetic-{number}_"
    return prefix
