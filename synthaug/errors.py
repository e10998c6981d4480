"""The exceptions that users see: a message about the fault, and a hint how to solve it."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Iterable
from typing import Any

_MOST = 1000


class SynthaugError(Exception):
    """Bad usage, configuration or input. The command line prints `error:` and `hint:` and exits with 2."""

    exit_status = 2

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = _shortened(" ".join(message.split()))
        self.hint = " ".join(hint.split())
        self.__notes__ = [f"hint: {self.hint}"]  # below the message in a traceback (PEP 678)

    def __reduce__(self) -> tuple[Any, ...]:
        # for exceptions from other processes: by default they are unpickled from `args`, which lack the hint
        return _restored, (type(self), self.args, self.__dict__)


def _shortened(message: str) -> str:
    """A value in a message may be of any length; its beginning and its end are enough."""
    return message if len(message) <= _MOST else f"{message[: _MOST * 3 // 4]} … {message[-_MOST // 4 :]}"


def _restored(kind: type[SynthaugError], args: tuple[Any, ...], state: dict[str, Any]) -> SynthaugError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class RunFailed(SynthaugError):
    """The input was valid, but the work failed (full disk, lost worker, diverged training)."""

    exit_status = 1


class LostProcess(RunFailed):
    """A process that worked for this one died. What is finished stays, and the same command continues."""


class Interrupted(SynthaugError):
    """A signal stopped the work after its state was saved; the hint has the command that continues it.

    `exit_status` is 130 for SIGINT and 143 for SIGTERM.
    """

    def __init__(self, message: str, hint: str, exit_status: int = 130) -> None:
        super().__init__(message, hint)
        self.exit_status = exit_status


def shell_command(name: str, *arguments: object, **options: object) -> str:
    """A command of synthaug that can be pasted into a POSIX shell, whatever its values contain.

    Args:
        name: the command, such as "fit" or "recipes cp".
        arguments: its positional arguments.
        options: by their names, with `_` for `-`. True stands for an option without a value; a list is given several
            times; None and False are left out.

    >>> shell_command("fit", "my photos", target_class=["cat", "-x"], resume="auto", json=True)
    "synthaug fit 'my photos' --target-class cat --target-class=-x --resume auto --json"
    """
    words = ["synthaug", *name.split()]
    for argument in map(str, arguments):
        words.append(f"./{argument}" if argument.startswith("-") else argument)
    for key, value in options.items():
        option = f"--{key.rstrip('_').replace('_', '-')}"
        if value is True:
            words.append(option)
        elif value is not None and value is not False:
            for one in map(str, value if isinstance(value, (list, tuple)) else [value]):
                words += [f"{option}={one}"] if one.startswith("-") else [option, one]
    return shlex.join(words)


def plural(count: int, one: str, many: str = "") -> str:
    """A number and its noun.

    >>> plural(1, "file"), plural(2, "file"), plural(1, "class is", "classes are")
    ('1 file', '2 files', '1 class is')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def suggest(name: object, choices: Iterable[str]) -> str:
    """A hint with the choice that is closest to `name`, and a list of all choices.

    >>> suggest("shrit", ["shirt", "coat"])
    'did you mean "shirt"? choices: shirt, coat'
    """
    known = [str(c) for c in choices]
    lowered = {c.lower(): c for c in known}
    close = difflib.get_close_matches(str(name).lower(), lowered, n=1, cutoff=0.6)
    shown = ", ".join(known[:30]) + (f", … ({len(known)} in all)" if len(known) > 30 else "")
    listing = f"choices: {shown}" if known else "there are none"
    return f'did you mean "{lowered[close[0]]}"? {listing}' if close else listing
