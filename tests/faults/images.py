"""An image is deleted or swapped while a command runs: a plain error that names it, or the result of before."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

from faults.disk import here
from faults.workplace import COMMANDS, contents, fresh, left_over, make
from PIL import Image


def changed_images(place: Path, command: str, times: int, seed: int) -> Iterator[list[str]]:
    """The faults found when an image was deleted (every second time) or swapped at a random moment.

    Afterwards the image is put back, and the command must give what it gives undisturbed.
    """
    start, rng = make(place, trained=True), random.Random(seed)
    work, begun = fresh(start), time.monotonic()
    assert here(work, COMMANDS[command]).status == 0
    seconds, wanted = time.monotonic() - begun, contents(work)
    for number in range(times):
        work = fresh(start)
        image = rng.choice(sorted((work / "data").rglob("*.png")))
        timer = Timer(rng.uniform(0, seconds), _delete if number % 2 else _swap, [image])
        before = image.read_bytes()
        timer.start()
        ended = here(work, COMMANDS[command])
        timer.cancel()
        timer.join()
        faults = [f"left over: {name}" for name in left_over(work)]
        if ended.status and not (ended.plainly and image.name in ended.stderr):
            faults.append(f"status {ended.status}: {ended.stderr.strip()[-300:]}")
        image.write_bytes(before)
        again = here(work, COMMANDS[command])
        faults += [f"put back, status {again.status}: {again.stderr.strip()[-300:]}"] * (again.status != 0)
        found = contents(work)
        faults += [f"differs: {name}" for name in sorted({*wanted, *found}) if wanted.get(name) != found.get(name)]
        yield faults


def _delete(image: Path) -> None:
    image.unlink()


def _swap(image: Path) -> None:
    Image.new("RGB", (16, 16), "red").save(image)
