"""SIGINT, SIGTERM and others' wishes become a request that the loop honours between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any


class StopRequest:
    """A context in which the first SIGINT or SIGTERM sets `signal`; a second one acts at once, as usual.

    `say` gets a line at the first one. `ask` does the same as a first SIGINT, from any thread and any number of times.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.signal: int | None = None
        self._say = say
        self._previous: dict[int, Any] = {}

    def ask(self) -> None:
        """Ask the loop to stop, as Ctrl-C does."""
        if self.signal is None:
            self.signal = signal.SIGINT
            self._told()

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._request)
        return self

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        signal.signal(number, self._previous[number])
        self._told()

    def _told(self) -> None:
        with suppress(RuntimeError):  # it interrupted another line
            self._say("stopping after this step; once more to stop at once")

    def __exit__(self, *exc: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
