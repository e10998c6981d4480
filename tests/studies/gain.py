"""Does the synthetic arm gain over the best control, on five sets of pictures? And what raises its gain?

    make study-gain ARGS="--pictures DIR"

DIR holds the zip files of make_real.py; cells-pv needs the package elpv-dataset, Fashion-MNIST Debian's
dataset-fashion-mnist. Each set is divided by groups: train, *explore*, where ways are compared and one is chosen, and
*confirm*, where only the chosen way and the best control of *explore* are judged, with other classifier seeds.

The stages, each for all sets: `controls`; `curve`, the default way after 15 to 120 kimg; `ways` at the last
checkpoint; `confirm`; `rare`, other numbers of rare images; `gate`, samples without it; `steps`, two and four times as
many; `changes`, generators that changes.py lists, each trained once. These three are the second pass: the generator of
the default and the classifiers that they are compared with are trained again. A finished piece of work is a line of
docs/science/gain.jsonl and is not repeated, so the study may be stopped at any time. Its predictions stay in --work: a
way is compared with the controls seed by seed.

A way augments as the better one of the two simplest controls does, on explore: classical augmentation or none. Beside
these, the set's third control is mixup where augmentation helps, else class weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import gain_tables
import numpy as np
import oracle
import torch
from changes import CHANGES, DEFAULT, TWO_SEEDS, register
from gain_sets import SETS, SOURCES, folders, generator, minutes
from gain_tables import rows_of
from material import POOL, Trained
from numpy.typing import NDArray
from tables import DOCS, keep
from ways import CONTROLS, WAYS, Material, fit, fit_head, two_checkpoints

from synthaug.classifiers.finetune import Finetune
from synthaug.classifiers.logistic import RememberedFeatures
from synthaug.classifiers.steps import predict
from synthaug.data.cache import LabelledImages
from synthaug.evaluation.detectable import smallest_detectable
from synthaug.evaluation.statistics import F1Table, contrast, f1_table, resample_groups
from synthaug.runs import Run

KIMG = [15, 30, 60, 120]
TIMES = [1, 2, 4]
NO_IMAGES = {"kimg": 0, "augment": True, "generator": DEFAULT, "gated": True}
CURVE, TWO = "share-25", "two-checkpoints-25"
ALL_WAYS = {**WAYS, TWO: two_checkpoints(0.25)}
CNN_WAYS = ("all-classes-50", "share-50", "finish-on-real", "all-classes-finish-on-real", "in-place-50")
STEPS = {"cnn": 300, "finetune": 600}
SEEDS = {"explore": range(3), "confirm": range(10, 15)}
GATE_STEPS = 300
CANDIDATES = 5 * POOL
HEAD_SEEDS = {"explore": range(5), "confirm": range(10, 20)}
Predictions = NDArray[np.int64]


@dataclass(frozen=True)
class Piece:
    """One way to train a classifier, on one set, judged on one part.

    `kimg` 0: no synthetic images. `augment` false: no augmentation, whatever the way says. `generator`: a name of
    `CHANGES`, or `TWO_SEEDS`. `times`: how many times as many steps. `gated`: samples pass the gate. `again`: of the
    second pass.
    """

    data: str
    judge: str
    classifier: str
    way: str
    kimg: int = 0
    augment: bool = True
    generator: str = DEFAULT
    times: int = 1
    gated: bool = True
    again: bool = False

    @property
    def key(self) -> str:
        plain = "" if self.augment else "-plain"
        more = f"{'' if self.generator == DEFAULT else f'-{self.generator}'}{'' if self.gated else '-ungated'}"
        more += f"{'' if self.times == 1 else f'-x{self.times}'}{'-again' if self.again else ''}"
        return f"{self.data}-{self.judge}-{self.classifier}-{self.way}{plain}-{self.kimg}{more}"

    @property
    def seeds(self) -> list[int]:
        return list((SEEDS if self.classifier == "cnn" else HEAD_SEEDS)[self.judge])

    @property
    def steps(self) -> int:
        return self.times * STEPS[self.classifier]


class Judge:
    """The real images of a part, and the groups that they come in."""

    def __init__(self, folder: Path, real: LabelledImages) -> None:
        self.images = oracle.pixels(folder, real.pixels.shape[1], classes=real.classes, resolution=real.pixels.shape[2])
        names = [Path(path).name.split("_")[0] for path in self.images.paths]
        self.groups = np.unique(names, return_inverse=True)[1]
        self.classes = len(real.classes)
        labels = self.images.labels
        self.groups_of = np.array([len(set(self.groups[labels == k])) for k in range(self.classes)])
        self.times = resample_groups(int(self.groups.max()) + 1, np.random.default_rng(0))

    def table(self, predicted: Sequence[Predictions]) -> F1Table:
        return f1_table(self.images.labels, predicted, self.groups, self.classes, self.times)


class Prepared:
    """A set with its trained generator, and all that is computed once for it."""

    def __init__(self, name: str, a: argparse.Namespace) -> None:
        self.source = SETS[name]
        self.folder = folders(self.source, a.work, a.pictures)
        self.kimg = [kimg for kimg in KIMG if kimg <= a.until]
        self.run = generator(self.source, self.folder, self.kimg)
        self.trained = Trained(self.run, GATE_STEPS, CANDIDATES)
        self._materials: dict[tuple[int, str, bool], Material] = {}
        self._judges: dict[str, Judge] = {}
        self._features: RememberedFeatures | None = None

    def judge(self, part: str) -> Judge:
        if part not in self._judges:
            self._judges[part] = Judge(self.folder / part, self.trained.real)
        return self._judges[part]

    def run_of(self, name: str) -> Run:
        return self.trained.run if name == DEFAULT else Run(generator(self.source, self.folder, self.kimg, name))

    def pool(self, kimg: int, name: str = DEFAULT, gated: bool = True) -> LabelledImages:
        """Gated samples after `kimg`, kept in a file; or ungated ones, as many of each class.

        They are of all classes at the default's last checkpoint, else of the rare ones.
        """
        real = self.trained.real
        if name == TWO_SEEDS:
            two = [self.pool(kimg, one) for one in (DEFAULT, "seed-1")]
            halves = [p.subset(np.arange(len(p)) % 2 == 0) for p in two]
            made = [np.concatenate([getattr(half, part) for half in halves]) for part in ("pixels", "labels")]
            return _images(real, *made)
        file = self.folder / f"pool-{kimg}{'' if name == DEFAULT else f'-{name}'}{'' if gated else '-ungated'}.npz"
        if not file.exists():
            whole = kimg == KIMG[-1] and name == DEFAULT and gated
            names = None if whole else self.trained.facts.targets
            pool = self.trained.pool(f"kimg{kimg:06d}", names, self.run_of(name), gated)
            np.savez_compressed(file, pixels=pool.pixels, labels=pool.labels)
        found = _images(real, **np.load(file))
        if gated:
            return found
        most = np.bincount(self.pool(kimg, name).labels, minlength=len(real.classes))
        rows = [np.flatnonzero(found.labels == k)[: most[k]] for k in range(len(most))]
        return found.subset(np.concatenate(rows))

    def passing(self, piece: Piece) -> float:
        """The share of the ungated images that the gate lets pass."""
        ungated, gated = (self.pool(piece.kimg, piece.generator, gated) for gated in (False, True))
        passed = {image.tobytes() for image in gated.pixels}
        return float(np.mean([image.tobytes() in passed for image in ungated.pixels]))

    def material(self, piece: Piece) -> Material:
        if not piece.kimg:
            real = self.trained.real
            none = LabelledImages(real.pixels[:0], real.labels[:0], real.classes, [])
            return Material(real, none, np.zeros((0, len(real.classes)), np.float32), self.trained.targets)
        of = (piece.kimg, piece.generator, piece.gated)
        if of not in self._materials:
            self._materials[of] = self.trained.with_pool(self.pool(*of))
        found = self._materials[of]
        return replace(found, earlier=self.pool(piece.kimg // 2)) if piece.way == TWO else found

    def predictions(self, piece: Piece) -> list[Predictions]:
        """The classes of the judge's images, for each seed, kept in a file."""
        file = self.folder / "predictions" / f"{piece.key}.npy"
        if not file.exists():
            plan, judge = ALL_WAYS[piece.way](self.material(piece)), self.judge(piece.judge)
            if not piece.augment:
                plan = replace(plan, as_they_are=np.ones(len(plan.soft), bool))
            steps, test = piece.steps, judge.images.pixels
            if piece.classifier == "cnn":
                networks = (fit(plan, seed, judge.classes, steps) for seed in piece.seeds)
                found = [predict(network, test).argmax(1) for network in networks]
            else:
                self._features = self._features or Finetune().remembered(test.shape[2])
                found = fit_head(plan, piece.seeds, steps, test, self._features)
            file.parent.mkdir(exist_ok=True)
            np.save(file, np.stack(found).astype(np.uint8))
        return list(np.load(file).astype(np.int64))


