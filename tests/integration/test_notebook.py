"""The notebook, cell by cell as Jupyter runs it, on few images and with the shortest training."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "first-steps.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
CODE = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]
SHORT = {
    "IMAGES": {"rare": 8, "common": 10, "test": 5},
    "TRAINING": {
        "recipe": "demo", "budget": "0.3kimg", "set": {"monitor.samples_per_class": 8, "gate.steps": 5},
    },
    "EVALUATION": {"seeds": 2, "steps": 5, "arms": "oversample,synthetic"},
    "PER_CLASS": 14,
}  # fmt: skip
"""In the place of the numbers in the first cell."""


def run_cell(code: str, names: dict[str, Any]) -> object:
    """Run a cell, and return the value of its last line if that is an expression."""
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, NOTEBOOK.name, "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), NOTEBOOK.name, "eval"), names)


def test_every_cell_runs_and_shows_its_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    run_cell(CODE[0], names)
    assert names.keys() - {"__builtins__"} == SHORT.keys()
    names |= SHORT
    shown = [run_cell(code, names) for code in CODE[1:]]
    assert [type(value).__name__ for value in shown] == [
        "NoneType", "InspectResult", "FitResult", "Images", "EvaluateResult", "tuple", "ExportResult",
    ]  # fmt: skip
    drawn = [value for value in shown if value is not None and not isinstance(value, tuple)]
    assert all(hasattr(value, "_repr_html_") or hasattr(value, "_repr_png_") for value in drawn)
    assert sum(1 for _ in (tmp_path / "balanced" / "train" / "8").iterdir()) > SHORT["IMAGES"]["rare"]


def test_the_notebook_is_stored_without_outputs() -> None:
    assert [cell for cell in CELLS if cell.get("outputs") or cell.get("execution_count")] == []
