"""`synthaug list KIND`: every table that names are chosen from, with a line on each entry."""

from __future__ import annotations

import json

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
