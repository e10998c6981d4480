"""The wheel that users get: it holds everything, and works in another environment and another folder."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_wheel_holds_every_module_recipe_and_template_and_nothing_else(wheel: Path) -> None:
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    tracked = subprocess.run(
        ["git", "ls-files", "synthaug", "cli", "recipes"], cwd=ROOT, capture_output=True, text=True
    )
    if tracked.returncode != 0:
        pytest.skip("not a git checkout: nothing to compare the wheel with")
    expected = {
        f.removeprefix("cli/").removeprefix("recipes/") for f in tracked.stdout.splitlines() if (ROOT / f).exists()
    }
    assert expected <= inside
    assert {name.split("/")[0] for name in inside} == {"synthaug", "synthaug_cli", "synthaug_recipes"}


def test_installed_wheel_works_from_another_folder(environment: Path, tmp_path: Path) -> None:
    python = environment / "bin" / "python"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    origin = subprocess.run(
        [python, "-c", "import synthaug, synthaug_cli; print(synthaug.__file__, synthaug_cli.__file__)"],
        cwd=elsewhere,
        capture_output=True,
        text=True,
    )
    assert all(str(environment) in path for path in origin.stdout.split()), origin.stdout + origin.stderr
    done = subprocess.run(
        [environment / "bin" / "synthaug", "recipes", "ls"], cwd=elsewhere, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "default" in done.stdout
    assert list(elsewhere.iterdir()) == []
