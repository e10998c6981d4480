"""Completion in the shell: what bash is given, for names of runs, recipes, families and classes; without torch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = """
import io, json, os, sys
from contextlib import redirect_stdout
from synthaug_cli.app import run
found = {}
for line in json.loads(sys.argv[1]):
    last = str(line.count(" "))
    os.environ |= {"_SYNTHAUG_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": last}
    with redirect_stdout(io.StringIO()) as printed:
        assert run([]) == 0
    found[line] = printed.getvalue().split("\\n")[:-1] if printed.getvalue().strip() else []
heavy = [name for name in ("torch", "pandas", "scipy", "sklearn", "timm") if name in sys.modules]
print(json.dumps({"found": found, "heavy": heavy}))
"""
CASES = {
    "synthaug ins": ["inspect"],
    "synthaug --js": ["--json"],
    "synthaug recipes ": ["ls", "show", "cp", "validate"],
    "synthaug fit photos --dry": ["--dry-run"],
    "synthaug fit photos --family s": ["stylegan2", "srgan"],
    "synthaug fit photos --recipe gpu-1": ["gpu-128"],
    "synthaug fit photos --recipe au": ["auto"],
    "synthaug fit photos --objective h": ["hinge"],
    "synthaug fit photos --device c": ["cpu", "cuda"],
    "synthaug fit photos --fit ": ["pad", "crop", "stretch"],
    "synthaug fit photos --target-class ": ["cat", "dog", "it\\'s\\ rare"],
    "synthaug fit split --target-class ": ["cat", "dog"],
    "synthaug fit photos --target-class it": ["it\\'s\\ rare"],
    "synthaug fit photos --target-class cat --target-class d": ["dog"],
    "synthaug fit photos --source-classes cat,d": ["cat,dog"],
    "synthaug fit missing --target-class ": [],
    "synthaug fit photos --resume ": ["auto", "00001-b", "00000-a"],
    "synthaug evaluate 0": ["00001-b", "00000-a"],
    "synthaug evaluate --runs elsewhere ": ["00002-c"],
    "synthaug evaluate --classifier l": ["logistic"],
    "synthaug export --format p": ["parquet"],
    "synthaug runs compare 00000-a 00001": ["00001-b"],
    "synthaug samples 00000-a --class ": ["cat", "dog"],
    "synthaug samples --class d": ["dog"],
    "synthaug traverse --to ": ["cat", "dog"],
    "synthaug recipes show gpu-2": ["gpu-256"],
    "synthaug list fam": ["families"],
    "synthaug samples damaged --class ": [],
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders of images without images, and runs that are known by their names and classes only."""
    place = tmp_path_factory.mktemp("completion")
    for folder in (
        "photos/cat",
        "photos/dog",
        "photos/it's rare",
        "photos/.hidden",
        "split/train/cat",
        "split/test/dog",
    ):
        (place / folder).mkdir(parents=True)
    facts = {"data": "photos", "fingerprint": "", "classes": ["cat", "dog"], "targets": ["dog"], "channels": 3}
    for run in ("runs/00000-a", "runs/00001-b", "elsewhere/00002-c"):
        (place / run).mkdir(parents=True)
        (place / run / "config.yaml").write_text(json.dumps({**facts, "config": {}, "origins": {}}))
    return place


@pytest.fixture(scope="module")
def completed(place: Path) -> Any:
    environment = {name: value for name, value in os.environ.items() if name != "SYNTHAUG_RUNS"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(list(CASES))],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.mark.parametrize("line", CASES)
def test_bash_is_given(line: str, completed: Any) -> None:
    assert completed["found"][line] == CASES[line]


def test_nothing_heavy_is_imported_and_nothing_is_written(completed: Any, place: Path) -> None:
    assert completed["heavy"] == []
    assert {path.name for path in place.iterdir()} == {"photos", "split", "runs", "elsewhere"}


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_completes_with_the_script_that_show_completion_prints(place: Path) -> None:
    script = """
        eval "$(synthaug --show-completion)"
        complete -p synthaug
        COMP_WORDS=(synthaug fit photos --target-class it); COMP_CWORD=4
        _synthaug_completion synthaug
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", script], cwd=place, env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["complete -o default -F _synthaug_completion synthaug", "it\\'s\\ rare"], (
        done.stderr
    )
