"""The command answers at once: nothing heavy is imported to print help, list tables or find a slip of the pen."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

HEAVY = ("torch", "numpy", "pandas", "scipy", "sklearn", "matplotlib", "PIL", "torchvision", "timm")
LIGHT_COMMANDS = [
    ["--help"],
    ["--version"],
    ["fit", "--help"],
    ["recipes", "ls"],
    ["recipes", "show", "default"],
    ["recipes", "show"],
    ["runs", "ls"],
    ["list", "families"],
    ["list", "objectives"],
    ["list", "metrics"],
    ["list", "classifiers"],
    ["list", "features"],
    ["list", "formats"],
    ["fit", "missing-folder"],
    ["fit", ".", "--set", "training.nonsense=1"],
    ["export"],
]


@pytest.mark.parametrize("arguments", LIGHT_COMMANDS, ids=" ".join)
def test_imports_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    program = (
        "import sys; from synthaug_cli.app import run; run(sys.argv[1:]); "
        f"print('HEAVY', [m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program, *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []", done.stdout[-500:] + done.stderr


def test_importing_synthaug_imports_nothing_heavy() -> None:
    program = f"import sys, synthaug; print([m for m in {HEAVY!r} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "[]\n"


def test_help_takes_less_than_three_tenths_of_a_second_more_than_python() -> None:
    def fastest(command: list[str]) -> float:
        """Seconds of the fastest of some starts: the others also waited for whatever else the machine does."""
        taken = []
        for _ in range(7):
            begun = time.perf_counter()
            subprocess.run(command, capture_output=True, check=True)
            taken.append(time.perf_counter() - begun)
        return min(taken)

    bare = fastest([sys.executable, "-c", "pass"])
    assert fastest([str(Path(sys.executable).with_name("synthaug")), "--help"]) - bare < 0.3
