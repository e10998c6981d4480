"""The only exceptions that a user meets: one line that says what is wrong, one that says what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SynthaugError(Exception):
    """Bad usage, configuration or input. The command line prints it as `error:` and `hint:` and exits with 2."""

    exit_status = 2

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = " ".join(message.split())
        self.hint = " ".join(hint.split())

    def __reduce__(self) -> tuple[type[SynthaugError], tuple[object, ...]]:
        return type(self), (self.message, self.hint)  # an error of a worker process reaches the parent whole


class RunFailed(SynthaugError):
    """The input was right and the work failed all the same (full disk, lost worker, diverged training)."""

    exit_status = 1


class Interrupted(SynthaugError):
    """Work stopped by a signal after its state was saved; the hint is the command that continues it.

    `exit_status` is 130 for SIGINT and 143 for SIGTERM.
    """

    def __init__(self, message: str, hint: str, exit_status: int = 130) -> None:
        super().__init__(message, hint)
        self.exit_status = exit_status

    def __reduce__(self) -> tuple[type[SynthaugError], tuple[object, ...]]:
        return type(self), (self.message, self.hint, self.exit_status)


def suggest(name: str, choices: Iterable[str]) -> str:
    """Say which of `choices` was probably meant by `name`, and list them.

    >>> suggest("shrit", ["shirt", "coat"])
    'did you mean "shirt"? choices: shirt, coat'
    """
    known = [str(c) for c in choices]
    lowered = {c.lower(): c for c in known}
    close = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    shown = ", ".join(known[:30]) + (f", … ({len(known)} in all)" if len(known) > 30 else "")
    listing = f"choices: {shown}" if known else "there are none"
    return f'did you mean "{lowered[close[0]]}"? {listing}' if close else listing