def _images(real: LabelledImages, pixels: NDArray[np.uint8], labels: NDArray[np.int64]) -> LabelledImages:
    return LabelledImages(pixels, labels, real.classes, [str(i) for i in range(len(labels))])


def compared(piece: Piece, rows: Sequence[gain_tables.Row]) -> dict[str, Piece]:
    """What a piece with synthetic images is compared with: the best control, and the default if it differs."""
    best = gain_tables.best_control(rows, piece.data, piece.classifier)
    found = {best: replace(piece, way=best, **NO_IMAGES)} if best else {}
    usual = replace(piece, generator=DEFAULT, gated=True)
    return found | ({DEFAULT: usual} if usual != piece else {}) if piece.kimg else {}


def row(prepared: Prepared, piece: Piece, rows: Sequence[gain_tables.Row]) -> dict[str, Any]:
    """F1 of a piece, and its gain over what it is compared with."""
    judge, targets = prepared.judge(piece.judge), prepared.trained.targets
    table = judge.table(prepared.predictions(piece))
    out = {
        **asdict(piece), "seeds": piece.seeds, "steps": piece.steps,
        "f1": np.round(table.seeds[:, targets].mean(1), 4).tolist(),
        "macro": np.round(table.seeds.mean(1), 4).tolist(),
        "groups": judge.groups_of[targets].tolist(),
        "images": np.bincount(judge.images.labels, minlength=judge.classes)[targets].tolist(),
        "minutes": round(minutes(prepared.run_of(piece.generator if piece.generator in CHANGES else DEFAULT).path), 1),
    }  # fmt: skip
    if not piece.gated:
        out["passing"] = round(prepared.passing(piece), 3)
    against = {}
    for name, other in compared(piece, rows).items():
        base = judge.table(prepared.predictions(other))
        found = contrast(table, base, targets, judge.groups_of)
        seen = smallest_detectable(table, [base], targets, judge.groups_of, 0.05)
        against[name] = {
            "gain": round(found.mean, 4), "low": round(found.low, 4), "high": round(found.high, 4),
            "detectable": None if seen is None else round(seen, 4),
        }  # fmt: skip
    return {**out, "against": against} if piece.kimg else out


