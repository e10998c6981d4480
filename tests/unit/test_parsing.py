"""Files of others are refused before they cost time, memory or stack."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synthaug import config, parsing
from synthaug.config import Config, resolve
from synthaug.errors import SynthaugError
from synthaug.parsing import ParseError, parse_json, parse_yaml, read_lines, read_text
from synthaug.requests import EvaluateRequest, ExportRequest, FitRequest, RegenerateRequest, SamplesRequest

BOMB = "\n".join(
    ["a0: &a0 {x: 1}"]
    + [f"a{i}: &a{i} {{" + ", ".join(f"k{j}: *a{i - 1}" for j in range(9)) + "}" for i in range(1, 9)]
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, r"the alias \*a0 at line 2"),
        ("a: &a [*a]", r"the alias \*a at line 1"),
        ("#" + "a" * (2 << 20), "larger than 1 MiB"),
        ("- a\n" * 60_000, "more than 50,000 values"),
        ("\n".join(" " * i + "a:" for i in range(1000)), "deeper than 64 levels at line 65"),
        ("[" * 3000 + "]" * 3000, "at line 1"),
        ("a: [1,\nb: {", "not valid YAML at line"),
        ("a: 2001-99-99", "a value that cannot be read"),
        ("a: " + "9" * 5000, "a value that cannot be read"),
        ("a: 0x" + "f" * 10_000, "more than 64 bits"),
        ('a: "\\0"', "which is no text"),
        ("!!python/object/apply:os.getcwd []", "not valid YAML"),
    ],
)
def test_yaml_that_is_refused(text: str, said: str) -> None:
    with pytest.raises(ParseError, match=said):
        parse_yaml(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "deeper than 64 levels"),
        ('{"a":' * 65 + "1" + "}" * 65, "deeper than 64 levels"),
        ("[" + "[]," * 600_000 + "[]]", "more than 500,000 values"),
        ('["' + '\\"' * 100_000, "not valid JSON"),
        ("9" * 5000, "too large"),
        ('{"a": 99999999999999999999}', "more than 64 bits"),
        ('{"a": ["\\u0000"]}', "which is no text"),
        ('{"\\uD800": 1}', "which is no text"),
    ],
)
def test_json_that_is_refused(text: str, said: str) -> None:
    with pytest.raises(ParseError, match=said):
        parse_json(text)


def test_what_is_meant_well_is_read() -> None:
    assert parse_json('{"a": "\\ud83d\\ude00", "b": "\\\\u0000", "c": "' + "[" * 99 + '"}')["a"] == "😀"
    assert parse_json("[" * 64 + "]" * 64)
    assert parse_yaml("a: [1, 1.5, true, x]\nb: &name {c: 2}") == {"a": [1, 1.5, True, "x"], "b": {"c": 2}}


def test_only_regular_files_of_bounded_text_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    os.mkfifo(tmp_path / "pipe")
    for path, said in (
        (tmp_path / "pipe", "not a regular file"),
        (Path("/dev/zero"), "not a regular"),
        (tmp_path, "a folder"),
    ):
        with pytest.raises(ParseError, match=said):
            read_text(path)
        with pytest.raises(ParseError, match=said):
            list(read_lines(path))
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ParseError, match="not UTF-8 text"):
        read_text(file)
    file.write_bytes(b"a\nb\0\n")
    with pytest.raises(ParseError, match="a NUL in line 2"):
        list(read_lines(file))
    file.write_bytes(b"a\n" + b"b" * (parsing.LINE_BYTES + 1))
    with pytest.raises(ParseError, match="more than 1 MiB in line 2"):
        list(read_lines(file))
    monkeypatch.setattr(parsing, "TABLE_BYTES", 1 << 20)
    with pytest.raises(ParseError, match="larger than 1 MiB"):
        list(read_lines(file))
    with pytest.raises(ParseError, match="larger than 1 MiB"):
        read_text(file, 1 << 20)


@pytest.mark.parametrize(
    "setting",
    [
        "training.regularizers={r1: .nan}",
        "training.regularizers={r1: -1}",
        "training.regularizers={r1: -.inf}",
        "training.regularizers={r1: true}",
        "training.auxiliary={acgan: .inf}",
        "monitor.every_kimg=.inf",
        "training.ema_kimg=1e300",
        "training.generator_lr=.nan",
        "seed=true",
        "data.val_fraction=false",
        "training.budget=" + "9" * 400 + "kimg",
        "training.budget=" + "9" * 400 + "h",
        ".".join("a" * 2000) + "=1",
    ],
)
def test_numbers_without_meaning_are_refused(setting: str) -> None:
    with pytest.raises(SynthaugError) as caught:
        resolve(sets=[setting])
    assert len(caught.value.message) < 1100


def numbers(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every integer or float of a JSON schema, by its path."""
    if isinstance(schema, dict):
        if schema.get("type") in ("integer", "number") and not {"enum", "const"} & set(schema):
            yield path, schema
        for key, inner in schema.items():
            yield from numbers(inner, f"{path}/{key}")
    elif isinstance(schema, list):
        for inner in schema:
            yield from numbers(inner, path)


@pytest.mark.parametrize(
    "model", [Config, *(config.FAMILY_OPTIONS.get(name) for name in config.FAMILY_OPTIONS.names())], ids=str
)
def test_every_number_of_a_recipe_has_a_range(model: Any) -> None:
    found = dict(numbers(model.model_json_schema()))
    assert found
    for path, schema in found.items():
        assert {"minimum", "exclusiveMinimum"} & set(schema), path
        assert {"maximum", "exclusiveMaximum"} & set(schema), path


@pytest.mark.parametrize(
    ("request_of", "options"),
    [
        (FitRequest, {"data": "a\0b"}),
        (FitRequest, {"data": "a", "name": "\ud800"}),
        (FitRequest, {"data": "a", "set": {"training.budget": "\ud800"}}),
        (FitRequest, {"data": "a", "seed": "9" * 10_000}),
        (ExportRequest, {"per_class": "9" * 400}),
        (ExportRequest, {"per_class": {"\0": 3}}),
        (ExportRequest, {"per_class": 0.5}),
        (ExportRequest, {"keep": float("nan")}),
        (SamplesRequest, {"count": "9" * 10_000}),
        (RegenerateRequest, {"manifest": "a", "row": 10**400}),
        (EvaluateRequest, {"seeds": 10**400}),
        (EvaluateRequest, {"fail_under": float("nan")}),
        (EvaluateRequest, {"size": "9" * 400}),
    ],
)
def test_options_that_no_file_and_no_number_can_hold_are_refused(request_of: Any, options: dict[str, Any]) -> None:
    with pytest.raises(SynthaugError) as caught:
        request_of(**options)
    assert len(caught.value.message) < 1100
    caught.value.message.encode()
