"""Options of commands: one for each field of a request, and four that every command takes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synthaug import __version__
from synthaug_cli.completion import values_of
from synthaug_cli.console import FLAGS, loading

if TYPE_CHECKING:
    from synthaug.requests import Request


def _print_version(asked: bool) -> None:
    if asked:
        print(f"synthaug {__version__}")
        raise typer.Exit


RunArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="RUN",
        help="A run's path, name or number. [default: the latest run]",
        autocompletion=values_of("RUN"),
    ),
]
Runs = Annotated[
    Path | None,
    typer.Option(
        "--runs", metavar="DIR", help="The folder of runs. [default: $SYNTHAUG_RUNS, or ./runs]", rich_help_panel="Run"
    ),
]
EVERYWHERE: dict[str, Any] = {
    "json": Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")],
    "quiet": Annotated[bool, typer.Option("--quiet", help="No progress, only warnings and the result.")],
    "debug": Annotated[bool, typer.Option("--debug", help="Show tracebacks and library warnings.")],
    "version": Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ],
}


def everywhere(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the four common options to a command, so that they are accepted before and after its name."""

    def command(context: typer.Context, **given: Any) -> Any:
        for name in EVERYWHERE:
            if given.pop(name) and hasattr(FLAGS, name):
                setattr(FLAGS, name, True)
        return function(**given, **({"context": context} if takes_context else {}))

    parameters = dict(inspect.signature(function, eval_str=True).parameters)
    takes_context = parameters.pop("context", None) is not None
    extra = [_keyword(name, annotation, False) for name, annotation in EVERYWHERE.items()]
    return _with_parameters(command, function, [*parameters.values(), *extra])


def takes_request(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option to a command for each field of its request, and build the request from the given options.

    The command's other parameters are options of the command line only. A command without a request stays as it is.
    """
    if "request" not in inspect.signature(function).parameters:
        return function
    from synthaug import requests  # imports pydantic: a tenth of a second that `synthaug --help` can save

    named = function.__annotations__["request"]
    asked = {named: getattr(requests, named)}
    first, *own = inspect.signature(function, locals=asked, eval_str=True).parameters.values()
    request: type[Request] = first.annotation

    def command(context: typer.Context, **given: Any) -> Any:
        written = {name: given.pop(name) for name in request.model_fields}
        loading()
        return function(request(**{k: v for k, v in written.items() if _was_written(context, k)}), **given)

    return _with_parameters(command, function, [*_of_fields(request), *own])


def _of_fields(request: type[Request]) -> Iterator[inspect.Parameter]:
    """One parameter for each field. Values stay text; the request parses and checks them."""
    from synthaug.requests import flag

    for name, field in request.model_fields.items():
        shown, words, option = flag(field), field.description or "", request.option(name)
        written = option
        default: Any = None if field.default is None else str(field.default)
        kind: Any = str | None
        if field.annotation is bool:
            written = f"{option}/--no-{name}" if field.default else option
            kind, default = bool, field.default
        elif shown.many:
            meaning, opening, rest = words.partition(" [default")
            words = f"{meaning} Repeatable.{opening}{rest}"
            kind, default = list[str] | None, None
        elif field.is_required():
            kind, default = str, inspect.Parameter.empty
        common: dict[str, Any] = {
            "metavar": shown.metavar or None,
            "help": words,
            "autocompletion": values_of(option, shown.metavar),
        }
        declared: Any = typer.Option(written, rich_help_panel=shown.group, **common)
        if shown.argument:
            declared = typer.Argument(**common)
            default = default if field.is_required() else None
        yield _keyword(name, Annotated[kind, declared], default)


def _was_written(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _with_parameters(
    command: Callable[..., Any], like: Callable[..., Any], parameters: list[inspect.Parameter]
) -> Callable[..., Any]:
    """Set the signature of `command`, which Typer reads, to a context and these parameters."""
    context = _keyword("context", typer.Context, inspect.Parameter.empty)
    named = [context, *(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters)]
    functools.update_wrapper(command, like, assigned=("__name__", "__doc__", "__module__"))
    del command.__wrapped__  # type: ignore[attr-defined]
    command.__signature__ = inspect.Signature(named)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in named}
    return command