def ways_of(classifier: str) -> list[str]:
    if classifier == "cnn":
        return list(CNN_WAYS)
    no_head = ("mixup", "soft", "light", "in-place")  # a head knows draws only
    return [name for name in ALL_WAYS if name not in (*CONTROLS, CURVE) and not name.startswith(no_head)]


def pieces(a: argparse.Namespace) -> Iterator[Piece]:
    """In the order of worth. What comes later depends on the rows that are there by then."""
    names = [source.name for source in SOURCES if source.name in a.sets]

    def mixed(data: str, way: str, kimg: int = KIMG[-1], judge: str = "explore") -> Piece:
        return Piece(data, judge, classifier, way, kimg, gain_tables.augments(rows_of(a.out), data, classifier))

    for stage, classifier in ((s, c) for s in a.stages for c in a.classifiers):
        if stage == "controls":
            yield from (Piece(d, "explore", classifier, way) for way in ("control", "oversample") for d in names)
            for d in names if classifier == "cnn" else ():
                augment = gain_tables.augments(rows_of(a.out), d, classifier)
                yield Piece(d, "explore", classifier, "mixup-control" if augment else "class-weights")
        elif stage == "curve":
            yield from (mixed(d, CURVE, kimg) for kimg in a.kimg for d in names)
        elif stage == "ways":
            tried = [mixed(d, way) for way in a.ways or ways_of(classifier) for d in names]
            yield from (piece for piece in tried if piece.augment or not piece.way.startswith("in-place"))
        elif stage == "confirm" and (way := gain_tables.chosen(rows_of(a.out))):
            for d in names:
                if best := gain_tables.best_control(rows_of(a.out), d, classifier):
                    yield from (Piece(d, "confirm", classifier, best), mixed(d, way, judge="confirm"))
        elif stage == "rare":
            for d in (name for name in SETS if name not in names and name.rsplit("-", 1)[0] in names):
                yield from (Piece(d, "explore", classifier, way) for way in ("control", "oversample"))
                yield mixed(d, CURVE)
        elif stage == "gate":
            for d in names:
                yield from (replace(mixed(d, CURVE, a.until), gated=gated, again=True) for gated in (True, False))
        elif stage == "steps":
            for times, d in ((times, d) for times in TIMES for d in names):
                best = str(gain_tables.best_control(rows_of(a.out), d, classifier))
                alike = {"times": times, "again": True}
                yield replace(Piece(d, "explore", classifier, best), **alike)
                yield replace(mixed(d, CURVE, a.until), **alike)
        elif stage == "changes":
            for name, d in ((name, d) for name in a.changes for d in names):
                kimg = CHANGES["seed-1" if name == TWO_SEEDS else name].kimg
                yield from (replace(mixed(d, CURVE, kimg), generator=g, again=True) for g in (DEFAULT, name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, default=Path("pictures"), help="where the zip files lie")
    parser.add_argument("--work", type=Path, default=Path("build/gain"))
    parser.add_argument("--out", type=Path, default=DOCS / "gain.jsonl")
    parser.add_argument("--sets", nargs="*", default=[s.name for s in SOURCES], choices=[s.name for s in SOURCES])
    stages = ["controls", "curve", "ways", "confirm", "gate", "steps", "changes", "rare"]
    parser.add_argument("--stages", nargs="*", default=stages, choices=stages)
    parser.add_argument("--classifiers", nargs="*", default=["cnn", "finetune"], choices=["cnn", "finetune"])
    parser.add_argument("--kimg", nargs="*", type=int, default=KIMG[::-1], help="of the curve")
    parser.add_argument("--ways", nargs="*", choices=list(ALL_WAYS), help="of the stage `ways`")
    parser.add_argument("--until", type=int, default=KIMG[-1], choices=KIMG, help="kimg of the default's training")
    changes = [*CHANGES, TWO_SEEDS]
    parser.add_argument("--changes", nargs="*", default=changes, choices=changes, help="of the stage `changes`")
    parser.add_argument("--tables", action="store_true", help="only make the tables anew")
    a = parser.parse_args()
    torch.set_num_threads(1)
    register()
    prepare = lru_cache(maxsize=len(SETS))(lambda name: Prepared(name, a))
    key = [f.name for f in fields(Piece)]
    for piece in pieces(a) if not a.tables else ():
        rows = rows_of(a.out)
        if asdict(piece) not in [{name: old[name] for name in key} for old in rows]:
            found = row(prepare(piece.data), piece, rows)
            keep(a.out, found)
            print(piece.key, np.mean(found["f1"]).round(3), found.get("against", ""), flush=True)
    gain_tables.write(rows_of(a.out), KIMG)


if __name__ == "__main__":
    main()
