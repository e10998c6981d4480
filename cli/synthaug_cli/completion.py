"""What the shell completes after TAB: names of runs, recipes, families, classes and other parts. Imports no torch."""

from __future__ import annotations

import importlib
import io
import os
import re
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout, suppress
from functools import partial
from pathlib import Path
from typing import Any

import typer

REQUEST = "_SYNTHAUG_COMPLETE"
"""The environment variable with which a shell asks for completions."""
Values = Callable[[typer.Context, str], list[str]]


def asked_words() -> list[str] | None:
    """The words on the command line that the shell wants to complete; None if this is no such call."""
    if REQUEST not in os.environ:
        return None
    return (os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS") or "").split()


def complete(command: Any) -> None:
    """Print the completions for the words; `command` is the whole command line, as Typer made it."""
    with redirect_stdout(io.StringIO()) as printed, suppress(SystemExit):
        command.main(prog_name="synthaug")
    text = printed.getvalue()
    if os.environ[REQUEST].endswith("_bash"):  # which takes the names as they are; Typer quotes them for other shells
        text = re.sub(r"[^\w@%+=:,./\n-]", r"\\\g<0>", text)
    print(text, end="")


def values_of(option: str, metavar: str = "") -> Values | None:
    """What an option or argument, as users write it, is completed with; None stands for names of files."""
    find = _VALUES.get(option)
    choices = [word for word in metavar.split("|") if word == word.lower()] if "|" in metavar else []
    if find is None and not choices:
        return None

    def values(ctx: typer.Context, incomplete: str) -> list[str]:
        try:
            found = [*choices, *(find(ctx) if find is not None else ())]
        except Exception:  # a traceback would be written into the line that the user is typing
            found = choices
        given, comma, _ = incomplete.rpartition(",") if "," in metavar else ("", "", "")
        return [f"{given}{comma}{name}" for name in found]

    return values


def _runs(ctx: typer.Context) -> Iterable[str]:
    from synthaug.runs import all_runs, default_root

    given = ctx.params.get("runs")
    return [run.name for run in reversed(all_runs(Path(given) if given else default_root()))]


def _recipes(ctx: typer.Context, auto: bool = False) -> Iterable[str]:
    from synthaug.config import AUTO, recipe_names

    return [*([AUTO] if auto else []), *recipe_names()]


def _table(*places: str) -> Callable[[typer.Context], Iterable[str]]:
    """The names in tables, each a "module:attribute"."""

    def names(ctx: typer.Context) -> Iterable[str]:
        tables: list[Any] = [getattr(importlib.import_module(m), a) for m, _, a in (p.partition(":") for p in places)]
        return [name for table in tables for name in table.names()]

    return names


def _classes_of_run(ctx: typer.Context) -> Iterable[str]:
    from synthaug.runs import find

    given = ctx.params.get("runs")
    return find(_first_argument(ctx), Path(given) if given else None).facts().classes


def _classes_of_folder(ctx: typer.Context) -> Iterable[str]:
    """Its folders, or those of the splits in it."""
    from synthaug.data.layout import SPLIT_FOLDERS

    folder = Path(_first_argument(ctx) or "")
    below = _folders(folder)
    splits = [name for name in below if name in SPLIT_FOLDERS]
    return sorted({name for split in splits for name in _folders(folder / split)}) if splits else below


def _first_argument(ctx: typer.Context) -> str | None:
    """It has no name yet where the last word is an option that still waits for its value."""
    return next(iter(ctx.args), None) or ctx.params.get("run") or ctx.params.get("data")


def _folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


_VALUES: dict[str, Callable[[typer.Context], Iterable[str]]] = {
    "RUN": _runs,
    "RUN...": _runs,
    "RUN|DIR": _runs,
    "NAME": _recipes,
    "--resume": _runs,
    "--from": _runs,
    "--upscaler": _runs,
    "--replicates": _runs,
    "--recipe": partial(_recipes, auto=True),
    "--family": _table("synthaug.models:MODELS", "synthaug.models:UPSCALERS"),
    "--objective": _table("synthaug.losses:OBJECTIVES"),
    "--features": _table("synthaug.features:FEATURES"),
    "--second-judge": _table("synthaug.features:FEATURES"),
    "--classifier": _table("synthaug.classifiers:CLASSIFIERS"),
    "--format": _table("synthaug.exporters:FORMATS"),
    "--target-class": _classes_of_folder,
    "--source-classes": _classes_of_folder,
    "--class": _classes_of_run,
    "--to": _classes_of_run,
}
