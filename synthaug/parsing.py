"""Read YAML, JSON and tables that somebody else may have written.

Parsers take time, memory and stack without limit, so size and depth are limited first. Values that cannot be written
back are refused: NUL, halves of characters (lone surrogates) and whole numbers beyond 64 bits.
"""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

MOST_DEPTH = 64
MOST_VALUES = 500_000  # of JSON, with commas inside strings
MOST_EVENTS = 50_000  # of YAML: about as many values, which take libyaml half a second
YAML_BYTES = 1 << 20
JSON_BYTES = 16 << 20
TABLE_BYTES = 1 << 30
LINE_BYTES = 1 << 20

_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ODD = re.compile(r"\\u(?:0000|d[89a-f])|\d{19}", re.IGNORECASE)


class ParseError(ValueError):
    """Why a file is not read, as the end of a sentence that begins with its name: "is larger than 16 MiB"."""


def read_text(path: Path, most: int = JSON_BYTES) -> str:
    """The text of a regular file of at most `most` bytes.

    Raises:
        OSError: it cannot be read.
        ParseError: it is larger, not a regular file, or not UTF-8 text.
    """
    _check_file(path, most)
    with path.open("rb") as file:
        content = file.read(most)
    return _decoded(lambda: content.decode("utf-8-sig"))


def read_lines(path: Path, newline: str = "\n") -> Iterator[str]:
    """The lines of a table, one at a time, with their ends; `newline` as for `open`.

    Raises:
        OSError: it cannot be read.
        ParseError: as `read_text`; a line is too long or has a NUL.
    """
    _check_file(path, TABLE_BYTES)
    with path.open(encoding="utf-8-sig", newline=newline) as file:
        number = 0
        while line := _decoded(lambda: file.readline(LINE_BYTES + 1)):
            number += 1
            if len(line) > LINE_BYTES:
                raise ParseError(f"has more than {LINE_BYTES >> 20} MiB in line {number}")
            if "\0" in line:
                raise ParseError(f"has a NUL in line {number}")
            yield line


def _check_file(path: Path, most: int) -> None:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for, a device would never end
        raise ParseError("is a folder" if stat.S_ISDIR(status.st_mode) else "is not a regular file")
    if status.st_size > most:
        raise ParseError(f"is larger than {most >> 20} MiB")


def _decoded(read: Callable[[], str]) -> str:
    try:
        return read()
    except UnicodeDecodeError as error:
        raise ParseError("is not UTF-8 text") from error


def parse_json(text: str) -> Any:
    """Parse a JSON document, or a line of JSON Lines.

    Raises:
        ParseError: it is not JSON, or beyond the limits of this module.
    """
    opening = text.count("[") + text.count("{")
    if opening + text.count(",") > MOST_VALUES:
        raise ParseError(f"has more than {MOST_VALUES:,} values")
    if opening > MOST_DEPTH and _depth(text) > MOST_DEPTH:
        raise ParseError(f"is nested deeper than {MOST_DEPTH} levels")
    try:
        tree = json.loads(text)
    except json.JSONDecodeError as error:
        raise ParseError("is not valid JSON") from error
    except ValueError as error:  # Python's limit of 4,300 digits
        raise ParseError("has a number that is too large") from error
    if _ODD.search(text):
        _check_values(tree)
    return tree


def read_json(path: Path) -> Any:
    """Parse a JSON file; raises as `read_text` and `parse_json`."""
    return parse_json(read_text(path))


def _depth(text: str) -> int:
    brackets = _STRINGS.sub("", text).encode("utf-8", "replace").translate(None, delete=_NO_BRACKETS)
    return max(accumulate(1 if bracket in b"[{" else -1 for bracket in brackets), default=0)


def parse_yaml(text: str) -> Any:
    """Parse a YAML document. Aliases are refused: a few hundred bytes of them can stand for any amount of data.

    Raises:
        ParseError: it is not YAML, or beyond the limits of this module.
    """
    import yaml  # here, so that `--help` need not wait for it

    if len(text) > YAML_BYTES:
        raise ParseError(f"is larger than {YAML_BYTES >> 20} MiB")
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # 20 times as fast, if PyYAML was built with libyaml
    try:
        _check_events(yaml.parse(text, Loader=loader))
        tree = yaml.load(text, Loader=loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise ParseError("is not valid YAML" + (f" at line {mark.line + 1}" if mark else "")) from error
    except ParseError:
        raise
    except Exception as error:  # the constructors of dates, numbers and tags raise almost anything
        raise ParseError("has a value that cannot be read") from error
    _check_values(tree)
    return tree


def _check_events(events: Iterable[Any]) -> None:
    from yaml import AliasEvent, CollectionEndEvent, CollectionStartEvent

    depth = 0
    for count, event in enumerate(events):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        line = event.start_mark.line + 1
        if isinstance(event, AliasEvent):
            raise ParseError(f"has the alias *{event.anchor} at line {line}; write the value out instead")
        if depth > MOST_DEPTH:
            raise ParseError(f"is nested deeper than {MOST_DEPTH} levels at line {line}")
        if count > MOST_EVENTS:
            raise ParseError(f"has more than {MOST_EVENTS:,} values")


def is_text(text: str) -> bool:
    """Whether a string can be written to a file and be part of a path.

    >>> is_text("Käfer"), is_text("a\\0"), is_text("\\ud800")
    (True, False, False)
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _check_values(tree: Any) -> None:
    waiting = [tree]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            waiting += [*value, *value.values()]
        elif isinstance(value, (list, tuple, set)):
            waiting += value
        elif isinstance(value, str) and not is_text(value):
            raise ParseError(f"has the string {value[:40]!r}, which is no text")
        elif isinstance(value, int) and value.bit_length() > 63:
            raise ParseError("has a whole number of more than 64 bits")
