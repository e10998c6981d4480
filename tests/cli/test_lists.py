"""`synthaug list KIND`: every table that names are chosen from, with a line on each entry."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from synthaug_cli.app import run
from synthaug_cli.lists import TABLES


@pytest.mark.parametrize("kind", TABLES)
def test_every_entry_has_a_line(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["list", kind, "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["kind"] == kind
    lines = list(listed["entries"].values())
    assert lines
    assert all(lines)


def test_every_table_that_plug_ins_add_to_can_be_listed() -> None:
    """The options of a family are no names to choose from."""
    page = (Path(__file__).parents[2] / "docs/extending.md").read_text(encoding="utf-8")
    groups = set(re.findall(r"`synthaug\.(\w+)`", page[page.index("The groups are") :].partition("\n\n")[0]))
    assert {"steps", "shards"} <= groups
    assert groups - {"family_options"} <= set(TABLES)


def test_without_a_kind_the_hint_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["list"]) == 2
    assert f"KIND: One of {', '.join(TABLES)}." in capsys.readouterr().err
