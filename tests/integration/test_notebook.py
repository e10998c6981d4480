"""The notebook of the documentation runs from top to bottom, with a tiny budget, and shows its results."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs/first-steps.ipynb"
TINY = """
IMAGES = {"rare": 6, "common": 14, "test": 6}
TRAINING = {"recipe": "demo", "budget": "1kimg", "set": {
    "model.width": 8, "model.discriminator_width": 8, "monitor.samples_per_class": 8,
    "gate.agreement": False, "gate.copies": False, "gate.duplicates": False,
}}
EVALUATION = {"seeds": 2, "steps": 2, "arms": ["oversample", "synthetic"], "shares": [0.25], "jobs": 1}
PER_CLASS = 14
"""


def cells() -> list[dict[str, Any]]:
    return [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]


def run_cell(source: str, names: dict[str, Any]) -> Any:
    """Run a cell; the value of its last line, if that is an expression, is what a notebook shows."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, str(NOTEBOOK), "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), str(NOTEBOOK), "eval"), names)


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYNTHAUG_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SYNTHAUG_RUNS", raising=False)
    names: dict[str, Any] = {}
    shown = []
    for cell in cells():
        source = TINY if "parameters" in cell["metadata"].get("tags", ()) else "".join(cell["source"])
        shown.append(run_cell(source, names))
    _, _, look, trained, samples, verdict, loop, export = shown
    assert "<td>8</td><td>12</td>" in look._repr_html_()
    assert trained._repr_html_().count("<img ") == 1
    assert len(samples._repr_png_()) > 1000
    assert verdict.verdict.overall in ("helps", "no measurable effect", "hurts")
    assert "<pre>synthaug " in verdict._repr_html_()
    assert loop[0] == (64, 1, 16, 16)
    assert sum(loop[1]) == 64
    assert "<td>8</td><td>6</td>" in export._repr_html_()
    assert (tmp_path / "balanced/manifest.json").is_file()


def test_the_parameters_are_those_that_the_test_replaces() -> None:
    (cell,) = [cell for cell in cells() if "parameters" in cell["metadata"].get("tags", ())]
    real: dict[str, Any] = {}
    tiny: dict[str, Any] = {}
    exec("".join(cell["source"]), real)
    exec(TINY, tiny)
    assert real.keys() == tiny.keys()
