"""Every command in a hint can be pasted: one function writes them, and each is a command that synthaug takes."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import COMMAND, leaves, parse, requested
from hypothesis import given
from hypothesis import strategies as st

import synthaug
import synthaug_cli
from synthaug import requests
from synthaug.errors import shell_command
from synthaug.requests import FitRequest, Request
from synthaug.runs import Run

LEAVES = dict(leaves())
CODE = [path for package in (synthaug, synthaug_cli) for path in sorted(Path(package.__path__[0]).rglob("*.py"))]
WRITTEN = re.compile(rf"synthaug (?:{'|'.join(map(re.escape, [*LEAVES, *COMMAND.commands]))})\b[^`;]*")
HOSTILE = ["my photos", 'it\'s "odd" & $HOME `x`', "-rf", "--help", "a=b", "näh\u00e9", "*", "~", "a\\b", "#1"]


def nodes(kind: type[ast.AST]) -> Iterator[tuple[str, Any]]:
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, kind):
                yield f"{path.name}:{node.lineno}", node  # type: ignore[attr-defined]


CALLS = {
    place: node
    for place, node in nodes(ast.Call)
    if getattr(node.func, "id", "") == "shell_command" and isinstance(node.args[0], ast.Constant)
}
CONSTANTS = {
    f"{place} {written}": written
    for place, node in nodes(ast.Constant)
    if isinstance(node.value, str) and "\n" not in node.value
    for written in WRITTEN.findall(node.value)
    if "…" not in written
}


def test_values_are_never_put_into_a_command_by_hand() -> None:
    """An f-string with `synthaug fit {folder}` breaks at the first space; `shell_command` quotes."""
    by_hand = [
        place
        for place, node in nodes(ast.JoinedStr)
        for part, following in zip(node.values, node.values[1:], strict=False)
        if isinstance(part, ast.Constant) and isinstance(following, ast.FormattedValue)
        and any(part.value.endswith(written) for written in WRITTEN.findall(part.value))
    ]  # fmt: skip
    assert by_hand == []


@pytest.mark.parametrize("place", CALLS)
def test_the_command_and_the_options_of_a_hint_exist(place: str) -> None:
    call = CALLS[place]
    command = LEAVES[call.args[0].value]
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    given = [argument for argument in call.args[1:] if not isinstance(argument, ast.Starred)]
    assert len([p for p in arguments if p.required]) <= len(given) or len(given) < len(call.args) - 1
    assert len(given) <= len(arguments)
    known = {p.opts[0] for p in command.params}
    asked = {f"--{k.arg.rstrip('_').replace('_', '-')}" for k in call.keywords if k.arg is not None}
    assert asked - known == set()


@pytest.mark.parametrize("name", CONSTANTS)
def test_a_command_that_is_only_text_parses(name: str) -> None:
    """One that has no options may be a name only, as in "a folder that `synthaug fit` made"."""
    written = CONSTANTS[name].strip().rstrip(".,:")
    words = written.split()
    if len(words) <= 3 and (" ".join(words[1:]) in LEAVES or words[1] in COMMAND.commands):
        return
    parse(written, request=False)


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1), min_size=1))
def test_whatever_a_value_contains_the_shell_gives_it_back(values: list[str]) -> None:
    program, command, data, *options = shlex.split(shell_command("fit", values[0], target_class=values))
    assert (program, command, data.removeprefix("./") if values[0].startswith("-") else data) == (
        "synthaug", "fit", values[0],
    )  # fmt: skip
    found = " ".join(options).replace("--target-class=", "--target-class ")
    assert found == " ".join(f"--target-class {value}" for value in values)


@pytest.mark.parametrize("name", HOSTILE)
def test_the_hint_after_an_interruption_works_whatever_folders_are_called(name: str, tmp_path: Path) -> None:
    asked = FitRequest(data=tmp_path / name, budget="1kimg", features=f"{name}.pt", device="cpu", set=["a.b=1"])
    found = requested(asked.continuing(tmp_path / name / "runs"))
    assert found == FitRequest(
        data=tmp_path / name, resume=tmp_path / name / "runs", features=f"{name}.pt", device="cpu"
    )
    assert parse(Run(tmp_path / name).resuming()) is None


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("Fit", {"data": Path("X"), "target_class": ("X", "b"), "set": {"training.batch_size": 32, "seed": None}}),
        ("Fit", {"data": "s3://bucket/x", "from_": "X", "checkpoint": "best", "strict": True, "fit": "crop"}),
        ("Evaluate", {"run": "7", "shares": (0.1, 0.5), "gate": False, "learning_curve": True, "out": Path("X")}),
        ("Evaluate", {"data": Path("X"), "synthetic": Path("Y"), "target_class": ("X",), "size": 64}),
        ("Evaluate", {"run": "7", "replicates": ("8", "9"), "fail_under": -0.5, "checkpoint": "last"}),
        ("Export", {"run": "7", "per_class": {"X": 50, "b": 3}, "out": Path("X")}),
        ("Export", {"run": "7", "per_class": 50, "out": Path("X"), "format": "parquet"}),
        ("Samples", {"run": "7", "class_": "X", "count": 3}),
        ("Regenerate", {"manifest": Path("X"), "row": (3, 5), "verify": True}),
        ("Run", {"data": Path("X"), "set": ("model.width=4",), "seeds": 2}),
        ("Inspect", {"data": Path("X"), "group_by": "-(X)"}),
    ],
)
def test_a_request_is_written_as_the_command_that_makes_it(kind: str, options: dict[str, Any], hostile: str) -> None:
    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {filled(k): filled(v) for k, v in value.items()}
        if isinstance(value, tuple):
            return tuple(map(filled, value))
        return type(value)(str(value).replace("X", hostile)) if isinstance(value, (str, Path)) else value

    request_type: type[Request] = getattr(requests, f"{kind}Request")
    if hostile in ("*", "a\\b", 'it\'s "odd" & $HOME `x`') and kind == "Inspect":
        return  # no regular expression
    asked = request_type(**{name: filled(value) for name, value in options.items()})
    found = requested(asked.command())
    ours, theirs = asked.model_dump(mode="json"), found.model_dump(mode="json")
    if isinstance(ours.get("set"), dict):
        ours["set"], theirs["set"] = ["training.batch_size=32", "seed=null"], [*theirs["set"]]
    for positional in ("data", "manifest"):
        if str(ours.get(positional)).startswith("-"):
            assert Path(theirs.pop(positional)) == Path(ours.pop(positional))
    assert theirs == ours
