"""The base class of requests: how users write a field, and faults in plain words."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import cleandoc
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from synthaug.errors import SynthaugError, shell_command, suggest
from synthaug.parsing import is_text

F = TypeVar("F", bound=Callable[..., Any])
R = TypeVar("R", bound="Request")
_LONGEST = 4096  # characters; Linux has no longer paths


@dataclass(frozen=True)
class Flag:
    """How the command line shows a field: as an option that takes `metavar`, or as a positional `argument`.

    In the help text, the option stands in `group`: one of `OPTIONS` in `synthaug_cli/help.py`. An option with `many`
    can be given several times.
    """

    metavar: str = ""
    group: str = ""
    argument: bool = False
    many: bool = False


def flag(field: FieldInfo) -> Flag:
    """How the command line shows a field of a request."""
    return next((item for item in field.metadata if isinstance(item, Flag)), Flag())


class Request(BaseModel):
    """The options of one command.

    Raises:
        SynthaugError: an option is unknown, missing or out of range, or two of them contradict each other.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    def __init__(self, **options: Any) -> None:
        for name, value in options.items():
            _check_given(type(self), name, value)
        try:
            super().__init__(**options)
        except ValidationError as error:
            raise _in_plain_words(type(self), error) from None
        self._check()

    def _check(self) -> None:
        """Raise a `SynthaugError` where options contradict each other."""

    @classmethod
    def option(cls, name: str) -> str:
        """A field as users write it: `--per-class`, `RUN`."""
        shown = flag(cls.model_fields[name])
        return shown.metavar if shown.argument else f"--{name.rstrip('_').replace('_', '-')}"

    @classmethod
    def of(cls: type[R], arguments: Mapping[str, Any]) -> R:
        """Build the request from a function's arguments except `progress`. Defaults count as not given."""
        fields = cls.model_fields
        return cls(**{k: v for k, v in arguments.items() if k != "progress" and _differs(v, fields[k].default)})

    def command(self, **others: object) -> str:
        """The command that makes this request, to be pasted; `others` are options that the command has beside it."""
        arguments: list[object] = []
        options: dict[str, object] = {}
        for name, field in type(self).model_fields.items():
            if field.is_required() or self._given(name):
                value, shown = getattr(self, name), flag(field)
                if shown.argument:
                    arguments.append(value)
                elif value is False:
                    options[f"no_{name}"] = True
                else:
                    options[name] = _written(value, shown.many)
        return shell_command(type(self).__name__.removesuffix("Request").lower(), *arguments, **options, **others)

    def _given(self, name: str) -> bool:
        return _differs(getattr(self, name), type(self).model_fields[name].default)

    def _exclusive(self, name: str, *others: str) -> None:
        for other in others:
            if self._given(name) and self._given(other):
                raise SynthaugError(
                    f"{self.option(name)} and {self.option(other)} contradict each other", "leave one of them out"
                )


def _written(value: Any, many: bool) -> object:
    """A value as an option takes it: `NAME=VALUE` for an entry of a mapping, commas in a list that is given once."""
    if isinstance(value, Mapping):
        return [f"{k}={v if isinstance(v, str) else json.dumps(v)}" for k, v in value.items()]
    if isinstance(value, tuple):
        return value if many else ",".join(map(str, value))
    return value


def _check_given(request: type[Request], name: str, value: Any) -> None:
    """Refuse text that cannot be part of a path or is longer than any path, and numbers that no file format has.

    Raises:
        SynthaugError: there is one in `value`.
    """
    if name not in request.model_fields:
        return
    if isinstance(value, (list, tuple, Mapping)):
        for part in [*value, *value.values()] if isinstance(value, Mapping) else value:
            _check_given(request, name, part)
    elif isinstance(value, int) and value.bit_length() > 63:
        raise SynthaugError(f"{request.option(name)} is a number of more than 64 bits", "give a smaller number")
    elif isinstance(value, (str, Path)):
        text = str(value)
        if not is_text(text):
            raise SynthaugError(
                f"{request.option(name)} {text!r} is not valid UTF-8 text", "rename it, or leave it out"
            )
        if len(text) > _LONGEST:
            shown = f"{text[:40]!r}… has {len(text):,} characters"
            raise SynthaugError(f"{request.option(name)} {shown}", f"give at most {_LONGEST:,}")


def _differs(value: Any, default: Any) -> bool:
    return type(value) is not type(default) or value != default


def documented(request: type[Request]) -> Callable[[F], F]:
    """Add an `Args` section to a function's docstring: the descriptions of the request's fields."""

    def add(function: F) -> F:
        summary, blank, rest = cleandoc(function.__doc__ or "").partition("\n\nRaises:")
        lines = [f"    {name}{_choices(field)}: {field.description}" for name, field in request.model_fields.items()]
        lines.append(
            "    progress: show it in a notebook or on a terminal; or an object that gets it, see `synthaug.progress`."
        )
        function.__doc__ = "\n".join([f"{summary}\n\nArgs:", *lines]) + blank + rest
        return function

    return add


def _choices(field: FieldInfo) -> str:
    """` (10min|90s|200kimg)`, as the command line shows it; mappings are written otherwise in Python."""
    shown = flag(field)
    return f" ({shown.metavar})" if "|" in shown.metavar and "=" not in shown.metavar and not shown.argument else ""


def _in_plain_words(request: type[Request], error: ValidationError) -> SynthaugError:
    """The first fault that pydantic found, as an error with a hint."""
    fault = error.errors()[0]
    name, value, kind = str(fault["loc"][0]), fault["input"], fault["type"]
    if kind == "extra_forbidden":
        return SynthaugError(f"{request.__name__} has no option {name!r}", suggest(name, request.model_fields))
    option, field = request.option(name), request.model_fields[name]
    see = f"`synthaug {request.__name__.removesuffix('Request').lower()} --help` lists its options and arguments"
    if kind == "missing":
        return SynthaugError(f"{option} is missing", see)
    given = f"{option} {str(value)!r}" if isinstance(value, (str, Path)) else f"{option} {value}"
    if kind == "literal_error":
        choices = next(get_args(a) for a in (field.annotation, *get_args(field.annotation)) if get_origin(a) is Literal)
        return SynthaugError(f"{given} is not known", suggest(str(value), choices))
    if kind.startswith("int"):
        return SynthaugError(f"{given} is not a whole number", f"give a whole number{_limits(field, fault)}")
    if kind.startswith("float"):
        return SynthaugError(f"{given} is not a number", f"give a number{_limits(field, fault)}")
    if kind.startswith(("greater_than", "less_than", "finite_number")):
        return SynthaugError(f"{option} {value} is out of range", f"give a number{_limits(field, fault)}")
    wrong = str(fault["msg"])
    return SynthaugError(f"{given}: {wrong[:1].lower()}{wrong[1:]}", see)


def _limits(field: FieldInfo, fault: Mapping[str, Any]) -> str:
    found = {name: getattr(m, name) for m in field.metadata for name in ("ge", "le") if hasattr(m, name)}
    found = found or fault.get("ctx", {})
    if "ge" in found and "le" in found:
        return f" from {found['ge']} to {found['le']}"
    return f" of at least {found['ge']}" if "ge" in found else ""
