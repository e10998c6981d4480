"""`--where "age=60,camera=b"` and `--text "…"`: the values that a user asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from synthaug.errors import SynthaugError, suggest

if TYPE_CHECKING:
    from synthaug.documents import Condition


def as_texts(where: Any) -> Any:
    """What Python takes for `--where`: one or more texts, or a mapping from column to value.

    >>> as_texts({"age": 60, "camera": "b"})
    ('age=60', 'camera=b')
    """
    if isinstance(where, Mapping):
        return tuple(f"{name}={value}" for name, value in where.items())
    return (where,) if isinstance(where, str) else where


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """Column → value, from texts such as `age=60,camera=b`. A part without `=` belongs to the value before it.

    >>> pairs(["age=60,camera=b", "site=Bern, Inselspital"])
    {'age': '60', 'camera': 'b', 'site': 'Bern, Inselspital'}

    Raises:
        SynthaugError: there is no `=`, or a column has two values.
    """
    found: dict[str, str] = {}
    for text in texts:
        last = ""
        for part in text.split(","):
            name, equals, value = part.partition("=")
            if equals and name.strip():
                last = name.strip()
                if last in found:
                    raise SynthaugError(
                        f"--where gives {last} twice: {found[last]!r} and {value.strip()!r}", "give each column once"
                    )
                found[last] = value.strip()
            elif last and not equals:
                found[last] += f",{part}"
            else:
                raise SynthaugError(f"--where {text!r} is not like age=60,camera=b", "write COLUMN=VALUE,COLUMN=VALUE")
    return found


def asked(columns: Sequence[Condition], where: Sequence[str], text: str | None, run: str) -> dict[str, str]:
    """Column → value that `--where` and `--text` ask of a run with these conditions; empty without them.

    Raises:
        SynthaugError: the run has no such column or value, or the two contradict each other.
    """
    found = pairs(where)
    if not columns:
        if found or text is not None:
            option = "--where" if found else "--text"
            raise SynthaugError(
                f"{option}: the run {run!r} was trained without conditions",
                f"leave {option} out, or train with: synthaug fit DATA --condition COLUMN",
            )
        return {}
    if text is not None:
        texts = [column.name for column in columns if column.kind == "text"]
        if len(texts) != 1:
            raise SynthaugError(
                f"--text is for a run with one column of texts; {run!r} has {len(texts)}",
                f"use --where, with {', '.join(column.name for column in columns)}",
            )
        if texts[0] in found:
            raise SynthaugError(f"--text and --where {texts[0]}=… contradict each other", "leave one of them out")
        found[texts[0]] = text
    from synthaug.data.conditions import checked  # imports numpy, which requests must not

    of_name = {column.name: column for column in columns}
    for name in found:
        if name not in of_name:
            hint = "name it with --class" if name == "class" else suggest(name, list(of_name))
            raise SynthaugError(f"--where {name}=…: the run {run!r} has no such condition", hint)
    return {name: checked(of_name[name], value) for name, value in found.items()}
