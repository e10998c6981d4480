"""What the pages share: templates, pictures inside the page, text that UTF-8 can encode. Imports no numpy or torch."""

from __future__ import annotations

import base64
from pathlib import Path

import jinja2


def templates() -> jinja2.Environment:
    """The templates in this folder."""
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def data_uri(data: bytes, kind: str) -> str:
    """A picture of this kind (`png`, `jpeg`) as an address that holds it."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def encodable(text: str) -> str:
    """File names that are not UTF-8 reach Python as lone surrogates; show them as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def script(name: str) -> bytes:
    """A script in this folder, for a page that is served."""
    return (Path(__file__).parent / name).read_bytes()
