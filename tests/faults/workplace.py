"""What the attacks share: a small folder of images, commands in processes of their own, and what a folder holds."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import forked_command
from export_material import save_images, save_net

SMALL = (
    "data.resolution=16", "data.min_images_for_val=8", "model.width=4", "model.discriminator_width=4",
    "model.embed_dim=4", "training.batch_size=32", "training.augment=[color]", "gate.steps=10", "gate.duplicates=false",
    "monitor.samples_per_class=8", "monitor.every_kimg=0.4", "monitor.features=net.pt",
)  # fmt: skip
_SMALL = ["--device", "cpu", *(word for key in SMALL for word in ("--set", key))]
_FIT = ["fit", "data", "--resume", "auto", "--precision", "32-true", "--budget", "1.1kimg", *_SMALL]
_FIT_TRANSLATOR = [*_FIT, "--family", "translator", "--target-class", "disc", "--set", "model.blocks=1"]
_FIT_UPSCALER = [*_FIT, "--family", "srgan", "--scale", "2", "--set", "model.blocks=1", "--set", "training.augment=[]"]
_EXPORT = ["export", "--per-class", "300", "--no-gate", "--out", "exports/out", "--device", "cpu"]
_EVALUATE = ["evaluate", "--no-gate", "--seeds", "2", "--steps", "4", "--arms", "real,oversample,synthetic"]
_RUN = ["run", "data", "--yes", "--out", "result", "--recipe", "default", "--target-class", "disc"]
_BRIEF = ["--budget", "1.1kimg", "--seeds", "2", "--classifier", "logistic"]
_UNGATED = ["--set", "gate.agreement=false", "--set", "data.min_images_for_val=50"]
_JUDGED = ["--features", "net.pt", "--device", "cpu"]
COMMANDS: dict[str, list[str]] = {
    "fit": _FIT,
    "fit of two processes": _FIT,
    "fit of a translator": _FIT_TRANSLATOR,
    "fit of an upscaler": _FIT_UPSCALER,
    "export": _EXPORT,
    "export --jobs 2": [*_EXPORT, "--jobs", "2"],
    "export of a translator": _EXPORT,
    "evaluate": [*_EVALUATE, *_JUDGED, "--jobs", "1"],
    "evaluate --jobs 2": [*_EVALUATE, *_JUDGED, "--jobs", "2"],
    "check": ["check", "--count", "32", *_JUDGED],
    "check --jobs 2": ["check", "--count", "32", *_JUDGED, "--jobs", "2"],
    "run": [*_RUN, *_BRIEF, *_SMALL, *_UNGATED],
    "inspect": ["inspect", "data"],
    "samples": ["samples", "--count", "8", "--out", "samples", "--device", "cpu"],
    "traverse": ["traverse", "--along", "noise", "--out", "walk.png", "--device", "cpu"],
    "regenerate": ["regenerate", "exports/out", "--out", "again", "--device", "cpu"],
    "upscale": ["upscale", "latest", "data", "--out", "large", "--device", "cpu"],
    "runs compare": ["runs", "compare", "0", "0", "--out", "runs.html"],
}
_BEFORE: dict[str, list[str]] = {
    "fit": [],
    "run": [],
    "inspect": [],
    "regenerate": ["fit", "export"],
    "upscale": ["fit of an upscaler"],
    "export of a translator": ["fit of a translator"],
}
_OF_TIME = {"seconds", "images_per_second", "updated", "time"}
_NOT_COMPARED = {"log.txt", "environment.json", "writer.lock", ".lock"}
"""Texts with times in them, and the locks, which stay."""
_UNFINISHED = (".tmp", ".partial", ".replaced", ".new")
_ENDS = 60  # seconds for what a killed command leaves behind to notice it


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

    def __str__(self) -> str:
        return f"status {self.status}: {self.stderr.strip()[-300:]}"


@dataclass(frozen=True)
class Running:
    """A command in processes of its own: one, or those of a training that `torchrun` would start."""

    processes: list[BaseProcess]
    stderr: list[Path]

    def runs_for(self, seconds: float) -> bool:
        """Wait so long; whether the command still runs then. If it has ended, the wait ends."""
        until = time.monotonic() + seconds
        while self.processes[0].exitcode is None and time.monotonic() < until:
            time.sleep(0.01)
        return self.processes[0].exitcode is None

    def finish(self, timeout: float = 900) -> Ended:
        """Wait for the command. If one of several processes fails, the others are asked to end, as `torchrun` does."""
        until, asked = time.monotonic() + timeout, False
        while any(process.exitcode is None for process in self.processes):
            if not asked and any(process.exitcode for process in self.processes):
                asked = True
                self.kill(signal.SIGTERM, group=False)
            if time.monotonic() > until:
                self.kill(signal.SIGKILL, group=True)
                raise TimeoutError(f"still running after {timeout:g} s")
            time.sleep(0.02)
        return Ended(self.processes[0].exitcode or 0, "".join(file.read_text("utf-8") for file in self.stderr))

    def kill(self, signal_number: int, *, group: bool, only: Sequence[int] = ()) -> None:
        """Send a signal to all processes, or to `only` those of these numbers; and with `group` to their children."""
        for number, process in enumerate(self.processes):
            if process.pid is not None and process.exitcode is None and (not only or number in only):
                with suppress(ProcessLookupError):
                    (os.killpg if group else os.kill)(process.pid, signal_number)

    def children(self) -> list[int]:
        """Process ids of the workers that the command has started."""
        mains = {process.pid for process in self.processes}
        return [pid for pid, session in _sessions() if session in mains and pid not in mains and _is_worker(pid)]

    def left(self) -> list[int]:
        """Process ids of what still runs, a while after the command has ended; it is ended here."""
        mains, until = {process.pid for process in self.processes}, time.monotonic() + _ENDS
        while (left := [pid for pid, session in _sessions() if session in mains]) and time.monotonic() < until:
            time.sleep(0.1)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        return left


def _is_worker(pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:  # it has ended
        return False
    return "loky" in words and "tracker" not in words


def _sessions() -> list[tuple[int, int]]:
    """Process id and session of every process that has not ended."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split() if entry.name.isdecimal() else []
        except OSError:  # it has ended
            continue
        if fields and fields[0] != "Z":
            found.append((int(entry.name), int(fields[3])))
    return found


