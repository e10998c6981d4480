"""Images from noise or from images? On four sets, at equal time: quality of the samples, and the gain of a classifier.

    make study-translation ARGS="--pictures DIR"

DIR holds the zip files of make_real.py; cells-pv needs the package elpv-dataset, Fashion-MNIST Debian's
dataset-fashion-mnist. Groups of pictures are divided into train; *judge*, on which classifiers and samples are scored;
and *oracle*, on which the oracle and the second feature net of generator_judge.py learn.

Each generator trains for --minutes of processor time on one core, as its recipe sets it up. One run of `translator`
is judged in all its modes. The classifier is `cnn`, 600 steps, with classical augmentation, and 25% of the draws are
synthetic, as `evaluate` does it: of the rare classes from noise, of all classes from images, so that traces of the
network do not give a class away. `-targets`: of the rare classes alone. Its gain is that over the best control on
judge, and over the arm of the default. A finished piece is a line of docs/science/translation.jsonl and is not
repeated. Predictions and runs stay in --work: those that are gone are made again where a comparison needs them.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import generator_judge
import numpy as np
import torch
from gain import Judge
from gain_sets import GROUP, ONE_CORE, Source, finished, folders
from material import Trained
from numpy.typing import NDArray
from tables import DOCS, between, keep, kept, written
from ways import CONTROLS, WAYS, Material, fit

from synthaug.classifiers.steps import predict
from synthaug.data.cache import LabelledImages
from synthaug.evaluation.statistics import F1Table, contrast
from synthaug.runs import Run
from synthaug.sampling import agreement_gate
from synthaug.sampling.generate import load
from synthaug.translators.modes import Mode

RESULTS = DOCS / "translation.jsonl"
STEPS, GATE_STEPS = 600, 600
RARE_POOL, COMMON_POOL = 375, 100
PARTS = "--parts=judge=0.35,oracle=0.25"
SIGNS = "speed30,speed50,speed70,sign03,sign05,sign07,sign08,caution,crossroads,road-work"
SOURCES = (
    Source("fashion", ("Shirt", "Pullover", "Ankle-boot"), 25),
    Source(
        "signs", ("speed70", "sign08", "crossroads"), 16, (PARTS, f"--classes={SIGNS}", "--head=120")
    ),
    Source("objects", ("watch", "bonsai", "chandelier"), 20, (PARTS, "--squash", "--head=200")),
    Source("cells-pv", ("defective-mono", "defective-poly"), 24, (PARTS, "--head=250")),
)  # fmt: skip
SETS = {source.name: source for source in SOURCES}
CONTROL_NAMES = {"control": "classical", "oversample": "oversampling", "mixup-control": "mixup"}
Predictions = NDArray[np.int64]
Row = dict[str, Any]


@dataclass(frozen=True)
class Subject:
    """A way to get synthetic images. `halves`: half of the images are from each of these subjects.

    `strict`: an image passes the gate only if its class is as likely as that of half of the real images, not of 95%.
    """

    recipe: str = ""
    mode: Mode | None = None
    way: str = "all-classes-25"
    halves: tuple[str, ...] = ()
    strict: bool = False


DEFAULT = "default"
SUBJECTS = {
    DEFAULT: Subject("default", way="share-25"),
    "translate": Subject("translator", "translate"),
    "vary": Subject("translator", "vary"),
    "both": Subject("translator", "both"),
    "both-targets": Subject("translator", "both", way="share-25"),
    "both-targets-strict": Subject("translator", "both", way="share-25", strict=True),
    "cyclegan": Subject("cyclegan"),
    "cut": Subject("cut"),
    "half": Subject(way="share-25", halves=(DEFAULT, "both-targets")),
}


TABLE = [name for name, subject in SUBJECTS.items() if not subject.strict]
"""The rows of the table, without what was tried beside them."""


class Prepared:
    """A set with its judges; runs, samples and predictions are made when they are asked for."""

    def __init__(self, name: str, a: argparse.Namespace) -> None:
        self.source, self.minutes, self.seeds, self.seed = SETS[name], a.minutes, range(a.seeds), a.seed
        self.folder = _divided(self.source, a.work, a.pictures)
        self._trained: dict[str, Trained] = {}

    def run(self, recipe: str) -> Path:
        """The finished run of a recipe; an interrupted one goes on."""
        runs = self.folder / f"runs-{recipe}-{self.minutes:g}min-{self.seed}"
        if not finished(runs / "latest", 0):
            sets = ["data.val_fraction=0", "data.test_fraction=0", "monitor.every_kimg=1000"]
            command = [sys.executable, str(Path(__file__)), "fit", str(self.folder / "train"), f"--recipe={recipe}"]
            command += [f"--target-class={c}" for c in self.source.rare] + [f"--set={s}" for s in sets]
            command += [f"--budget={self.minutes:g}min", f"--seed={self.seed}", f"--runs={runs}"]
            command += [f"--group-by={GROUP}"] if self.source.grouped else []
            command += ["--resume=auto"] if (runs / "latest").exists() else []
            runs.mkdir(parents=True, exist_ok=True)
            with (runs / "fit.log").open("a") as log:
                subprocess.run(command, check=True, env=ONE_CORE, stdout=log, stderr=subprocess.STDOUT)
        return (runs / "latest").resolve()

    def trained(self, recipe: str) -> Trained:
        if recipe not in self._trained:
            self._trained[recipe] = Trained(self.run(recipe), GATE_STEPS)
        return self._trained[recipe]

    @cached_property
    def base(self) -> Trained:
        """Its gate serves all runs: it depends on the real images alone, and they are the same."""
        return self.trained("default")

    @cached_property
    def strict(self) -> Trained:
        """With a gate that asks for a surer label."""
        trained = Trained(self.run("default"), GATE_STEPS)
        with patch.multiple(agreement_gate, TARGET_QUANTILE=0.5, SURE=0.95):
            assert trained.gate
        return trained

    @cached_property
    def judge(self) -> Judge:
        return Judge(self.folder / "judge", self.base.real)

    @cached_property
    def quality(self) -> generator_judge.Judge:
        channels, rare = self.base.real.pixels.shape[1], self.source.rare
        return generator_judge.Judge(
            generator_judge.Source(self.folder / "quality", self.folder / "oracle", rare, channels, "classical")
        )

    def pool(self, name: str) -> LabelledImages:
        """Gated samples of a subject, kept in a file."""
        subject, real, rare = SUBJECTS[name], self.base.real, self.source.rare
        file = self.folder / f"pool-{name}-{self.minutes:g}min-{self.seed}.npz"
        if subject.halves:
            two = [self.pool(half) for half in subject.halves]
            parts = [pool.subset(_every_second(pool.labels, k)) for k, pool in enumerate(two)]
            pixels, labels = (np.concatenate([getattr(p, part) for p in parts]) for part in ("pixels", "labels"))
        elif file.exists():
            pixels, labels = (np.load(file)[part] for part in ("pixels", "labels"))
        else:
            names = rare if subject.way == "share-25" else real.classes
            counts = {c: RARE_POOL if c in rare else COMMON_POOL for c in names}
            gated = self.strict if subject.strict else self.base
            pool = gated.pool(names=counts, run=Run(self.run(subject.recipe)), mode=subject.mode)
            pixels, labels = pool.pixels, pool.labels
            np.savez_compressed(file, pixels=pixels, labels=labels)
        return LabelledImages(pixels, labels, real.classes, [str(k) for k in range(len(labels))])

    def predictions(self, name: str) -> list[Predictions]:
        """The classes of the judge's images by a control or with a subject's images, for each classifier seed."""
        kind = f"{self.minutes:g}min-{self.seed}" if name in SUBJECTS else "real"
        file = self.folder / "predictions" / f"{name}-{kind}.npy"
        found = list(np.load(file).astype(np.int64)) if file.exists() else []
        for seed in list(self.seeds)[len(found) :]:
            real = self.base.real
            pool = self.pool(name) if name in SUBJECTS else real.subset(np.zeros(0, np.int64))
            opinions = np.zeros((len(pool), len(real.classes)), np.float32)  # no way of these asks for them
            way = WAYS[SUBJECTS[name].way if name in SUBJECTS else name]
            plan = way(Material(real, pool, opinions, self.base.targets))
            network = fit(plan, seed, self.judge.classes, STEPS)
            found.append(predict(network, self.judge.images.pixels).argmax(1))
            file.parent.mkdir(exist_ok=True)
            np.save(file, np.stack(found).astype(np.uint8))
        return found[: len(self.seeds)]

    def table(self, name: str) -> F1Table:
        return self.judge.table(self.predictions(name))

    def samples(self, name: str) -> dict[str, NDArray[np.uint8]]:
        """Ungated samples of each rare class."""
        subject = SUBJECTS[name]
        if subject.halves:
            two = [self.samples(half) for half in subject.halves]
            return {c: np.concatenate([s[c][: generator_judge.COUNT // 2] for s in two]) for c in self.source.rare}
        sampler = load(Run(self.run(subject.recipe)), mode=subject.mode)
        count = {c: int(min(generator_judge.COUNT, sampler.most(c))) for c in self.source.rare}
        return {c: sampler.sample(c, n) for c, n in count.items()}


def kimg(run: Path) -> float:
    """Thousands of images that a training saw."""
    return float(json.loads((run / "status.json").read_text())["kimg"])


def _divided(source: Source, work: Path, pictures: Path) -> Path:
    """WORK/SET with train/, judge/ and oracle/; quality/ has the first two as train/ and test/."""
    out = folders(source, work, pictures)
    if not (out / "quality").exists():
        if not source.grouped:
            (out / "explore").rename(out / "judge")
            (out / "confirm").rename(out / "oracle")
        (out / "quality").mkdir()
        (out / "quality/train").symlink_to(out.resolve() / "train")
        (out / "quality/test").symlink_to(out.resolve() / "judge")
    return out


def _every_second(labels: NDArray[np.int64], first: int) -> NDArray[np.int64]:
    """Every second image of each class."""
    return np.concatenate([np.flatnonzero(labels == label)[first::2] for label in np.unique(labels)])


def row(prepared: Prepared, name: str, rows: Sequence[Row]) -> Row:
    """F1 of a control; of a subject, its gains and the quality of its ungated samples too."""
    targets, groups = prepared.base.targets, prepared.judge.groups_of
    table = prepared.table(name)
    out: Row = {
        "set": prepared.source.name, "name": name, "seeds": len(prepared.seeds),
        "f1": np.round(table.seeds[:, targets].mean(1), 4).tolist(), "groups": groups[targets].tolist(),
    }  # fmt: skip
    if name not in SUBJECTS:
        return out
    controls = {r["name"]: float(np.mean(r["f1"])) for r in rows if r["set"] == out["set"] and r["name"] in CONTROLS}
    best = max(controls, key=lambda control: controls[control])
    for kind, against in (("control", best), (DEFAULT, DEFAULT)):
        found = contrast(table, prepared.table(against), targets, groups)
        out[f"over_{kind}"] = [round(value, 4) for value in (found.mean, found.low, found.high)]
    recipes = [SUBJECTS[part].recipe for part in SUBJECTS[name].halves or (name,)]
    labels, classes = prepared.pool(name).labels, prepared.base.real.classes
    return out | {
        "best": best, "minutes": prepared.minutes, "seed": prepared.seed,
        "kimg": [round(kimg(prepared.run(recipe)), 1) for recipe in recipes],
        "gated": {c: int((labels == classes.index(c)).sum()) for c in prepared.source.rare},
        **prepared.quality.score(prepared.samples(name), verdicts=True),
    }  # fmt: skip


HEAD = (
    "set", "images", "kimg", "own KID", "coverage", "spread", "own label", "variety", "gated", "F1",
    "over the best control", "over `default`",
)  # fmt: skip


def lines(rows: Sequence[Row]) -> Iterator[list[str]]:
    """The table: by set, in the order of SUBJECTS, the best control first."""
    for source in SOURCES:
        mine = {r["name"]: r for r in rows if r["set"] == source.name}
        controls = [r for name, r in mine.items() if name in CONTROLS]
        if controls:
            best = max(controls, key=lambda r: float(np.mean(r["f1"])))
            yield [
                source.name,
                f"none: {CONTROL_NAMES[best['name']]}",
                *["–"] * 7,
                f"{np.mean(best['f1']):.3f}",
                "",
                "",
            ]
        for r in (mine[name] for name in SUBJECTS if name in mine):
            variety = Counter(r["classes"][c]["collapse"] for c in source.rare)
            gain, more = (
                f"{m:+.3f} ({low:+.3f} to {high:+.3f})" for m, low, high in (r["over_control"], r["over_default"])
            )
            yield [
                source.name, f"`{r['name']}`", " + ".join(f"{k:g}" for k in r["kimg"]), f"{r['rare_kid_own']:.3f}",
                f"{r['rare_coverage']:.2f}", f"{r['rare_spread']:.2f}", f"{r['rare_own_label']:.0%}",
                ", ".join(f"{n} {verdict}" for verdict, n in variety.most_common()),
                ", ".join(str(n) for n in r["gated"].values()), f"{np.mean(r['f1']):.3f}", gain,
                "" if r["name"] == DEFAULT else more,
            ]  # fmt: skip


def by_processor_time() -> None:
    """The command line of synthaug, whose budgets count processor time: other processes do not shorten a training."""
    from synthaug.training import loop
    from synthaug_cli.app import main as synthaug

    loop.time = SimpleNamespace(monotonic=time.process_time)  # type: ignore[assignment]
    synthaug()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, default=Path("pictures"), help="where the zip files lie")
    parser.add_argument("--work", type=Path, default=Path("build/translation"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=list(SETS))
    parser.add_argument("--subjects", nargs="*", default=TABLE, choices=list(SUBJECTS))
    parser.add_argument("--minutes", type=float, default=20, help="processor time of each training")
    parser.add_argument("--seeds", type=int, default=5, help="of the classifier")
    parser.add_argument("--seed", type=int, default=0, help="of the generators")
    parser.add_argument("--tables", action="store_true", help="only make the table anew")
    a = parser.parse_args()
    torch.set_num_threads(1)
    prepare = lru_cache(maxsize=1)(lambda name: Prepared(name, a))
    for name in () if a.tables else a.sets:
        for piece in (*CONTROL_NAMES, *a.subjects):
            rows = kept(a.out)
            if not any(r["set"] == name and r["name"] == piece for r in rows):
                found = row(prepare(name), piece, rows)
                keep(a.out, found)
                print(name, piece, np.mean(found["f1"]).round(3), found.get("over_control", ""), flush=True)
    table = written(HEAD, list(lines(kept(a.out))))
    between(DOCS / "translation.md", "table" if a.out == RESULTS else a.out.stem, table)
    print(table)


if __name__ == "__main__":
    if sys.argv[1:2] == ["fit"]:
        by_processor_time()
    else:
        main()
