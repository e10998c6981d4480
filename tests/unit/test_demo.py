"""`demo`: it says how short it is, and does just that."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from synthaug.pipelines import demo as pipeline
from synthaug.progress import Silent


class Said(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def test_the_demo_says_how_short_it_is_and_does_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, dict[str, Any]] = {}
    for name in ("fit", "export", "evaluate"):
        monkeypatch.setattr(
            pipeline, name, lambda *_, name=name, **options: asked.update({name: options}) or SimpleNamespace(run="run")
        )
    said = Said()
    pipeline.demo(tmp_path / "demo", progress=said)
    assert asked["fit"]["recipe"] == "demo"
    assert asked["evaluate"]["classifier"] == "logistic"
    assert "the classifier is logistic regression" in said.lines[-1]
    assert f"with {asked['evaluate']['seeds']} seeds" in said.lines[-1]
