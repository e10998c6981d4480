#!/usr/bin/env python3
"""Write a set of real pictures as an image folder: OUT/train/<class>/*.png, OUT/test/<class>/*.png.

    make_real.py signs OUT --from DIR --size 32 --rare speed50=25 --parts explore=0.25,confirm=0.25

signs     43 classes of German traffic signs cut from car video (GTSRB, Stallkamp et al. 2012; free for research),
          4 frames a track, reduced to 32 px. A group is a track. Naturally imbalanced (28 to 300 of a class), colour.
objects   11 classes of Caltech-101 (Fei-Fei, Fergus, Perona; CC BY 4.0), colour photographs of about 300 × 250,
          85 to 800 of a class. Groups are pictures; runs of 8 for leopards and cars. Use --squash: padding gives
          classes away.
cells-pv  solar cells by electroluminescence (Deitsch et al. 2019; pip install elpv-dataset, CC BY-NC-SA 4.0), 300 px
          grey: good or defective, mono or poly. Cells of a module follow each other: groups are blocks of 60.
rubbish   six kinds of rubbish photographed on white board (TrashNet, Thung & Yang 2016; MIT), 512 × 384 colour.
          Pictures of an object follow each other: groups are runs of 8 serial numbers.

DIR holds SET.zip with a folder of images a class, named CLASS/NUMBER.* (signs: CLASS/TRACK_FRAME.*); cells-pv needs
none. Whole groups go to a part, by a hash of seed and group; what no part takes is train. File names begin with the
group, so that --group-by '([^_]+)_' finds it. Needs Pillow and numpy.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import re
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

SIGNS = {
    1: "speed30", 2: "speed50", 4: "speed70", 11: "crossroads", 12: "priority-road", 13: "yield", 14: "stop",
    17: "no-entry", 18: "caution", 21: "double-bend", 25: "road-work", 27: "pedestrians", 31: "wild-animals",
    33: "turn-right", 38: "keep-right", 40: "roundabout",
}  # fmt: skip
OBJECT_RUNS = ("leopards", "car_side")


class Picture(NamedTuple):
    label: str
    group: str
    name: str
    read: Callable[[], bytes]


def _zipped(file: Path) -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    """Folder, file name without its ending, and how to read it."""
    archive = zipfile.ZipFile(file)
    for name in sorted(archive.namelist()):
        folder, stem = name[:-4].split("/")
        yield folder, stem, lambda name=name: archive.read(name)  # type: ignore[misc]


def signs(source: Path) -> Iterator[Picture]:
    for c, stem, read in _zipped(source / "signs.zip"):
        track, frame = stem.split("_")[:2]
        yield Picture(SIGNS.get(int(c), f"sign{c}"), f"{c}-{track}", frame, read)


def rubbish(source: Path) -> Iterator[Picture]:
    for c, stem, read in _zipped(source / "rubbish.zip"):
        k = int(re.sub(r"\D", "", stem))
        yield Picture(c, f"{c}{(k - 1) // 8:03d}", f"{k:04d}", read)


def objects(source: Path) -> Iterator[Picture]:
    for c, stem, read in _zipped(source / "objects.zip"):
        k, label = int(re.sub(r"\D", "", stem)), c.replace("_", "-")
        yield Picture(label, f"{label}{(k - 1) // (8 if c in OBJECT_RUNS else 1):04d}", f"{k:04d}", read)


def cells_pv(_: Path) -> Iterator[Picture]:
    import elpv_dataset

    base = Path(elpv_dataset.__file__).parent / "data"
    before, run, at = "", 0, 0
    for line in (base / "labels.csv").read_text().splitlines():
        if not line.strip():
            continue
        path, chance, kind = line.split()
        run, at = (run + 1, 0) if kind != before else (run, at + 1)
        before = kind
        if chance[:3] in ("0.0", "1.0"):  # what the experts were sure of
            state = "good" if chance[:3] == "0.0" else "defective"
            read = lambda path=path: (base / path).read_bytes()  # noqa: E731
            yield Picture(f"{state}-{kind}", f"{run}-{at // 60}", Path(path).stem, read)


SETS = {"signs": (signs, "RGB"), "cells-pv": (cells_pv, "L"), "rubbish": (rubbish, "RGB"), "objects": (objects, "RGB")}


def squared(image: Image.Image, side: int, *, squash: bool) -> Image.Image:
    """A square of `side` px: the whole picture, or its centre."""
    if not squash:
        s = min(image.size)
        left, top = (image.width - s) // 2, (image.height - s) // 2
        image = image.crop((left, top, left + s, top + s))
    return image.resize((side, side), Image.Resampling.LANCZOS)


def part_of(group: str, seed: int, parts: dict[str, float]) -> str:
    """The part that a group goes to."""
    at = int(hashlib.md5(f"{seed} {group}".encode()).hexdigest(), 16) % 1000 / 1000
    for part, share in parts.items():
        if at < share:
            return part
        at -= share
    return "train"


def one_of_each(groups: list[list[Picture]], most: int) -> list[Picture]:
    """The first picture of each group, then the second of each, and so on, `most` in all."""
    deepest = max(map(len, groups), default=0)
    return [group[k] for k in range(deepest) for group in groups if k < len(group)][:most]


def arguments() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("set", choices=SETS)
    p.add_argument("out", type=Path)
    p.add_argument("--from", dest="source", type=Path, default=Path(), metavar="DIR", help="where the zip files lie")
    p.add_argument("--size", type=int, help="side of square pictures, antialiased (default: as they are)")
    p.add_argument("--squash", action="store_true", help="with --size: the whole picture, not its centre")
    p.add_argument("--classes", help="comma-separated; default all")
    p.add_argument("--rare", action="append", default=[], metavar="CLASS=N", help="training pictures of a class")
    p.add_argument("--head", type=int, default=10**9, help="training pictures of each other class")
    p.add_argument("--test", type=int, default=10**9, help="pictures of a class in each part that is not train")
    p.add_argument("--parts", default="test=0.3", metavar="PART=SHARE,…", help="shares of groups (default test=0.3)")
    p.add_argument("--seed", type=int, default=0)
    return p


def main() -> None:
    parser = arguments()
    a = parser.parse_args()
    make, mode = SETS[a.set]
    rare = {k: int(v) for k, v in (r.rsplit("=", 1) for r in a.rare)}
    parts = {k: float(v) for k, v in (p.split("=") for p in a.parts.split(","))}
    found: dict[str, dict[str, list[Picture]]] = defaultdict(lambda: defaultdict(list))
    for picture in make(a.source):
        found[picture.label][picture.group].append(picture)
    classes = a.classes.split(",") if a.classes else sorted(found)
    for unknown in {*rare, *classes} - set(found):
        parser.error(f"no class {unknown!r}; there are {', '.join(sorted(found))}")
    rng = np.random.default_rng(a.seed)
    for label in classes:
        for part in ("train", *parts):
            groups = [of for name, of in sorted(found[label].items()) if part_of(name, a.seed, parts) == part]
            most = rare.get(label, a.head) if part == "train" else a.test
            picked = one_of_each([groups[i] for i in rng.permutation(len(groups))], most)
            folder = a.out / part / label
            folder.mkdir(parents=True, exist_ok=True)
            for picture in picked:
                image = Image.open(io.BytesIO(picture.read())).convert(mode)
                image = squared(image, a.size, squash=a.squash) if a.size else image
                image.save(folder / f"{picture.group}_{picture.name}.png")
            print(f"{part:8s} {label:18s} {len(picked):5d} pictures of {len({p.group for p in picked})} groups")


if __name__ == "__main__":
    main()
