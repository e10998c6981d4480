"""What the attacks share: a small folder of images, commands in processes of their own, and what a folder holds."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export_material import save_images

SMALL = (
    "data.resolution=16", "model.width=4", "model.discriminator_width=4", "training.batch_size=16", "gate.steps=20",
    "monitor.samples_per_class=8", "monitor.every_kimg=0.5", "training.augment=[color]",
)  # fmt: skip
FIT = ["fit", "data", "--resume", "auto", "--device", "cpu", *(word for key in SMALL for word in ("--set", key))]
COMMANDS: dict[str, list[str]] = {
    "fit": [*FIT, "--budget", "2.5kimg"],
    "export": ["export", "--per-class", "600", "--no-gate", "--out", "out", "--device", "cpu"],
    "evaluate": ["evaluate", "--no-gate", "--seeds", "2", "--steps", "10", "--jobs", "1", "--device", "cpu"],
    "check": ["check", "--count", "64", "--device", "cpu"],
}
_OF_TIME = {"seconds", "images_per_second", "updated", "time"}
_NOT_COMPARED = {"log.txt", "environment.json", "writer.lock", ".lock", "report.html"}
"""Texts with times in them, and the locks, which stay."""
_UNFINISHED = (".tmp", ".partial", ".replaced", ".new")


@dataclass(frozen=True)
class Ended:
    """A command that has ended; `status` is negative if a signal ended it."""

    status: int
    stderr: str

    @property
    def plainly(self) -> bool:
        """Whether an error was told in two lines, and not as a surprise."""
        lines = [line for line in self.stderr.splitlines() if line.startswith(("error:", "hint:"))]
        return len(lines) == 2 and "unexpected" not in lines[0] and "Traceback" not in self.stderr


def make(place: Path, trained: bool) -> Path:
    """A folder `start` in `place`: images, the cache, and with `trained` a finished run."""
    start = place / "start"
    save_images(start / "data", {"disc": 24, "ring": 40, "stripes": 40})
    arguments = COMMANDS["fit"] if trained else ["inspect", "data"]
    done = finish(launch(start, arguments))
    assert done.status == 0, done.stderr
    return start


def launch(folder: Path, arguments: Sequence[str], under: Sequence[str] = (), **more: str) -> subprocess.Popen[str]:
    """Start `synthaug ARGUMENTS` in `folder`, in a process group of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(folder / "cache"), **more}
    environment.pop("SYNTHAUG_RUNS", None)
    command = [*under, str(Path(sys.executable).with_name("synthaug")), *arguments]
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def finish(process: subprocess.Popen[str], timeout: float = 600) -> Ended:
    _, stderr = process.communicate(timeout=timeout)
    return Ended(process.returncode, stderr)


def fresh(start: Path) -> Path:
    """A copy of `start`, always at the same path, since runs and reports hold it."""
    work = start.with_name("work")
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(start, work, symlinks=True)
    return work


def contents(folder: Path) -> dict[str, str]:
    """Relative path → hash of each file outside of the cache; times in JSON do not count."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and not name.startswith("cache/") and path.name not in _NOT_COMPARED:
            found[name] = hashlib.sha256(_without_times(path)).hexdigest()[:16]
    return found


def left_over(folder: Path) -> list[str]:
    """Names of half-written files and folders outside of the cache, whose own are removed after a day."""
    paths = (p for p in folder.rglob(".*") if "cache" not in p.relative_to(folder).parts[:1])
    return sorted(p.name for p in paths if p.name.endswith(_UNFINISHED))


def _without_times(path: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix == ".json":
        return json.dumps(_timeless(json.loads(content))).encode()
    if path.suffix == ".jsonl":
        return json.dumps([_timeless(json.loads(line)) for line in content.splitlines()]).encode()
    if path.suffix == ".safetensors":
        return content
    return content


def _timeless(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _timeless(one) for key, one in value.items() if key not in _OF_TIME}
    return [_timeless(one) for one in value] if isinstance(value, list) else value
