"""Which controls are strong, and what do they cost? Every arm without synthetic images, on folders of real images.

    python tests/studies/controls.py DATA… --out build/controls.jsonl [--variants] [--seeds 3] [--write]

Each DATA has `train/` and `test/`, and is written NAME=FOLDER,TARGET+TARGET,SIDE. The arms, the split, the classifier
(`cnn`, 600 steps) and the scores are those of `evaluate`. `--variants` adds the same arms with and without classical
augmentation and with other settings. A training is a line of `--out`; an interrupted study goes on from there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tables import between, keep, kept, written

from synthaug.classifiers.base import Labels
from synthaug.config import resolve
from synthaug.data.run_data import RunData
from synthaug.evaluation.arms import ARMS, ArmKind
from synthaug.evaluation.grid import Grid, Trial
from synthaug.evaluation.held_out import HeldOut
from synthaug.evaluation.images import real_images
from synthaug.evaluation.statistics import mean_f1
from synthaug.evaluation.trial import run_trials
from synthaug.progress import Silent
from synthaug.tasks import Workers

STEPS = 600
PAGE = Path(__file__).parents[2] / "docs/science/controls.md"
REFERENCE = "classical"


@dataclass(frozen=True)
class Set:
    name: str
    grid: Grid
    held_out: HeldOut
    val_labels: Labels

    @classmethod
    def read(cls, given: str, group_by: str) -> Set:
        name, rest = given.split("=", 1)
        folder, targets, side = rest.split(",")
        config = resolve(flags={"data.resolution": int(side), "data.group_by": group_by}).config
        data = RunData.of_folder(Path(folder), targets.split("+"), config, cache=None, progress=Silent())
        real = real_images(data, None, cache=None, progress=Silent())
        empty = real.train.subset(np.zeros(0, np.int64))
        grid = Grid(
            classifier="cnn", steps=STEPS, device="cpu", train=real.train, groups=real.train_groups, pool=empty,
            val=np.array(real.val.pixels), test=np.array(real.test.pixels), per_seed=0,
            targets=tuple(real.target_indices),
        )  # fmt: skip
        return cls(name, grid, HeldOut.of([real]), real.val.labels)


def variants() -> Iterable[ArmKind]:
    """The arms of the table with classical augmentation where they have none, and without it where they have it."""
    for name in ("mixup", "cutmix", "cmo"):
        yield replace(ARMS[name], name=f"{name}-plain", augment="none")
    for name in ("logit-adjustment", "focal"):
        yield replace(ARMS[name], name=f"{name}-classical", augment="classical")


def outcome(given: Set, arm: str, seed: int, times: int) -> dict[str, Any]:
    started = time.process_time()
    trial = Trial(arm, 0.0, seed, times=times)
    found = run_trials(given.grid, [trial], Silent(), Workers(1))[trial]
    return {"seconds": time.process_time() - started, "predicted": found.test.argmax(1).tolist()}


def rows_of(given: Set, rows: list[dict[str, Any]], arms: list[str], seeds: int) -> list[list[str]]:
    """A line an arm: mean F1 of the targets, its difference to `classical` with its interval, macro-F1, time."""
    held_out, lines = given.held_out, []
    targets, groups = list(given.grid.targets), held_out.groups_of_classes()
    present = np.flatnonzero(groups).tolist()
    mine = {(r["arm"], r["seed"]): r for r in rows if r["set"] == given.name}
    hot = np.eye(len(held_out.classes), dtype=np.float32)
    tables = {
        arm: held_out.table([hot[mine[arm, seed]["predicted"]] for seed in range(seeds)])
        for arm in arms
        if all((arm, seed) in mine for seed in range(seeds))
    }
    base = np.mean([mine[REFERENCE, seed]["seconds"] for seed in range(seeds)])
    for arm, table in tables.items():
        difference = table.seeds[:, targets].mean(1) - tables[REFERENCE].seeds[:, targets].mean(1)
        error = f" ± {difference.std(ddof=1) / np.sqrt(seeds):.3f}" if seeds > 1 else ""
        seconds = np.mean([mine[arm, seed]["seconds"] for seed in range(seeds)])
        lines.append([
            given.name, f"`{arm}`", f"{mean_f1(table, targets, groups).mean:.3f}",
            "" if arm == REFERENCE else f"{difference.mean():+.3f}{error}",
            f"{mean_f1(table, present, groups).mean:.3f}", f"{seconds / base:.2f}",
        ])  # fmt: skip
    return lines


HEAD = ["set", "arm", "F1 of the rare classes", "to `classical`", "macro-F1", "time"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", metavar="NAME=FOLDER,TARGET+TARGET,SIDE")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--group-by", default="([^_/]+)_[^/]*$", help="regular expression of the group in a path")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--arms", help="comma-separated; all when left out")
    parser.add_argument("--variants", action="store_true")
    parser.add_argument("--write", action="store_true", help=f"rewrite the table of {PAGE.name}")
    a = parser.parse_args()
    kinds = {name: kind for name, kind in ARMS.items() if not (kind.mixes or kind.smote)}
    if a.variants:
        kinds |= {kind.name: kind for kind in variants()}
        ARMS.update(kinds)
    chosen = a.arms.split(",") if a.arms else list(kinds)
    a.out.parent.mkdir(parents=True, exist_ok=True)
    rows = kept(a.out)
    done = {(row["set"], row["arm"], row["seed"]) for row in rows}
    sets = [Set.read(given, a.group_by) for given in a.data]
    for seed in range(a.seeds):
        for arm in chosen:
            for given in sets:
                if (given.name, arm, seed) in done:
                    continue
                times = kinds[arm].times  # of `classical`, since what is best is not known here
                found = outcome(given, REFERENCE if times > 1 else arm, seed, times)
                rows.append({"set": given.name, "arm": arm, "seed": seed, **found})
                keep(a.out, rows[-1])
    lines = [line for given in sets for line in rows_of(given, rows, chosen, a.seeds)]
    print(written(HEAD, lines))
    if a.write:
        between(PAGE, "table", written(HEAD, lines))


if __name__ == "__main__":
    main()
