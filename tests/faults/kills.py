"""SIGKILL at random moments: afterwards the same command gives the same bits and reports, and nothing is left over."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

from workplace import COMMANDS, contents, finish, fresh, kill_after, launch, left_over, make


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
        work, killed = fresh(start), False
        while not killed:
            killed = kill_after(launch(work, COMMANDS[command]), rng.uniform(0, seconds), group=number % 2 == 0)
            if not killed:
                work = fresh(start)
        done = finish(launch(work, COMMANDS[command]))
        if done.status:
            yield [f"status {done.status}: {done.stderr.strip()[-300:]}"]
            continue
        found = contents(work)
        faults = [f"left over: {name}" for name in left_over(work)]
        faults += [f"differs: {name}" for name in sorted({*wanted, *found}) if wanted.get(name) != found.get(name)]
        yield faults
