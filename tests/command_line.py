"""The command line without running it: every command, and whether a written command is one that it takes."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any
from unittest import mock

import typer

from synthaug import requests
from synthaug_cli.app import application

COMMAND: Any = typer.main.get_command(application())


def leaves() -> Iterator[tuple[str, Any]]:
    """Every command that does something: its name, such as `recipes ls`, and the command."""
    for name, command in COMMAND.commands.items():
        for below, leaf in getattr(command, "commands", {"": command}).items():
            yield f"{name} {below}".strip(), leaf


def parse(written: str, *, request: bool = True) -> None:
    """Parse a line that begins with `synthaug`, as the shell and then the command line would.

    Args:
        written: the line.
        request: also check the values, as the command would before it reads any file.

    Raises:
        SynthaugError: the request refuses its values.
        Exception: of Typer: there is no such command, option or argument.
    """
    name, context = _context(written)
    if request and context is not None and f"{name.capitalize()}Request" in requests.__all__:
        requested(written)


def requested(written: str) -> Any:
    """The request that a command makes; it is checked, but not carried out."""
    name, context = _context(written)
    kind = getattr(requests, f"{name.capitalize()}Request")
    sources = {field: context.get_parameter_source(field) for field in kind.model_fields}
    return kind(**{field: context.params[field] for field, source in sources.items() if source.name == "COMMANDLINE"})


def _context(written: str) -> tuple[str, Any]:
    """The name of the command, and what Typer read; None for `--help`."""
    program, *arguments = shlex.split(written)
    assert program == "synthaug", written
    node, name = COMMAND, ""
    while arguments and arguments[0] in getattr(node, "commands", {}):
        name = arguments.pop(0)
        node = node.commands[name]
    if "--help" in arguments:
        return name, None
    with mock.patch("sys.argv", ["synthaug"]):
        return name, node.make_context("synthaug", arguments)
