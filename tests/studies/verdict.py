"""Is the verdict right as often as it says? Planted truths, with training images, test images and seeds redrawn.

    python tests/studies/verdict.py --out build/verdict.jsonl --repetitions 200 --write docs/science/verdict.md

A repetition draws training images of some digits (scikit-learn, 8 × 8 px), one of them rare; plants what stands in for
the synthetic images; and goes the product's own way: arms, trials, F1 tables, `verdict.judge`. The classifier is a net
of one hidden layer, so that a repetition takes about a second. Each class is divided at random into a side to train on
and a side that test images are drawn from, with replacement: independent draws of a population that is known. A
repetition is a line of `--out`; a study that was interrupted goes on from there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from sklearn.datasets import load_digits
from tables import between, keep, kept, rate

from synthaug.augment.mixing import MIXES, Mix
from synthaug.classifiers import CLASSIFIERS
from synthaug.classifiers.base import Ability
from synthaug.classifiers.losses import Loss, priors_of
from synthaug.classifiers.steps import draws, partners
from synthaug.data.cache import LabelledImages
from synthaug.data.folds import fold_of
from synthaug.evaluation.arms import ARMS, choose_arms, needed_controls
from synthaug.evaluation.grid import Grid, Outcome, Trial
from synthaug.evaluation.held_out import HeldOut
from synthaug.evaluation.trial import run_trials
from synthaug.evaluation.verdict import judge
from synthaug.progress import Silent
from synthaug.seeds import MIXING, stream
from synthaug.tasks import Workers

DIGITS = ("1", "3", "5", "8", "9")
SEEDS = 5
COMMON = 60  # training images of a class that is not rare
TEST = 80  # test images of each class
Pixels = npt.NDArray[np.uint8]


class Net:
    """One hidden layer of 32 units, Adam; `classical` moves half of the drawn images. In NumPy: 10 ms."""

    uses_steps: ClassVar[bool] = True
    supports: ClassVar[frozenset[Ability]] = frozenset({"logit-adjusted", "mixup", "cutmix", "cmo"})

    def __init__(self, *, device: str = "auto") -> None: ...

    def fit(
        self, pixels: Pixels, labels: npt.NDArray[np.int64], draw_weights: npt.NDArray[np.float64], *,
        num_classes: int, loss_weights: npt.NDArray[np.float64] | None = None, steps: int = 150, seed: int = 0,
        augment: str = "none", groups: Any = None, loss: Loss = "cross-entropy", mix: Mix = "none",
    ) -> Net:  # fmt: skip
        rng, mixing = np.random.default_rng([seed, 0x11]), stream(seed, MIXING)
        batches = draws(draw_weights, steps, 64, seed)
        others = batches if mix == "none" else partners(MIXES[mix], batches, labels, draw_weights, seed)
        margin = np.log(priors_of(labels, draw_weights, num_classes)) if loss == "logit-adjusted" else np.zeros(1)
        targets = np.eye(num_classes)[labels]
        weights = np.ones(len(labels)) if loss_weights is None else np.asarray(loss_weights)[labels]
        size = pixels[0].size
        self.layers = [
            rng.normal(0, np.sqrt(2 / size), (size, 32)), np.zeros(32),
            rng.normal(0, np.sqrt(1 / 32), (32, num_classes)), np.zeros(num_classes),
        ]  # fmt: skip
        first = [np.zeros_like(p) for p in self.layers]
        second = [np.zeros_like(p) for p in self.layers]

        def prepared(batch: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
            return np.asarray(moved(pixels[batch], rng) if augment == "classical" else pixels[batch], np.float64)

        for step, (batch, other) in enumerate(zip(batches, others, strict=True), 1):
            images, share = prepared(batch), 1.0
            if mix != "none":
                mixed, share = MIXES[mix](torch.from_numpy(images), torch.from_numpy(prepared(other)), mixing)
                images = mixed.numpy()
            x = _scaled(images)
            hidden, probabilities = self._forward(x, margin)
            wanted = share * targets[batch] + (1 - share) * targets[other]
            error = (probabilities - wanted) * (weights[batch] / 64)[:, None]
            back = (error @ self.layers[2].T) * (hidden > 0)
            for i, gradient in enumerate((x.T @ back, back.sum(0), hidden.T @ error, error.sum(0))):
                first[i] += 0.1 * (gradient - first[i])
                second[i] += 0.01 * (gradient**2 - second[i])
                corrected = first[i] / (1 - 0.9**step)
                self.layers[i] -= 0.01 * corrected / (np.sqrt(second[i] / (1 - 0.99**step)) + 1e-8)
        return self

    def _forward(
        self, x: npt.NDArray[np.float64], margin: npt.NDArray[np.float64]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        hidden = np.maximum(x @ self.layers[0] + self.layers[1], 0)
        logits = hidden @ self.layers[2] + self.layers[3] + margin
        exponents = np.exp(logits - logits.max(1, keepdims=True))
        return hidden, exponents / exponents.sum(1, keepdims=True)

    def predict_proba(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        return self._forward(_scaled(pixels), np.zeros(1))[1].astype(np.float32)


def _scaled(images: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    flat: npt.NDArray[np.float64] = images.reshape(len(images), int(np.prod(images.shape[1:]))) / 127.5 - 1
    return flat


def moved(images: Pixels, rng: np.random.Generator) -> Pixels:
    """Half of the images moved by one pixel, up, down, left or right, black coming in."""
    count, _, height, width = images.shape
    padded = np.zeros((count, 1, height + 2, width + 2), np.uint8)
    padded[:, :, 1:-1, 1:-1] = images
    down, right = np.array([[1, 1], [1, 1], [1, 1], [1, 1], [0, 1], [2, 1], [1, 0], [1, 2]])[
        rng.integers(0, 8, count)
    ].T[:, :, None, None]
    rows, columns = down + np.arange(height)[:, None], right + np.arange(width)
    return padded[np.arange(count)[:, None, None], 0, rows, columns][:, None]


@cache
def digits() -> tuple[Pixels, npt.NDArray[np.int64]]:
    loaded = load_digits()
    return np.clip(loaded.images * (255 / 16), 0, 255).astype(np.uint8)[:, None], loaded.target


@dataclass(frozen=True)
class Population:
    """Pixels of each digit, divided for one repetition: a side to train on, a side to test on."""

    train: dict[str, Pixels]
    test: dict[str, Pixels]

    @classmethod
    def divided(cls, rng: np.random.Generator) -> Population:
        pixels, target = digits()
        sides: tuple[dict[str, Pixels], dict[str, Pixels]] = ({}, {})
        for name in DIGITS:
            own = rng.permutation(np.flatnonzero(target == int(name)))
            sides[0][name], sides[1][name] = pixels[own[:100]], pixels[own[100:]]
        return cls(*sides)


Spare = dict[str, Pixels]
Plant = Callable[[Pixels, Spare, str, np.random.Generator], Pixels]
"""(training images of a class, real images of each that nothing else uses, class, generator) → its synthetic images."""


def more_real(count: int) -> Plant:
    return lambda train, spare, name, rng: spare[name][:count]


def copies(count: int, *, move: bool) -> Plant:
    def plant(train: Pixels, spare: Spare, name: str, rng: np.random.Generator) -> Pixels:
        images = train[np.resize(np.arange(len(train)), count)]
        return moved(images, rng) if move else images

    return plant


def another_class(count: int) -> Plant:
    def plant(train: Pixels, spare: Spare, name: str, rng: np.random.Generator) -> Pixels:
        return spare["3"][:count]

    return plant


def noise(count: int) -> Plant:
    return lambda train, spare, name, rng: rng.integers(0, 256, (count, 1, 8, 8), dtype=np.uint8)


@dataclass(frozen=True)
class Case:
    """A planted truth, and what is expected of the verdict."""

    about: str
    plant: Plant
    share: float
    expected: str
    rare: int = 12
    targets: tuple[str, ...] = ("8",)
    steps: int = 100
    arms: tuple[str, ...] | None = None
    folds: int | None = None
    test: int = TEST
    mix: str = "targets"  # or "all": every class gets synthetic images of its own

    @property
    def mixed(self) -> tuple[str, ...]:
        return self.targets if self.mix == "targets" else DIGITS


CASES: dict[str, Case] = {
    "real+8": Case("8 more real images", more_real(10), 0.4, "power"),
    "real+64": Case("64 more real images", more_real(80), 0.85, "power"),
    "real+72": Case("72 more real images, 5 training images", more_real(90), 0.9, "power", rare=5),
    "real+72-3": Case("72 more real images, 3 training images", more_real(90), 0.9, "power", rare=3, test=300),
    "copies": Case("exact copies, half of the draws", copies(15, move=False), 0.5, "null"),
    "moved": Case("moved copies, half of the draws", copies(15, move=True), 0.5, "null"),
    "moved-25": Case("moved copies, many, a quarter of the draws", copies(100, move=True), 0.25, "null"),
    "moved-3": Case("moved copies of 3 target classes", copies(15, move=True), 0.5, "null", targets=("3", "5", "8")),
    "moved-all": Case(
        "moved copies of every class, half of the draws (`--mix all`)", copies(60, move=True), 0.5, "null", mix="all"
    ),
    "moved-folds": Case("moved copies, 5 folds", copies(30, move=True), 0.5, "null", rare=30, steps=50, folds=5),
    "wrong": Case("another digit, labelled as the rare class", another_class(40), 0.9, "hurts"),
    "noise": Case("noise, 95% of the draws", noise(100), 0.95, "hurts"),
    "noise-90": Case("noise, 90% of the draws, 3 training images, 20 steps", noise(100), 0.9, "null", rare=3, steps=20),
    "noise-90-alone": Case(
        "the same, with `oversample` as the only control", noise(100), 0.9, "null", rare=3, steps=20,
        arms=("oversample", "synthetic"),
    ),
}  # fmt: skip


def labelled(images: Iterable[tuple[str, Pixels]]) -> LabelledImages:
    pairs = list(images)
    labels = np.concatenate([np.full(len(pixels), DIGITS.index(name), np.int64) for name, pixels in pairs])
    pixels = np.concatenate([pixels for _, pixels in pairs])
    return LabelledImages(pixels, labels, list(DIGITS), [str(i) for i in range(len(labels))])


Controls = dict[Any, dict[Trial, Outcome]]
"""Outcomes of the controls of a repetition: two cases with the same real images share them."""


def outcomes_of(
    case: Case, number: int, train: LabelledImages, pool: LabelledImages, test: LabelledImages, controls: Controls
) -> dict[Trial, Outcome]:
    """Every arm of a case, with the seeds of this repetition."""
    grid = Grid(
        classifier="study-net", steps=case.steps, device="cpu", train=train, groups=np.arange(len(train)), pool=pool,
        val=test.pixels[:0], test=test.pixels, per_seed=500,
        targets=tuple(DIGITS.index(name) for name in case.targets),
    )  # fmt: skip
    found: dict[Trial, Outcome] = {}
    for synthetic in (False, True):
        arms = [name for name in arms_of(case) if ARMS[name].synthetic == synthetic]
        trials = [trial_of(case, name, seed) for name in arms for seed in seeds_of(number)]
        key = (train.pixels.tobytes(), case.steps, tuple(arms))
        if synthetic or key not in controls:
            made = run_trials(grid, trials, Silent(), Workers(1))
            if not synthetic:
                controls[key] = made
        found |= made if synthetic else controls[key]
    return found


def arms_of(case: Case) -> list[str]:
    return [name for name in choose_arms(case.arms, "study-net")[0] if ARMS[name].times == 1]


def trial_of(case: Case, arm: str, seed: int) -> Trial:
    return Trial(arm, case.share if ARMS[arm].synthetic else 0.0, seed)


def seeds_of(number: int) -> range:
    return range(SEEDS * number, SEEDS * (number + 1))


def repetition(case: Case, number: int, controls: Controls) -> dict[str, Any]:
    """One study of the kind that a user makes, from drawing images to the verdict."""
    rng = np.random.default_rng([number, 0x57])
    population = Population.divided(rng)
    sizes = {name: case.rare if name in case.targets else COMMON for name in DIGITS}
    train = labelled((name, population.train[name][: sizes[name]]) for name in DIGITS)
    if case.folds is None:
        held_out, by_arm = one_test_set(case, number, population, train, controls, rng)
    else:
        held_out, by_arm = in_folds(case, case.folds, number, train, controls, rng)
    tables = {name: held_out.table(rows) for name, rows in by_arm.items()}
    verdict = judge(
        tables, list(DIGITS), case.targets, held_out.groups_of_classes(), needed=needed_controls("study-net"),
        folds=case.folds,
    )  # fmt: skip
    targets = [DIGITS.index(name) for name in case.targets]
    return {
        "overall": verdict.overall,
        "per_target": list(verdict.per_target.values()),
        "contrasts": {name: [c.mean, c.low, c.high] for name, c in verdict.contrasts.items()},
        "against_best": {name: [c.mean, c.low, c.high] for name, c in verdict.against_best.items()},
        "best_control": verdict.best_control,
        "smallest_detectable": verdict.smallest_detectable,
        "f1": {name: float(table.seeds[:, targets].mean()) for name, table in tables.items()},
    }


Predictions = dict[str, list[npt.NDArray[np.float32]]]
"""Arm → probabilities of each seed."""


def one_test_set(
    case: Case, number: int, population: Population, train: LabelledImages, controls: Controls,
    rng: np.random.Generator,
) -> tuple[HeldOut, Predictions]:  # fmt: skip
    """Test images that nothing learnt from."""
    test = labelled(
        (name, population.test[name][rng.integers(0, len(population.test[name]), case.test)]) for name in DIGITS
    )
    counts = np.bincount(train.labels)
    own = {name: population.train[name][:n] for name, n in zip(DIGITS, counts, strict=True)}
    spare = {name: population.train[name][n:] for name, n in zip(DIGITS, counts, strict=True)}
    pool = labelled((name, case.plant(own[name], spare, name, rng)) for name in case.mixed)
    outcomes = outcomes_of(case, number, train, pool, test, controls)
    held_out = HeldOut(test.labels, np.arange(len(test)), np.zeros(len(test), np.int64), list(DIGITS), number)
    return held_out, {
        name: [outcomes[trial_of(case, name, seed)].test for seed in seeds_of(number)] for name in arms_of(case)
    }


def in_folds(
    case: Case, folds: int, number: int, images: LabelledImages, controls: Controls, rng: np.random.Generator
) -> tuple[HeldOut, Predictions]:
    """No test images: each fold's stand-ins come from the other folds' images alone."""
    assigned = fold_of([DIGITS[k] for k in images.labels], np.arange(len(images)), folds, number)
    order = np.argsort(assigned, kind="stable")
    parts = []
    for fold in range(folds):
        train, test = images.subset(assigned != fold), images.subset(assigned == fold)
        pool = labelled(
            (name, case.plant(train.pixels[train.labels == DIGITS.index(name)], {}, name, rng)) for name in case.mixed
        )
        parts.append(outcomes_of(case, number, train, pool, test, controls))
    held_out = HeldOut(images.labels[order], np.arange(len(images)), assigned[order], list(DIGITS), number)
    return held_out, {
        name: [
            np.concatenate([outcomes[trial_of(case, name, seed)].test for outcomes in parts])
            for seed in seeds_of(number)
        ]
        for name in arms_of(case)
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The results as Markdown."""
    lines = [
        "| planted as synthetic images | repetitions | helps | hurts | gain of `synthetic` and `synthetic+classical` "
        "over the best control | smallest detectable |",
        "|---|---|---|---|---|---|",
    ]
    for name, case in CASES.items():
        mine = [row for row in rows if row["case"] == name]
        if not mine:
            continue
        gains = ", ".join(
            f"{np.mean([row['against_best'][a][0] for row in mine]):+.3f}" for a in mine[0]["against_best"]
        )
        smallest = float(np.mean([row["smallest_detectable"] for row in mine]))
        helps, hurts = (rate(sum(row["overall"] == word for row in mine), len(mine)) for word in ("helps", "hurts"))
        lines.append(f"| {case.about} | {len(mine)} | {helps} | {hurts} | {gains} | {smallest:.3f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--out", type=Path, required=True, help="results as JSON lines; what stands there is not redone"
    )
    parser.add_argument("--repetitions", type=int, default=200)
    parser.add_argument("--cases", help="comma-separated; all when left out")
    parser.add_argument("--write", type=Path, help="page whose table is replaced")
    a = parser.parse_args()
    CLASSIFIERS._entries["study-net"] = f"{__name__}:Net"
    cases = a.cases.split(",") if a.cases else list(CASES)
    rows = kept(a.out)
    done = {(row["case"], row["number"]) for row in rows}
    a.out.parent.mkdir(parents=True, exist_ok=True)
    started, made = time.monotonic(), 0
    for number in range(a.repetitions):
        controls: Controls = {}
        for name in cases:
            if (name, number) in done:
                continue
            rows.append({"case": name, "number": number, **repetition(CASES[name], number, controls)})
            keep(a.out, rows[-1])
            made += 1
    if made:
        print(f"{made} repetitions in {time.monotonic() - started:.0f} s")
    print(table(rows))
    if a.write:
        between(a.write, "results", f"\n{table(rows)}\n")


if __name__ == "__main__":
    main()
