"""Do conditions act, and do images of rare combinations help? On real pictures with measured attributes.

    python tests/studies/conditions.py --pictures DIR

- `signs`: ten classes of traffic signs; brightness and sharpness of each picture are measured. All are 32 px here, so
  sharpness (the mean size of the Laplacian) stands for the size that a sign had in the video.
- `fashion`: Fashion-MNIST; brightness and breadth are measured, and a caption is made of them and the class.
- `cells`: solar cells, good or defective, with the type of cell (mono- or polycrystalline) and the measured brightness.

In the target classes only a few training images are dark (the lowest third of the set), or of monocrystalline cells.
A generator of the default recipe is trained with the conditions for --minutes of processor time. `check` recovers each
condition by a classifier of real images; `evaluate --by light --balance light` (or `type`) compares the classifiers on
each combination, with group-balanced sampling among the controls. Of `fashion`, images of `--text` are measured too. A
finished set is a line of docs/science/conditions.jsonl.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from gain_sets import GROUP, ONE_CORE, STUDIES, finished
from PIL import Image
from tables import DOCS, between, keep, kept, written

WIDE = 0.8
"""Breadth divided by height, above which a caption says so."""
FEW = 4
"""Training images of the rare combination that a target class keeps."""
TEXTS = 64
"""Images of each caption."""
SIGNS = "speed30,speed50,speed70,sign03,sign05,sign07,sign08,caution,crossroads,road-work"


class Set(NamedTuple):
    """`rare`: column and value of which the target classes keep few training images."""

    targets: tuple[str, ...]
    make: tuple[str, ...]
    conditions: str
    rare: tuple[str, str] = ("light", "dark")
    group_by: str | None = None


SETS = {
    "signs": Set(
        ("speed70", "sign08", "caution"),
        ("make_real.py", "signs", "--parts=test=0.4", f"--classes={SIGNS}", "--head=150"),
        "light,brightness,sharpness", group_by=GROUP,
    ),
    "fashion": Set(
        ("Shirt", "Pullover", "Coat"), ("make_folders.py", "fashion", "--head=150", "--test=200"),
        "light,brightness,breadth,caption",
    ),
    "cells": Set(
        ("defective",), ("make_real.py", "cells-pv", "--parts=test=0.4", "--head=250", "--size=64"), "type,brightness",
        ("type", "mono"), GROUP,
    ),
}  # fmt: skip
Row = dict[str, Any]


def described(name: str, work: Path, pictures: Path) -> Path:
    """The images of a set with a table, made once; most rare images of the target classes are taken out of train."""
    out, one = work / name, SETS[name]
    if (out / "metadata.csv").exists():
        return out
    script, source, *arguments = one.make
    given = [f"--from={pictures}"] if script == "make_real.py" else []
    command = [sys.executable, str(STUDIES / script), source, str(out), *given, *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    measured = {file: _measured(name, file) for file in sorted(out.rglob("*.png"))}
    dark = float(np.quantile([row["brightness"] for row in measured.values()], 1 / 3))
    (column, rare), seen, rows = one.rare, dict.fromkeys(one.targets, 0), []
    for file, row in measured.items():
        if name != "cells":
            row["light"] = "dark" if row["brightness"] <= dark else "bright"
        if name == "fashion":
            row["caption"] = _caption(row["light"], "wide" if row["breadth"] > WIDE else "narrow", row["label"])
        if row[column] == rare and row["label"] in seen and file.parent.parent.name == "train":
            seen[row["label"]] += 1
            if seen[row["label"]] > FEW:
                file.unlink()
                continue
        rows.append({"file_name": file.relative_to(out).as_posix(), **row})
    with (out / "metadata.csv").open("w", encoding="utf-8", newline="") as table:
        writer = csv.DictWriter(table, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return out


def _caption(light: str, breadth: str, label: str) -> str:
    return f"a {light} {breadth} {label.lower()}"


def from_texts(run: Path, data: Path, name: str) -> list[Row]:
    """Images of each caption of the target classes: the share of which the words are true, as measured."""
    with (data / "metadata.csv").open(encoding="utf-8") as table:
        dark = max(float(row["brightness"]) for row in csv.DictReader(table) if row["light"] == "dark")
    found = []
    for label, light, breadth in product(SETS[name].targets, ("dark", "bright"), ("narrow", "wide")):
        with TemporaryDirectory() as out:
            asked = [f"--class={label}", f"--text={_caption(light, breadth, label)}", f"--count={TEXTS}"]
            made = _synthaug("samples", str(run), *asked, f"--out={out}/of-text")
            measured = [_measured(name, Path(made["out"]) / file) for file in made["per_class"][label]]
        right = [
            ((row["brightness"] <= dark) == (light == "dark"), (row["breadth"] > WIDE) == (breadth == "wide"))
            for row in measured
        ]
        words = {"class": label, "light": light, "breadth": breadth, "extrapolated": bool(made["extrapolated"])}
        found.append(words | {"right": np.mean(right, axis=0).round(3).tolist()})
    return found


def _measured(name: str, file: Path) -> Row:
    grey, label = np.asarray(Image.open(file).convert("L"), np.float64), file.parent.name
    if name == "cells":
        label, _, kind = label.rpartition("-")
        return {"label": label, "type": kind, "brightness": round(grey.mean(), 1)}
    if name == "signs":
        inner = grey[1:-1, 1:-1] * 4 - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
        return {"label": label, "brightness": round(grey.mean(), 1), "sharpness": round(float(np.abs(inner).mean()), 1)}
    thing = grey > 30
    breadth = round(float(thing.any(axis=0).sum() / max(thing.any(axis=1).sum(), 1)), 2)
    return {"label": label, "brightness": round(grey[thing].mean(), 1), "breadth": breadth}


def judged(name: str, a: argparse.Namespace) -> Row:
    """The generator of a set, what `check` says of its conditions, and the evaluation by combination."""
    data, one = described(name, a.work, a.pictures), SETS[name]
    runs = a.work / f"{name}-runs"
    if not finished(runs / "latest", 0):
        fit = [sys.executable, str(STUDIES / "translation.py"), "fit", str(data), f"--condition={one.conditions}"]
        fit += [f"--target-class={label}" for label in one.targets] + [f"--budget={a.minutes:g}min", f"--runs={runs}"]
        fit += ["--resume=auto", "--set=monitor.every_kimg=20"] + (
            [f"--group-by={one.group_by}"] if one.group_by else []
        )
        subprocess.run(fit, check=True, env=ONE_CORE)
    check = _synthaug("check", str(runs / "latest"), "--count=150")
    row = {
        "set": name, "kimg": json.loads((runs / "latest/status.json").read_text())["kimg"], "minutes": a.minutes,
        "conditions": check["conditions"], "combinations": [],
    }  # fmt: skip
    if name == "fashion":
        row["texts"] = from_texts(runs / "latest", data, name)
    if a.effects_only:
        return row
    arms = "classical,group-balanced,synthetic+classical,oversample,synthetic"
    evaluated = _synthaug(
        "evaluate", str(runs / "latest"), f"--by={one.rare[0]}", f"--balance={one.rare[0]}", f"--arms={arms}",
        f"--seeds={a.seeds}", f"--steps={a.steps}", "--jobs=1",
    )  # fmt: skip
    verdict = evaluated["verdict"]
    return row | {
        "combinations": evaluated["combinations"], "best": verdict["best_control"], "verdict": verdict["overall"],
        "arms": {arm: found["macro_f1"]["mean"] for arm, found in evaluated["arms"].items()},
    }  # fmt: skip


def _synthaug(*arguments: str) -> Any:
    call = [str(Path(sys.executable).with_name("synthaug")), *arguments, "--json"]
    return json.loads(subprocess.run(call, check=True, env=ONE_CORE, capture_output=True, text=True).stdout)


def effects(rows: Sequence[Row]) -> str:
    """The table of conditions: what is recovered from real and from generated images."""
    lines = []
    for row in rows:
        for one in row["conditions"]:
            numbers = [one["real"], one["samples"] and one["samples"]["mean"], one["floor"]]
            shown = ["–" if value is None else f"{value:.2f}" for value in numbers]
            share = "–" if one["share"] is None else f"{max(one['share'], 0):.0%}"
            lines.append([row["set"], one["name"], *shown, share, one["acts"]])
    return written(("set", "condition", "real", "generated", "by class alone", "recovered", "acts"), lines)


def combinations(rows: Sequence[Row]) -> str:
    """The table of combinations, the worst first."""
    lines = []
    for row in rows:
        for one in row["combinations"]:
            gain = one["gain"]
            change = "–" if gain is None else f"{gain['mean']:+.3f} ({gain['low']:+.3f} to {gain['high']:+.3f})"
            values = ", ".join(f"{name} {value}" for name, value in one["values"].items())
            before, after = f"{one['before']:.3f}", f"{one['after']:.3f}"
            lines.append([row["set"], values, str(one["images"]), row["best"], before, after, change])
    head = ("set", "combination", "test images", "best control", "its F1", "with synthetic images", "difference")
    return written(head, lines)


def texts(rows: Sequence[Row]) -> str:
    """The table of images from texts."""
    lines = []
    for one in (one for row in rows for one in row.get("texts", [])):
        light, breadth = (f"{share:.0%}" for share in one["right"])
        seen = "no" if one["extrapolated"] else "yes"
        lines.append([one["class"], f"{one['light']} {one['breadth']}", seen, light, breadth])
    return written(("class", "words", "seen in training", "light is right", "breadth is right"), lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, default=Path("pictures"), help="where signs.zip lies")
    parser.add_argument("--work", type=Path, default=Path("build/conditions"))
    parser.add_argument("--out", type=Path, default=DOCS / "conditions.jsonl")
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=list(SETS))
    parser.add_argument("--minutes", type=float, default=10, help="processor time of each training")
    parser.add_argument("--seeds", type=int, default=5, help="of the classifier")
    parser.add_argument("--steps", type=int, default=300, help="of a classifier")
    parser.add_argument("--effects-only", action="store_true", help="without the evaluation")
    parser.add_argument("--tables", action="store_true", help="only make the tables anew")
    a = parser.parse_args()
    a.work.mkdir(parents=True, exist_ok=True)
    for name in () if a.tables else a.sets:
        if not any(row["set"] == name for row in kept(a.out)):
            keep(a.out, judged(name, a))
    rows = kept(a.out)
    for name, table in (("effects", effects(rows)), ("texts", texts(rows)), ("combinations", combinations(rows))):
        between(DOCS / "conditions.md", name, table)
        print(table)


if __name__ == "__main__":
    main()
