"""The flags that every command takes, wherever they stand; one JSON document on stdout; a reader that goes away."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import synthaug as package

Synthaug = Callable[..., Any]


@pytest.mark.parametrize(
    "arguments", [["--json", "runs", "ls"], ["runs", "--json", "ls"], ["runs", "ls", "--json"]], ids=" ".join
)
def test_json_is_accepted_before_and_after_the_command(
    arguments: list[str], synthaug: Synthaug, tmp_path: Path
) -> None:
    done = synthaug(*arguments, cwd=tmp_path)
    assert (done.status, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"root": "runs", "runs": []}


@pytest.mark.parametrize(
    "arguments", [["--version"], ["fit", "--version"], ["recipes", "ls", "--version"]], ids=" ".join
)
def test_version(arguments: list[str], synthaug: Synthaug, tmp_path: Path) -> None:
    assert synthaug(*arguments, cwd=tmp_path).stdout == f"synthaug {package.__version__}\n"


@pytest.mark.parametrize("before", [True, False])
def test_debug_shows_the_traceback_and_still_the_two_lines(before: bool, synthaug: Synthaug, tmp_path: Path) -> None:
    command = ["fit", "missing"]
    done = synthaug(*(["--debug", *command] if before else [*command, "--debug"]), cwd=tmp_path)
    assert done.status == 2
    assert "Traceback" in done.stderr
    assert len(done.lines("error: ")) == len(done.lines("hint: ")) == 1


def test_no_command_prints_help(synthaug: Synthaug, tmp_path: Path) -> None:
    done = synthaug(cwd=tmp_path)
    assert done.status == 0
    assert all(name in done.stdout for name in ("inspect", "fit", "export", "evaluate", "demo"))


def test_a_reader_that_goes_away_is_no_traceback(tmp_path: Path) -> None:
    command = f"{Path(sys.executable).with_name('synthaug')} recipes show --json | true; echo ${{PIPESTATUS[0]}}"
    for _ in range(3):
        done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True)
        assert done.stderr == ""
        assert done.stdout.strip() in ("0", "141")  # 0 where it had written all before `true` ended


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_result_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    command = f"{Path(sys.executable).with_name('synthaug')} recipes show > /dev/full"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert [line.split(":")[0] for line in done.stderr.splitlines()] == ["error", "hint"]
    assert "the disk is full" in done.stderr


@pytest.mark.parametrize("name", ["RANK", "SLURM_PROCID"])
def test_an_error_is_not_lost_where_a_cluster_runs_many_commands(name: str, tmp_path: Path, synthaug: Synthaug) -> None:
    done = synthaug("inspect", "missing", cwd=tmp_path, env={name: "3"})
    assert (done.status, len(done.lines("error: "))) == (2, 1)
