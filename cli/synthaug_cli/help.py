"""The text of `--help`: options and commands in groups, whole summaries, and examples that can be pasted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import typer.core

if TYPE_CHECKING:  # Click, or Typer's own copy of it
    Context = Any
    Formatter = Any

COMMON = "Common"
OPTIONS = (
    "Data", "Recipe", "Model", "Training", "Run", "Amount", "Sampling", "Classifier", "Comparison", "Output", "Machine",
    COMMON,
)  # fmt: skip
"""Groups of options, in the order of the help text."""
COMMANDS = ("Start here", "Step by step", "Images", "Look up", "Commands")
"""Groups of commands, in the order of the help text."""
_EXAMPLES = "\n\nExamples:\n"


class _Grouped:
    """What commands and groups of commands share. A docstring may end with `Examples:` and a command a line."""

    help: str | None

    def format_help_text(self, ctx: Context, formatter: Formatter) -> None:
        text = (self.help or "").partition(_EXAMPLES)[0]
        if text:
            formatter.write_paragraph()
            with formatter.indentation():
                formatter.write_text(text)

    def collect_usage_pieces(self, ctx: Context) -> list[str]:
        parameters = self.get_params(ctx)  # type: ignore[attr-defined]
        arguments = [p.metavar if p.required else f"[{p.metavar}]" for p in parameters if _is_argument(p)]
        return ["[OPTIONS]", *arguments]

    def format_options(self, ctx: Context, formatter: Formatter) -> None:
        self.format_commands(ctx, formatter)
        parameters = self.get_params(ctx)  # type: ignore[attr-defined]
        arguments = [
            (p.metavar, f"{p.help} [required]" if p.required else p.help) for p in parameters if _is_argument(p)
        ]
        _write(formatter, "Arguments", arguments)
        options = [
            (getattr(p, "rich_help_panel", None) or COMMON, p.get_help_record(ctx))
            for p in parameters
            if not _is_argument(p)
        ]
        for group in OPTIONS:
            _write(formatter, group, (record for found, record in options if found == group))

    def format_commands(self, ctx: Context, formatter: Formatter) -> None:
        pass

    def format_epilog(self, ctx: Context, formatter: Formatter) -> None:
        if examples := examples_of(self.help):
            with formatter.section("Examples"):
                for example in examples:
                    formatter.write(f"{'':{formatter.current_indent}}{example}\n")


class Command(_Grouped, typer.core.TyperCommand):
    """A command whose help has groups of options."""


class Group(_Grouped, typer.core.TyperGroup):
    """A group of commands, which are listed in groups too, with their whole summaries."""

    def get_params(self, ctx: Context) -> list[Any]:
        """Flags that are not given are False: Typer has pydantic check what is None, which slows down every start."""
        found = super().get_params(ctx)
        for parameter in found:
            if getattr(parameter, "is_flag", False) and parameter.default is None:
                parameter.default = False
        return found

    def collect_usage_pieces(self, ctx: Context) -> list[str]:
        return ["[OPTIONS]", "COMMAND …"]

    def format_commands(self, ctx: Context, formatter: Formatter) -> None:
        commands = self.commands.items()
        for group in COMMANDS:
            _write(
                formatter, group, [(name, summary(command)) for name, command in commands if _panel(command) == group]
            )


def summary(command: Any) -> str:
    """The first line of a command's help."""
    return str(command.help or "").partition("\n")[0]


def examples_of(text: str | None) -> list[str]:
    """The commands under `Examples:` in a docstring."""
    return [line.strip() for line in (text or "").partition(_EXAMPLES)[2].splitlines() if line.strip()]


def _panel(command: Any) -> str:
    return str(command.rich_help_panel or COMMANDS[-1])


def _is_argument(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "argument")


def _write(formatter: Formatter, title: str, records: Iterable[tuple[str, str] | None]) -> None:
    if rows := [record for record in records if record is not None]:
        with formatter.section(title):
            formatter.write_dl([(name, text.replace("  [", " [")) for name, text in rows])
