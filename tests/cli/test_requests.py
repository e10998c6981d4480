"""A command's options, its request's fields and the Python function's arguments: the same names and defaults."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import pytest
import typer

from synthaug import requests
from synthaug.requests import Request
from synthaug_cli.app import application
from synthaug_cli.options import EVERYWHERE

COMMANDS = typer.main.get_command(application()).commands  # type: ignore[attr-defined]
CASES = {
    name.removesuffix("Request").lower(): getattr(requests, name) for name in requests.__all__ if name != "Request"
}
CASES = {name: case for name, case in CASES.items() if name in COMMANDS}
ON_THE_COMMAND_LINE_ONLY = {"fit": {"--dry-run"}, "run": {"--yes"}}


def test_there_is_a_request_for_each_command_that_works_on_images() -> None:
    assert set(CASES) == set(COMMANDS) - {"demo", "list", "recipes", "runs"}


@pytest.mark.parametrize(("name", "request_type"), CASES.items())
def test_options_are_the_fields_of_the_request(name: str, request_type: type[Request]) -> None:
    written: dict[str, Any] = {
        p.metavar if p.param_type_name == "argument" else p.opts[0]: p for p in COMMANDS[name].params
    }
    common = {f"--{option}" for option in EVERYWHERE}
    fields = {request_type.option(field): info for field, info in request_type.model_fields.items()}
    assert set(written) - common - ON_THE_COMMAND_LINE_ONLY.get(name, set()) == set(fields)
    for option, info in fields.items():
        assert written[option].required == info.is_required()
        assert written[option].help.startswith((info.description or "").partition(" [default")[0])
        if isinstance(info.default, (bool, str, int, float)) and not written[option].multiple:
            assert str(written[option].default) == str(info.default)


@pytest.mark.parametrize(("name", "request_type"), CASES.items())
def test_arguments_of_the_function_are_the_fields_of_the_request(name: str, request_type: type[Request]) -> None:
    function = getattr(importlib.import_module(f"synthaug.pipelines.{name}"), name)
    arguments = dict(inspect.signature(function).parameters)
    assert arguments.pop("progress").kind is inspect.Parameter.KEYWORD_ONLY
    required = inspect.Parameter.empty
    assert {field: info.default if not info.is_required() else required
            for field, info in request_type.model_fields.items()} == {
                argument: p.default for argument, p in arguments.items()}  # fmt: skip
    for info in request_type.model_fields.values():
        assert info.description
        assert info.description in function.__doc__
