"""The base class of all documents."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails


class Document(BaseModel):
    """Base of all documents."""

    model_config = ConfigDict(extra="forbid")


def in_words(error: ValidationError) -> str:
    """The faults of a stored document, in one line."""
    return "; ".join(map(_in_words, error.errors()))


def _in_words(fault: ErrorDetails) -> str:
    where, value = ".".join(map(str, fault["loc"])), repr(fault["input"])
    if fault["type"] == "missing":
        return f"{where} is missing"
    if not where:
        return fault["msg"].removeprefix("Value error, ")
    return f"{where} = {value if len(value) <= 80 else value[:79] + '…'}: {fault['msg'].lower()}"