def launch(folder: Path, command: str, first: Callable[[], None] | None = None) -> Running:
    """Start a command of `COMMANDS` in `folder`, in a session of its own. `first` is called there before it."""
    usual = {key: value for key, value in os.environ.items() if key != "SYNTHAUG_RUNS"}
    usual |= {"OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(folder / "cache")}
    count = 2 if "two processes" in command else 1
    port = str(_free_port()) if count > 1 else ""
    processes, errors = [], []
    for rank in range(count):
        ranks = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "GROUP_RANK": 0}
        of_torchrun = {**ranks, "TORCHELASTIC_RUN_ID": "x", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        given = {**usual, **{key: str(value) for key, value in of_torchrun.items() if count > 1}}
        errors.append(folder.with_name(f"stderr-{rank}"))
        errors[-1].write_text("")
        outputs = [Path(os.devnull), errors[-1]]
        processes.append(forked_command.start(COMMANDS[command], folder, given, outputs, True, first))
    return Running(processes, errors)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def before(command: str) -> list[str]:
    """The commands that come before one: usually a training."""
    return _BEFORE.get(command, _BEFORE.get(command.split()[0], ["fit"]))


def make(place: Path, command: str) -> Path:
    """A folder `start` in `place`: images, the cache, and what the commands make that come before this one.

    It is made at the path of the copies that `fresh` makes of it, which a run holds.
    """
    start, work = place / "start", place / "work"
    if not start.exists():
        save_images(work / "data", {"disc": 16, "ring": 24, "stripes": 24}, resolution=32)
        save_net(work / "net.pt")
        for earlier in before(command):
            done = launch(work, earlier).finish()
            assert done.status == 0, done
        work.rename(start)
    return start


def fresh(start: Path) -> Path:
    """A copy of `start`, always at the same path."""
    work = start.with_name("work")
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(start, work, symlinks=True)
    return work


def undisturbed(start: Path, command: str) -> tuple[float, dict[str, str]]:
    """How many seconds the command takes in a copy of `start`, and what it leaves there."""
    work, begun = fresh(start), time.monotonic()
    done = launch(work, command).finish()
    assert done.status == 0, done
    return time.monotonic() - begun, contents(work)


def contents(folder: Path) -> dict[str, str]:
    """Relative path → hash of each file outside of the cache; times do not count."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and not name.startswith("cache/") and path.name not in _NOT_COMPARED:
            found[name] = hashlib.sha256(_without_times(path)).hexdigest()[:16]
    return found


def differences(wanted: Mapping[str, str], work: Path) -> list[str]:
    """What is wrong in a folder that should hold `wanted`: see `contents`."""
    found = contents(work)
    faults = [f"left over: {name}" for name in left_over(work)]
    return faults + [
        f"differs: {name}" for name in sorted({*wanted, *found}) if wanted.get(name) != found.get(name)
    ]  # fmt: skip


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
    if path.suffix == ".html":
        return re.sub(rb"<footer>.*</footer>", b"", content)
    return content


def _timeless(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _timeless(one) for key, one in value.items() if key not in _OF_TIME}
    return [_timeless(one) for one in value] if isinstance(value, list) else value
