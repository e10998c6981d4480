"""Checks that class names can be folder names on any system, because an export makes a folder for each class."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from synthaug.errors import SynthaugError

_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)  # Windows opens a device instead
_METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
_MOST_BYTES = 200


def is_reserved(label: str) -> bool:
    """Whether Windows has no folders of this name, or it is the name of a metadata table.

    >>> is_reserved("aux"), is_reserved("auxiliary")
    (True, False)
    """
    return _DEVICES.fullmatch(label) is not None or label.lower() in _METADATA


def normalise_label(label: str, where: str) -> str:
    """Return a label in Unicode's composed form (NFC), without surrounding spaces.

    Reserved names pass: a folder with such a class can be inspected, but not used for training.

    Raises:
        SynthaugError: the label cannot be a folder name; the message contains `where`, the place of the label.
    """
    label = unicodedata.normalize("NFC", label.strip())
    if fault := _fault(label):
        shown = repr(label) if len(label) <= _MOST_BYTES else f"{label[:40]!r}…"
        raise SynthaugError(f"the class name {shown} in {where} {fault}", "rename the class; it becomes a folder name")
    return label


def check_class_names(labels: Iterable[str]) -> None:
    """Refuse names that cannot become folders; Unicode and spaces are fine.

    Raises:
        SynthaugError: a name is empty, begins with a dot, has slashes or control characters, is too long or reserved.

    >>> check_class_names(["Grüner Käfer"])
    """
    for label in labels:
        if fault := "is a reserved file name" if is_reserved(label) else _fault(label):
            raise SynthaugError(
                f"the class name {label!r} {fault} and cannot become a folder", "rename the class and train again"
            )


def _fault(label: str) -> str | None:
    if not label.strip():
        return "is empty"
    if "/" in label or "\\" in label:
        return "has a slash"
    if label.startswith("."):
        return "begins with a dot"
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in label):
        return "has a control character"
    if len(label.encode()) > _MOST_BYTES:
        return f"is longer than {_MOST_BYTES} bytes"
    return None
