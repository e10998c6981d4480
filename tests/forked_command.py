"""Commands in forks of a process that has imported everything: a fault is found in a tenth of a second instead of five.

`tests/cli/test_startup.py` and the tests that go on for longer start the installed command itself.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

COMMANDS = ("check", "evaluate", "export", "fit", "inspect", "regenerate", "samples", "traverse", "upscale")


def run(arguments: Sequence[str], cwd: Path, environment: Mapping[str, str], timeout: float) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of `synthaug ARGUMENTS`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["synthaug_cli.app", *(f"synthaug.pipelines.{name}" for name in COMMANDS)])
    with TemporaryDirectory() as folder:
        outputs = [Path(folder) / name for name in ("stdout", "stderr")]
        process = context.Process(target=_command, args=(list(arguments), cwd, dict(environment), outputs))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"synthaug {' '.join(arguments)} takes more than {timeout:g} s")
        stdout, stderr = (output.read_text(encoding="utf-8") for output in outputs)
    return process.exitcode, stdout, stderr


def _command(arguments: list[str], cwd: Path, environment: dict[str, str], outputs: list[Path]) -> NoReturn:
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, output in enumerate(outputs, 1):
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT), number)
    sys.stdout, sys.stderr = open(1, "w", encoding="utf-8"), open(2, "w", encoding="utf-8", buffering=1)  # noqa: SIM115
    sys.argv = ["synthaug", *arguments]
    from synthaug_cli.app import main

    main()
