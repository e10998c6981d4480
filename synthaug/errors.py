"""The exceptions that users see: one line says what is wrong, one says what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


class SynthaugError(Exception):
    """Bad usage, configuration or input. The command line prints it as `error:` and `hint:` and exits with 2."""

    exit_status = 2

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = " ".join(message.split())
        self.hint = " ".join(hint.split())

    def __reduce__(self) -> tuple[Any, ...]:
        # an exception is unpickled from its `args`, which lack the hint; it may come from another process
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[SynthaugError], args: tuple[Any, ...], state: dict[str, Any]) -> SynthaugError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class RunFailed(SynthaugError):
    """The input was right, but the work failed (full disk, lost worker, diverged training)."""

    exit_status = 1


class Interrupted(SynthaugError):
    """A signal stopped the work after its state was saved; the hint is the command that continues it.

    `exit_status` is 130 for SIGINT and 143 for SIGTERM.
    """

    def __init__(self, message: str, hint: str, exit_status: int = 130) -> None:
        super().__init__(message, hint)
        self.exit_status = exit_status


def suggest(name: str, choices: Iterable[str]) -> str:
    """Name the one of `choices` that is closest to `name`, and list them all.

    >>> suggest("shrit", ["shirt", "coat"])
    'did you mean "shirt"? choices: shirt, coat'
    """
    known = [str(c) for c in choices]
    lowered = {c.lower(): c for c in known}
    close = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    shown = ", ".join(known[:30]) + (f", … ({len(known)} in all)" if len(known) > 30 else "")
    listing = f"choices: {shown}" if known else "there are none"
    return f'did you mean "{lowered[close[0]]}"? {listing}' if close else listing
