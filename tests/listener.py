"""A `Progress` that keeps what it is told."""

from __future__ import annotations

from synthaug.progress import Silent


class Listener(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.warnings: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)

    def announce(self, line: str) -> None:
        self.say(line)

    def warn(self, line: str) -> None:
        self.warnings.append(line)
