"""Options that several commands share, written once, and the ones that every command takes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from synthaug import __version__
from synthaug_cli.console import FLAGS

F = TypeVar("F", bound=Callable[..., Any])


def _print_version(asked: bool) -> None:
    if asked:
        print(f"synthaug {__version__}")
        raise typer.Exit


RunArgument = Annotated[
    str | None, typer.Argument(metavar="RUN", help="A run's path, name or number; without it, the latest run.")
]
Runs = Annotated[
    Path | None, typer.Option("--runs", metavar="DIR", help="Where runs stand. [default: $SYNTHAUG_RUNS, or ./runs]")
]
Cache = Annotated[
    Path | None,
    typer.Option("--cache", metavar="DIR", help="Where decoded images are kept. [default: ~/.cache/synthaug]"),
]
Device = Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda|mps", help="Where to compute.")]
Checkpoint = Annotated[
    str, typer.Option("--checkpoint", metavar="best|last|PATH", help="Which checkpoint of the run to use.")
]
NoiseSeed = Annotated[
    int | None, typer.Option("--seed", metavar="N", min=0, help="Seed of the noise. [default: the run's seed]")
]
Truncation = Annotated[
    float,
    typer.Option("--truncation", metavar="PSI", help="Below 1: more typical, less varied images."),
]
GroupBy = Annotated[
    str | None,
    typer.Option(
        "--group-by",
        metavar="REGEX",
        help="Images whose path gives the same first group stay in one split, such as 'patient(\\d+)'.",
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="Let a single unreadable file be an error.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what stands at --out.")]

_EVERYWHERE: dict[str, Any] = {
    "json": Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")],
    "quiet": Annotated[bool, typer.Option("--quiet", help="No progress, only warnings and the result.")],
    "debug": Annotated[bool, typer.Option("--debug", help="Show tracebacks and library warnings.")],
    "version": Annotated[
        bool,
        typer.Option(
            "--version",
            help="Print the version and exit.",
            is_eager=True,
            callback=_print_version,
        ),
    ],
}


def everywhere(function: F) -> F:
    """Give a command the options of every command, so that they are accepted before and after its name.

    Typer reads a command's options from its signature; this adds four to it and takes them out of the call.
    """
    signature = inspect.signature(function, eval_str=True)
    extra = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
        for name, annotation in _EVERYWHERE.items()
    ]

    @functools.wraps(function)
    def command(**arguments: Any) -> Any:
        for name in _EVERYWHERE:
            if arguments.pop(name, False) and hasattr(FLAGS, name):
                setattr(FLAGS, name, True)
        return function(**arguments)

    parameters = [*signature.parameters.values(), *extra]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command  # type: ignore[return-value]
