"""The quickstart, line by line in a fresh environment, as a newcomer types it.

Here, lines that train only show their help. `make quickstart` runs them whole, on few images and for a short time;
that takes minutes.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

PAGE = (Path(__file__).parents[2] / "docs" / "quickstart.md").read_text(encoding="utf-8")
WHOLE = os.environ.get("QUICKSTART") == "whole"
SHORT = {
    "run": "--yes --budget 1kimg --recipe demo --set gate.steps=5 --seeds 2 --steps 5",
    "fit": "--budget 1kimg --recipe demo --set gate.steps=5",
    "evaluate": "--seeds 2 --steps 5",
    "export": "--no-gate",
}
"""Options that make a line short; the last of an option counts."""
SHORT_CODE = {
    'budget="10min"': 'budget="1kimg", recipe="demo", set={"gate.steps": 5}',
    "evaluate(trained)": "evaluate(trained, seeds=2, steps=5)",
    "per_class=5000": "per_class=30, gate=False, overwrite=True",
}
"""The same for the Python code."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)


def lines() -> Iterator[str]:
    for block in blocks("sh"):
        yield from block.splitlines()


def typed(line: str) -> str:
    """A line as it is run here: the installation is there already, and what trains is short."""
    command = line.split("#")[0].strip().replace("--per-class 5000", "--per-class 30")
    if command.endswith("make install"):
        return ""
    words = command.split()
    if words[0] != "synthaug" or words[1] not in SHORT:
        return command
    return f"{command} {SHORT[words[1]] if WHOLE else '--help'}"


@pytest.fixture
def newcomer(environment: Path) -> Path:
    """The folder that a newcomer stands in, with `.venv` and the images."""
    digits = load_digits()
    for label, name, count in ((0, "zero", 60), (1, "one", 60), (3, "rare", 30)):
        place = environment.parent / "DATA" / name
        place.mkdir(parents=True, exist_ok=True)
        for i in np.flatnonzero(digits.target == label)[:count]:
            Image.fromarray((digits.images[i] * 15).astype(np.uint8)).save(place / f"{i}.png")
    return environment.parent


def test_every_line_runs_in_turn(newcomer: Path) -> None:
    script = "\n".join(["set -e", *map(typed, lines())])
    assert "\n. .venv/bin/activate\n" in script
    own = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(["bash", "-x", "-c", script], cwd=newcomer, env=own, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    assert "rare" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(not WHOLE, reason="takes minutes: make quickstart")
def test_the_python_code_runs_too(newcomer: Path) -> None:
    code = "\n".join(blocks("python"))
    for long, short in SHORT_CODE.items():
        assert long in code
        code = code.replace(long, short)
    python = newcomer / ".venv" / "bin" / "python"
    done = subprocess.run([python, "-c", code], cwd=newcomer, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-6000:]
