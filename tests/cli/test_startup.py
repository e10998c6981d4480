"""The command answers at once: nothing heavy is imported to print help, list tables or find a slip of the pen."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

HEAVY = ("torch", "numpy", "pandas", "scipy", "sklearn", "matplotlib", "PIL", "torchvision", "timm")
LIGHT_COMMANDS = {
    "--help": 0,
    "--version": 0,
    "fit --help": 0,
    "recipes ls": 0,
    "recipes show default": 0,
    "recipes show": 0,
    "runs ls": 0,
    "list families": 0,
    "list discriminators": 0,
    "list objectives": 0,
    "list regularizers": 0,
    "list heads": 0,
    "list steps": 0,
    "list metrics": 0,
    "traverse --help": 0,
    "list classifiers": 0,
    "list features": 0,
    "list formats": 0,
    "list shards": 0,
    "fit missing-folder": 2,
    "fit . --set training.nonsense=1": 2,
    "export": 2,
    "evaluate --classifier nonsense": 2,
}


PROGRAM = f"""
import sys
from synthaug_cli.app import run
for command in {list(LIGHT_COMMANDS)}:
    status = run(command.split())
    print("\\nafter", command, status, [m for m in {HEAVY} if m in sys.modules])
"""


def test_nothing_heavy_is_imported(tmp_path: Path) -> None:
    """All in one process: nothing leaves `sys.modules`, so the first line that differs names the command."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True)
    after = [line for line in done.stdout.splitlines() if line.startswith("after ")]
    assert after == [f"after {command} {status} []" for command, status in LIGHT_COMMANDS.items()], done.stderr


def test_the_help_of_a_command_imports_little() -> None:
    """Models cost: those of the configuration and of other commands take as long to build as pydantic to import.

    importlib.metadata: pydantic imports it when Typer has it check a flag, such as one that is None instead of False.
    """
    program = """
import sys
from synthaug_cli.app import run
run(["fit", "--help"])
print(sorted({"yaml", "importlib.metadata", "synthaug.config", "synthaug.requests.export"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_inspect_does_not_import_torch() -> None:
    program = "import sys, synthaug.pipelines.inspect; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "False\n"


def test_help_takes_less_than_three_tenths_of_a_second_more_than_python() -> None:
    def fastest(command: list[str]) -> float:
        """Processor seconds of the fastest of some starts: the clock would count whatever else the machine does."""
        taken = []
        for _ in range(5):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(command, capture_output=True, check=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        return min(taken)

    bare = fastest([sys.executable, "-c", "pass"])
    assert fastest([str(Path(sys.executable).with_name("synthaug")), "--help"]) - bare < 0.3
