"""Checks that class names can be folder names on any system, because an export makes a folder for each class."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from synthaug.errors import SynthaugError

# Windows opens a device instead, also with a suffix
_DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\..*)?", re.IGNORECASE)
_METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
_MOST_BYTES = 200
_HINT = "rename the class: it becomes a folder, also on Windows and macOS"


def normalise_label(label: str, where: str) -> str:
    """Return a label in Unicode's composed form (NFC), without surrounding spaces.

    Raises:
        SynthaugError: the label cannot be a folder name; the message contains `where`, the place of the label.
    """
    label = unicodedata.normalize("NFC", label.strip())
    if fault := _fault(label):
        shown = repr(label) if len(label) <= _MOST_BYTES else f"{label[:40]!r}…"
        raise SynthaugError(f"the class name {shown} in {where} {fault}", _HINT)
    return label


def check_class_names(labels: Iterable[str]) -> None:
    """Refuse names that cannot become folders beside each other; Unicode and spaces are fine.

    Raises:
        SynthaugError: a name is empty, begins with a dot, has slashes or control characters, is too long or reserved,
            or two names differ only in case or in dots at the end.

    >>> check_class_names(["Grüner Käfer"])
    """
    folders: dict[str, str] = {}
    for label in labels:
        if fault := _fault(label):
            raise SynthaugError(f"the class name {label!r} {fault}", _HINT)
        other = folders.setdefault(label.lower().rstrip("."), label)
        if other != label:
            raise SynthaugError(
                f"the class names {other!r} and {label!r} are one folder on Windows and macOS",
                "rename one of the two classes, or merge them",
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
    if _DEVICES.fullmatch(label) or label.lower() in _METADATA:
        return "is a reserved file name"
    return None
