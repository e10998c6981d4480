"""Help texts: options in groups, with their defaults; examples that can be pasted; whole summaries on 80 columns."""

from __future__ import annotations

from typing import Any

import pytest
from command_line import COMMAND, leaves, parse

from synthaug_cli.help import COMMANDS, OPTIONS, examples_of, summary
from synthaug_cli.options import EVERYWHERE

LEAVES = dict(leaves())
OFF = {
    "--config", "--data", "--fail-under", "--folds", "--from", "--generators", "--group-by", "--inputs", "--keep",
    "--out FILE.html", "--reference", "--replicates", "--resume", "--select", "--set", "--synthetic", "--upscaler",
    "--weights", "--by",
}  # fmt: skip
"""Options without a default: what they do is not done where they are left out."""


def options(command: Any) -> list[Any]:
    common = {f"--{name}" for name in EVERYWHERE} | {"--help"}
    return [p for p in command.params if p.param_type_name == "option" and not common & {*p.opts}]


def context_of(command: Any) -> Any:
    return command.make_context("synthaug", [], resilient_parsing=True, terminal_width=80)


def help_of(command: Any) -> str:
    return str(command.get_help(context_of(command)))


@pytest.mark.parametrize("name", LEAVES)
def test_every_option_stands_in_a_group(name: str) -> None:
    """The group is the second argument of `Flag` in a request, or `rich_help_panel` of an option of its own."""
    assert {p.opts[0]: p.rich_help_panel for p in options(LEAVES[name]) if p.rich_help_panel not in OPTIONS} == {}


@pytest.mark.parametrize("name", LEAVES)
def test_every_option_that_takes_a_value_shows_its_default(name: str) -> None:
    context = context_of(LEAVES[name])
    valued = [option for option in options(LEAVES[name]) if not (option.is_flag or option.required)]
    silent = {o.opts[0]: o.metavar for o in valued if "[default: " not in o.get_help_record(context)[1]}
    assert [o for o, metavar in silent.items() if OFF.isdisjoint({o, f"{o} {metavar}"})] == []


@pytest.mark.parametrize("name", LEAVES)
def test_every_command_has_two_examples_that_parse_and_fit_on_80_columns(name: str) -> None:
    examples = examples_of(LEAVES[name].help)
    assert len(examples) >= 2
    lines = help_of(LEAVES[name]).splitlines()
    assert max(map(len, lines)) <= 80
    for example in examples:
        assert f"  {example}" in lines
        assert example.startswith(f"synthaug {name}")
        parse(example)


def test_the_summary_of_every_command_is_whole_and_on_one_line() -> None:
    for group in (COMMAND, COMMAND.commands["recipes"], COMMAND.commands["runs"]):
        lines = help_of(group).splitlines()
        for name, command in group.commands.items():
            assert [line.split(maxsplit=1)[1] for line in lines if line.split()[:1] == [name]] == [summary(command)]
        assert max(map(len, lines)) <= 80


def test_commands_stand_in_groups_with_the_first_steps_first() -> None:
    titles = [line.removesuffix(":") for line in help_of(COMMAND).splitlines() if line.endswith(":") and line[0] != " "]
    assert titles == [*COMMANDS[:-1], "Common", "Examples"]


def test_groups_of_options_come_in_one_order() -> None:
    titles = [line.removesuffix(":") for line in help_of(LEAVES["fit"]).splitlines() if line and line[0] != " "][1:]
    assert titles[0] == "Arguments"
    assert titles[-1] == "Examples"
    assert titles[1:-1] == [group for group in OPTIONS if group in titles]
    assert {"Data", "Recipe", "Model", "Training", "Run", "Machine", "Common"} <= {*titles}
