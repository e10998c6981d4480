"""Usage errors of Typer as `error:` and `hint:`."""

from __future__ import annotations

import re
from typing import Any

from synthaug.errors import SynthaugError, suggest


def as_error(fault: Any) -> SynthaugError:
    """A usage error of Typer as an error with a hint.

    `fault` is recognised by its class's name: Typer up to 0.25 uses the Click package, later versions a copy of it.
    """
    context = getattr(fault, "ctx", None)
    path = context.command_path if context is not None else "synthaug"
    see = f"`{path} --help` lists its options and arguments"
    kind = type(fault).__name__
    if kind == "NoSuchOption":
        close = _without_listing(suggest(fault.option_name, _options(context)))
        return SynthaugError(f"`{path}` has no option {fault.option_name!r}", f"{close}; {see}" if close else see)
    if kind == "MissingParameter":
        name = _name(fault.param)
        meaning = f"{name}: {about}" if (about := getattr(fault.param, "help", None)) else see
        return SynthaugError(f"`{path}` needs {name}", f"{meaning}; write it like: {path} {name}")
    if kind == "BadParameter":
        return SynthaugError(f"{_name(fault.param)}: {_reason(fault)}", _choices(fault) or see)
    message = fault.format_message().rstrip(".")
    if extra := re.match(r"Got unexpected extra arguments?(?:\(s\))? \((.*)\)", message):
        return SynthaugError(f"`{path}` takes no {extra[1]!r}", see)
    if unknown := re.match(r"No such command ['\"](.*?)['\"]", message):
        return SynthaugError(f"`{path}` has no command {unknown[1]!r}", suggest(unknown[1], _commands(context)))
    if message == "Missing command":
        return SynthaugError(f"`{path}` needs a command", f"choices: {', '.join(_commands(context))}")
    return SynthaugError(f"`{path}`: {message[:1].lower()}{message[1:]}", see)


def _name(parameter: Any) -> str:
    """A parameter as users write it: its longest option, or its metavar."""
    if parameter is None:
        return "an argument"
    if parameter.param_type_name == "option":
        return str(max(parameter.opts, key=len))
    return str(parameter.metavar or parameter.name.upper())


def _reason(fault: Any) -> str:
    """The value and why it is wrong."""
    cause = fault.__cause__
    if cause is not None and hasattr(cause, "errors"):
        first = cause.errors()[0]
        value, reason = first.get("input"), str(first.get("msg", fault.message))
        return f"{value!r} is not valid: {reason[:1].lower()}{reason[1:]}"
    return str(fault.message).rstrip(".")


def _choices(fault: Any) -> str | None:
    choices = getattr(getattr(fault.param, "type", None), "choices", None)
    given = re.match(r"'(.*?)' is not one of", str(fault.message))
    return suggest(given[1], [str(c) for c in choices]) if choices and given else None


def _without_listing(suggestion: str) -> str:
    return suggestion.split(" choices:")[0].rstrip("?") + "?" if suggestion.startswith("did you mean") else ""


def _options(context: Any) -> list[str]:
    if context is None:
        return []
    options = [name for p in context.command.params for name in (*p.opts, *p.secondary_opts) if name.startswith("--")]
    return [*options, "--help"]


def _commands(context: Any) -> list[str]:
    return sorted(getattr(context.command, "commands", {})) if context is not None else []
