"""SIGKILL at random moments: afterwards the same command gives the same bits and reports, and nothing is left over."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from faults.workplace import Running, contents, differences, fresh, launch, make, undisturbed


def killed(start: Path, command: str, rng: random.Random, seconds: float, way: int) -> tuple[Path, Running]:
    """A copy of `start` in which the command was killed within so long, with its children where `way` is even."""
    while True:
        work, begun = fresh(start), time.monotonic()
        running = launch(work, command)
        if running.runs_for(rng.uniform(0.02, 1) * seconds):
            break
        running.finish()  # this time it was faster
        seconds = time.monotonic() - begun
    alone = way % (1 + len(running.processes))  # 0: all are killed, k: the k-th alone
    running.kill(signal.SIGKILL, group=alone == 0, only=[alone - 1] if alone else [])
    running.finish()
    return work, running


def kill_and_repeat(place: Path, command: str, kills: int, seed: int) -> Iterator[list[str]]:
    """For each kill, the faults that were found after the command was run again to its end: none, if it held.

    The moment is drawn from the time that the command takes without a kill. Children are spared in every second kill;
    of two processes, both are killed, or only the first or the second.

    Args:
        place: a folder, empty or of an earlier call.
        command: a key of `COMMANDS`.
        kills: how many.
        seed: of the moments.
    """
    start, rng = make(place, command), random.Random(seed)
    seconds, wanted = undisturbed(start, command)
    for number in range(kills):
        work, running = killed(start, command, rng, seconds, number)
        while contents(work) == wanted:  # all was done
            work, running = killed(start, command, rng, seconds, number)
        faults = [f"still running: {pid}" for pid in running.left()]
        again = launch(work, command)
        done = again.finish()
        faults += [f"still running at the end: {pid}" for pid in again.left()]
        yield faults + ([str(done)] if done.status else differences(wanted, work))
