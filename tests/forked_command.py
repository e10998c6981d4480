"""Commands in forks of a process that has imported everything: a fault is found in a tenth of a second instead of five.

`tests/cli/test_startup.py` and the tests that go on for longer start the installed command itself.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

COMMANDS = ("check", "evaluate", "export", "fit", "inspect", "regenerate", "run", "samples", "traverse", "upscale")
SYNTHAUG = Path(sys.executable).with_name("synthaug")


def run(arguments: Sequence[str], cwd: Path, environment: Mapping[str, str], timeout: float) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of `synthaug ARGUMENTS`."""
    with TemporaryDirectory() as folder:
        outputs = [Path(folder) / name for name in ("stdout", "stderr")]
        process = start(arguments, cwd, environment, outputs)
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"synthaug {' '.join(arguments)} takes more than {timeout:g} s")
        stdout, stderr = (output.read_text(encoding="utf-8") for output in outputs)
    return process.exitcode, stdout, stderr


def start(
    arguments: Sequence[str],
    cwd: Path,
    environment: Mapping[str, str],
    outputs: Sequence[Path],
    own_session: bool = False,
    first: Callable[[], None] | None = None,
) -> BaseProcess:
    """Start `synthaug ARGUMENTS`, whose stdout and stderr go to the files `outputs`; `first` is called before it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["synthaug_cli.app", *(f"synthaug.pipelines.{name}" for name in COMMANDS)])
    given = (list(arguments), cwd, dict(environment), list(outputs), own_session, first)
    process = context.Process(target=_command, args=given)
    process.start()
    return process


def _command(
    arguments: list[str],
    cwd: Path,
    environment: dict[str, str],
    outputs: list[Path],
    own_session: bool,
    first: Callable[[], None] | None,
) -> NoReturn:
    if own_session:
        os.setsid()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, output in enumerate(outputs, 1):
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT), number)
    sys.stdout, sys.stderr = open(1, "w", encoding="utf-8"), open(2, "w", encoding="utf-8", buffering=1)  # noqa: SIM115
    sys.argv = [str(SYNTHAUG), *arguments]  # what starts further processes of a training calls it again
    if first is not None:
        first()
    from synthaug_cli.app import main

    try:
        main()
    finally:  # what an interpreter does at its end, and a fork leaves out or does too late: joblib's workers end first
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
