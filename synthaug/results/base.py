"""What all results share: a short text, and the same with tables and pictures in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

from typing_extensions import Self

from synthaug.documents import Document


class Result:
    """Mixed into a document: `print` and notebooks show the result and not the fields."""

    @classmethod
    def of(cls, document: Document) -> Self:
        """A document as a result."""
        return cls.model_construct(**dict(document))  # type: ignore[attr-defined, no-any-return]

    def lines(self) -> Iterator[str]:
        """The result in lines of text."""
        raise NotImplementedError

    def blocks(self) -> Iterator[str]:
        """The result in blocks of HTML."""
        for line in self.lines():
            yield paragraph(line)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return "".join(self.blocks())


def paragraph(text: str, *, bold: bool = False) -> str:
    return f"<p><b>{escape(text)}</b></p>" if bold else f"<p>{escape(text)}</p>"


def code(command: str) -> str:
    """A command to be copied."""
    return f"<pre>{escape(command)}</pre>"


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """The first column is text, the others are numbers. None is a dash.

    >>> table(["class", "F1"], [["<a>", 0.5], ["b", None]])
    '<table><tr><th>class</th><th>F1</th></tr><tr><td>&lt;a&gt;</td><td>0.500</td></tr><tr><td>b</td><td>–</td></tr></table>'
    """
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(_cell(value))}</td>" for value in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def picture(file: Path) -> str:
    """A PNG file inside the page; nothing if it is gone."""
    if not file.is_file():
        return ""
    from synthaug.evaluation.report.html import data_uri  # jinja2, which most results do without

    return f'<img src="{data_uri(file.read_bytes(), "png")}" style="max-width: 100%"/>'
