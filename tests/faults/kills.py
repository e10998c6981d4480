"""SIGKILL at random moments: afterwards the same command gives the same bits and reports, and nothing is left over."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from faults.workplace import COMMANDS, contents, finish, fresh, launch, left_over, make


def killed(start: Path, command: str, seconds: float, *, group: bool) -> Path:
    """A copy of `start` in which the command was killed after so long, with its children if `group`."""
    work = fresh(start)
    process = launch(work, COMMANDS[command])
    time.sleep(seconds)
    if process.poll() is None:
        (os.killpg if group else os.kill)(process.pid, signal.SIGKILL)
    process.communicate()
    return work


def kill_and_repeat(place: Path, command: str, kills: int, seed: int) -> Iterator[list[str]]:
    """For each kill, the faults that were found after the command was run again to its end: none, if it held.

    The moment is drawn from the time that the command takes without a kill; every second kill spares child processes.

    Args:
        place: an empty folder.
        command: a key of `COMMANDS`.
        kills: how many.
        seed: of the moments.
    """
    start, rng = make(place, trained=command != "fit"), random.Random(seed)
    work, begun = fresh(start), time.monotonic()
    done = finish(launch(work, COMMANDS[command]))
    assert done.status == 0, done.stderr
    seconds, wanted = time.monotonic() - begun, contents(work)
    for number in range(kills):
        work = killed(start, command, rng.uniform(0, seconds), group=number % 2 == 0)
        while contents(work) == wanted:  # it was done before
            work = killed(start, command, rng.uniform(0, seconds), group=number % 2 == 0)
        done = finish(launch(work, COMMANDS[command]))
        if done.status:
            yield [f"status {done.status}: {done.stderr.strip()[-300:]}"]
            continue
        found = contents(work)
        faults = [f"left over: {name}" for name in left_over(work)]
        faults += [f"differs: {name}" for name in sorted({*wanted, *found}) if wanted.get(name) != found.get(name)]
        yield faults
