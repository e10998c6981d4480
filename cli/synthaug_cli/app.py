"""The `synthaug` command: the table of commands, and the handling of errors."""

from __future__ import annotations

import errno
import logging
import os
import shlex
import signal
import sys
import traceback
import warnings
from collections.abc import Container, Sequence
from types import FrameType
from typing import NoReturn

import typer

from synthaug.errors import Interrupted, RunFailed, SynthaugError
from synthaug.files import DISK_FULL, STORAGE_FAILED
from synthaug.launched import follows
from synthaug_cli import (
    check,
    curate,
    demo,
    evaluate,
    export,
    fit,
    inspect,
    lists,
    recipes,
    regenerate,
    runs,
    samples,
    traverse,
    upscale,
)
from synthaug_cli import run as whole_way
from synthaug_cli.completion import asked_words, complete
from synthaug_cli.console import FLAGS, fail
from synthaug_cli.help import Command, Group
from synthaug_cli.options import everywhere, takes_request
from synthaug_cli.usage import as_error

COMMANDS = {
    "Start here": {"run": whole_way, "demo": demo},
    "Step by step": {"inspect": inspect, "fit": fit, "evaluate": evaluate, "export": export},
    "Images": {
        "check": check, "samples": samples, "curate": curate, "traverse": traverse, "upscale": upscale,
        "regenerate": regenerate,
    },
    "Look up": {"list": lists, "recipes": recipes, "runs": runs},
}  # fmt: skip
"""Group in the help text → name → module of the command, or of the group of commands."""

_TRAIN = frozenset({"fit", "run"})
"""Commands that may be one of several processes that train as one."""


def application(arguments: Container[str] | None = None) -> typer.Typer:
    """Build the table of commands. With `arguments`, only the commands in them get their options, which saves time."""
    app = typer.Typer(
        name="synthaug",
        cls=Group,
        rich_markup_mode=None,  # plain text is faster, and keeps square brackets
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    app.callback(invoke_without_command=True)(everywhere(root))
    for group, modules in COMMANDS.items():
        for name, module in modules.items():
            if hasattr(module, "app"):
                app.add_typer(module.app, rich_help_panel=group)
                continue
            command = _listed
            if arguments is None or name in arguments:
                command = everywhere(takes_request(module.command))
            app.command(name, cls=Command, help=module.command.__doc__, rich_help_panel=group)(command)
    return app


def _listed() -> None:
    """A placeholder for a command that is only listed."""


def root(context: typer.Context) -> None:
    """Synthetic images for rare classes, and a test of whether they help.

    Examples:
        synthaug demo
        synthaug run photos --target-class rare
    """
    if context.invoked_subcommand is None:
        print(context.get_help())


class Terminated(KeyboardInterrupt):
    """SIGTERM: the work is saved and stops, as after Ctrl-C."""


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a second one ends the process at once
    global _terminated
    _terminated = True
    raise Terminated


_terminated = False


def main() -> NoReturn:
    """Run the command line and exit with its status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a file name may not be valid text
            stream.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, _terminate)
    status = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except OSError as failure:  # a closed pipe, or a full disk
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = status or _report(failure, sys.argv[1:])
    sys.exit(status)


def run(arguments: list[str]) -> int:
    """Run a command line and return its exit status."""
    FLAGS.debug = "--debug" in arguments  # even if the rest cannot be parsed
    if not FLAGS.debug:
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
    try:
        _invoke(arguments)
    except BaseException as failure:
        if isinstance(failure, typer.Exit):
            return failure.exit_code
        if isinstance(failure, SystemExit):  # of Typer's shell completion
            return int(failure.code or 0)
        if FLAGS.debug:
            vars(failure).pop("__notes__", None)  # the hint comes after the error
            traceback.print_exc()
        if follows() and not _TRAIN.isdisjoint(arguments) and isinstance(failure, SynthaugError):
            return failure.exit_status  # the first process reports it
        return _report(failure, arguments)
    return 0


def _invoke(arguments: list[str]) -> None:
    # not command.main(): it turns Ctrl-C into "Aborted!" and prints usage errors in its own form
    words = asked_words()
    command = typer.main.get_command(application(arguments if words is None else words))
    if words is not None:
        complete(command)
        return
    with command.make_context("synthaug", arguments) as context:
        command.invoke(context)


def _report(failure: BaseException, arguments: Sequence[str]) -> int:
    if isinstance(failure, BrokenPipeError):
        return 128 + getattr(signal, "SIGPIPE", 13)  # Windows has none
    if isinstance(failure, Interrupted) and _terminated:
        failure.exit_status = 128 + signal.SIGTERM
    return fail(as_synthaug(failure, arguments))


def as_synthaug(failure: BaseException, arguments: Sequence[str]) -> SynthaugError:
    """Any exception as an error with a hint; `arguments` are those of the command line that raised it."""
    if isinstance(failure, SynthaugError):
        return failure
    again = f"run the same command again: {shlex.join(['synthaug', *arguments])}"
    if isinstance(failure, KeyboardInterrupt):
        status = 128 + (signal.SIGTERM if isinstance(failure, Terminated) else signal.SIGINT)
        return Interrupted("interrupted", again, status)
    if hasattr(failure, "format_message"):
        return as_error(failure)
    if _is_out_of_memory(failure):
        hint = "close other programs, give fewer --jobs, or for a training --set training.micro_batch_size=4"
        return RunFailed(f"out of memory: {_first_line(failure)}", hint)
    if isinstance(failure, OSError) and failure.errno in DISK_FULL:
        where = f" while writing {os.fspath(failure.filename)!r}" if failure.filename else ""
        hint = f"free some space, then {again}"
        return RunFailed(f"the disk is full{where}: {failure.strerror}", hint)
    if isinstance(failure, OSError) and failure.errno in STORAGE_FAILED:
        where = f" at {os.fspath(failure.filename)!r}" if failure.filename else ""
        hint = f"when the disk or the network works, {again}"
        return RunFailed(f"the storage failed{where}: {failure.strerror}", hint)
    if isinstance(failure, OSError) and isinstance(failure.filename, (str, os.PathLike)):
        hint = "give another path, or change its permissions"
        return SynthaugError(f"cannot use {os.fspath(failure.filename)!r}: {failure.strerror}", hint)
    if isinstance(failure, RuntimeError) and str(failure).startswith("Symlink loop"):  # Path.resolve, before 3.13
        return SynthaugError(
            f"cannot use {str(failure).partition(' from ')[2]}: it links to itself", "give another path"
        )
    hint = "run it again with --debug for the traceback"
    if FLAGS.debug:
        hint = "this is a bug in synthaug: please report it with the traceback above"
    return RunFailed(f"unexpected {type(failure).__name__}: {_first_line(failure)}", hint)


def _is_out_of_memory(failure: BaseException) -> bool:
    return (
        isinstance(failure, MemoryError)
        or type(failure).__name__ == "OutOfMemoryError"  # of torch, for a GPU
        or (isinstance(failure, OSError) and failure.errno == errno.ENOMEM)
        or (isinstance(failure, RuntimeError) and "can't allocate memory" in str(failure))  # of torch, for the CPU
    )


def _first_line(failure: BaseException) -> str:
    return (str(failure).strip().splitlines() or ["no message"])[0][:300]
