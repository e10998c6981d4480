"""Names that any system can have: of classes, because an export makes a folder for each, and of the files in it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from synthaug.errors import SynthaugError

# Windows opens a device instead, also with a suffix
_DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\..*)?", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[:*?"<>|\\/\x00-\x1f]|[. ]$')  # on Windows, which drops dots and spaces at the end
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
        SynthaugError: a name is empty, begins or ends with a dot, has characters that Windows forbids, is too long or
            reserved, or two names differ only in case.

    >>> check_class_names(["Grüner Käfer"])
    """
    folders: dict[str, str] = {}
    for label in labels:
        if fault := _fault(label):
            raise SynthaugError(f"the class name {label!r} {fault}", _HINT)
        other = folders.setdefault(label.lower(), label)
        if other != label:
            raise SynthaugError(
                f"the class names {other!r} and {label!r} are one folder on Windows and macOS",
                "rename one of the two classes, or merge them",
            )


def portable(name: str) -> str:
    """A file name with `_` for what no name may have on Windows.

    >>> portable("a:b?.png"), portable("aux.png"), portable("x. ")
    ('a_b_.png', '_aux.png', 'x._')
    """
    name = _FORBIDDEN.sub("_", name)
    return f"_{name}" if _DEVICES.fullmatch(name) else name


def _fault(label: str) -> str | None:
    if not label.strip():
        return "is empty"
    if "/" in label or "\\" in label:
        return "has a slash"
    if label.startswith("."):
        return "begins with a dot"
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in label):
        return "has a control character"
    if found := _FORBIDDEN.search(label):
        return f"has {found[0]!r}{' at the end' * (found[0] in '. ')}, which no folder can have on Windows"
    if len(label.encode()) > _MOST_BYTES:
        return f"is longer than {_MOST_BYTES} bytes"
    if _DEVICES.fullmatch(label) or label.lower() in _METADATA:
        return "is a reserved file name"
    return None
