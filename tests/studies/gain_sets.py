"""The sets of the study of gain: image folders with rare classes, divided by groups, and a generator for each."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from changes import ADAPT, CHANGES, DEFAULT, Change

STUDIES = Path(__file__).parent
GROUP = "([^_]+)_"
ONE_CORE = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


@dataclass(frozen=True)
class Source:
    """One set. `make`: arguments of make_real.py; none for Fashion-MNIST, whose images come from make_folders.py."""

    name: str
    rare: tuple[str, ...]
    images: int  # training images of a rare class
    make: tuple[str, ...] = ()

    @property
    def grouped(self) -> bool:
        return bool(self.make)


SOURCES = (
    Source("signs", ("speed50", "sign10", "road-work"), 25, ("--parts=explore=0.25,confirm=0.25",)),
    Source(
        "objects", ("watch", "bonsai", "chandelier"), 20,
        ("--squash", "--head=200", "--parts=explore=0.3,confirm=0.3"),
    ),
    Source("cells-pv", ("defective-mono",), 25, ("--head=300", "--parts=explore=0.35,confirm=0.35")),
    Source("rubbish", ("metal", "cardboard"), 25, ("--head=300", "--parts=explore=0.3,confirm=0.3")),
    Source("fashion", ("Shirt", "Pullover", "Ankle-boot"), 25),
)  # fmt: skip
SETS = {source.name: source for source in SOURCES}
SETS |= {
    f"{name}-{n}": replace(SETS[name], name=f"{name}-{n}", images=n)
    for name in ("signs", "rubbish")
    for n in (12, 50, 100)
}


def folders(source: Source, work: Path, pictures: Path) -> Path:
    """WORK/SET with train/, explore/ and confirm/, made once."""
    out = work / source.name
    if not (out / "train").exists():
        rare = [f"--rare={c}={source.images}" for c in source.rare]
        if source.grouped:
            kind = source.name.removesuffix(f"-{source.images}")
            _make("make_real.py", kind, str(out), f"--from={pictures}", "--size=32", *source.make, *rare)
        else:
            _make("make_folders.py", source.name, str(out), "--head=300", "--test=500", *rare)
            (out / "test").rename(out / "confirm")
            _explore_fashion(source, out)
    return out


def _explore_fashion(source: Source, out: Path) -> None:
    """500 other images of each class, less those that are in train or confirm: files are named by the image."""
    others = out.with_name(f"{source.name}-others")
    _make("make_folders.py", source.name, str(others), "--head=10", "--test=500", "--seed=7")
    for file in sorted((others / "test").glob("*/*.png")):
        to = out / "explore" / file.parent.name
        to.mkdir(parents=True, exist_ok=True)
        if not any((out / part / file.parent.name / file.name).exists() for part in ("train", "confirm")):
            shutil.copy(file, to)


def _make(script: str, *arguments: str) -> None:
    subprocess.run([sys.executable, str(STUDIES / script), *arguments], check=True, stdout=subprocess.DEVNULL)


def generator(source: Source, out: Path, kimg: list[int], name: str = DEFAULT) -> Path:
    """The run of the default recipe or of a change, trained or trained to its end, with a checkpoint at each of `kimg`.

    A change is trained for as many kimg as `CHANGES` says.
    """
    change = CHANGES.get(name, Change(kimg=kimg[-1]))
    runs = out / ("runs" if name == DEFAULT else f"runs-{name}")
    if not finished(runs / "latest", change.kimg):
        first = out / f"{runs.name}-common"
        if change.common_first and not finished(first / "latest", change.kimg):
            common = out / "train-common"
            shutil.copytree(out / "train", common, ignore=shutil.ignore_patterns(*source.rare), dirs_exist_ok=True)
            _fit(source, common, first, change, kimg[0], sorted(p.name for p in common.iterdir())[:1])
        start = [f"--from={(first / 'latest').resolve()}"] if change.common_first else []
        _fit(source, out / "train", runs, change, kimg[0], source.rare, *start)
    return (runs / "latest").resolve()


def _fit(
    source: Source, data: Path, runs: Path, change: Change, every: int, targets: Sequence[str], *more: str
) -> None:
    sets = [
        "data.val_fraction=0", "data.test_fraction=0", f"monitor.every_kimg={every}",
        "monitor.samples_per_class=30", "training.keep_checkpoints=100", *change.sets,
    ]  # fmt: skip
    command = [sys.executable, str(STUDIES / "changes.py"), "fit", str(data)]
    command += [f"--target-class={c}" for c in targets] + [f"--set={s}" for s in sets]
    command += ["--recipe=default", f"--budget={change.kimg}kimg", f"--seed={change.seed}", f"--runs={runs}", *more]
    command += [f"--group-by={GROUP}"] if source.grouped else []
    command += ["--resume=auto"] if (runs / "latest").exists() else []
    adapt = {ADAPT: "1"} if more else {}
    runs.mkdir(parents=True, exist_ok=True)
    with (runs / "fit.log").open("a") as log:
        subprocess.run(command, check=True, env=ONE_CORE | adapt, stdout=log, stderr=subprocess.STDOUT)


def finished(run: Path, kimg: int) -> bool:
    """Whether it was trained to its end, for at least so long."""
    file = run / "status.json"
    status = json.loads(file.read_text()) if file.exists() else {"state": "absent"}
    return bool(status["state"] == "finished" and status["kimg"] >= kimg)


def minutes(run: Path) -> float:
    """How long the training took."""
    return float(json.loads((run / "status.json").read_text())["seconds"]) / 60
