"""What a user waits for at the prompt: help, recipes, and the scan of a folder."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from compare import Row, compare, readable, seconds
from material import write_images
from PIL import Image

import synthaug

FILES = 10_000
ALLOWED = 0.3  # seconds more than a bare Python


def _command(*words: str) -> Callable[[], object]:
    return lambda: subprocess.run(words, check=True, capture_output=True)


def rows(scratch: Path) -> Iterator[Row]:
    program = str(Path(sys.executable).parent / "synthaug")
    bare = _command(sys.executable, "-c", "pass")
    for arguments in (["--help"], ["recipes", "ls"]):
        ours = _command(program, *arguments)
        ours()
        pairs = [(seconds(ours), seconds(bare)) for _ in range(9)]
        ratios = sorted((b + ALLOWED) / a for a, b in pairs)
        yield Row(
            f"`synthaug {' '.join(arguments)}`",
            f"`python -c pass` and {ALLOWED} s",
            1.0,
            ratios[len(ratios) // 2],
            ratios[0],
            ratios[-1],
            f"{readable(sorted(a for a, _ in pairs)[4])} s",
            f"{readable(sorted(b for _, b in pairs)[4])} s + {ALLOWED} s",
        )
    folder, cache = write_images(scratch / "inspect", count=FILES), scratch / "inspect-cache"

    def cached() -> None:
        synthaug.inspect(folder, cache=cache)

    def cold() -> None:
        shutil.rmtree(cache, ignore_errors=True)
        cached()

    def pil_loop() -> None:
        for path in sorted(folder.rglob("*.png")):
            with Image.open(path) as image:
                hashlib.sha256(image.tobytes()).hexdigest()

    for what, ours, target in ((f"`inspect` of {FILES:,} images", cold, 1.0), ("`inspect`, cached", cached, 3.0)):
        yield compare(
            what, "a PIL loop that opens and hashes each", target, ours, pil_loop, amount=FILES, unit="images"
        )
