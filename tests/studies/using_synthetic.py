"""What is the best use of synthetic images? Ways of mixing them in, against classical augmentation at equal steps.

    python tests/studies/make_folders.py fashion DATA --rare Shirt=25 --rare Pullover=25 --rare Ankle-boot=25 \
        --head 300 --test 500
    synthaug fit DATA/train --target-class Shirt --target-class Pullover --target-class Ankle-boot \
        --budget 160kimg --runs RUNS
    python tests/studies/using_synthetic.py RUNS/00000-… --judge JUDGE [--seeds 0,1,2] [--ways control,share-25]

JUDGE is a folder of real images, one folder a class: for exploring, images that are neither in DATA/train nor in
DATA/test; for confirming, DATA/test, once. What DATA/train and DATA/test share with it is left out. The classifier is
the product's `cnn` (600 steps of 64, AdamW, cosine), its classical augmentation is on in every way, and real images are
drawn by class in equal parts. A way's gain is the mean F1 of the target classes minus the control's, paired by seed,
with the interval that `evaluate` gives.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import oracle
import torch
from numpy.typing import NDArray
from torch import nn

from synthaug import load
from synthaug.augment.classical import trivial_augment
from synthaug.classifiers.cnn import SmallCnn
from synthaug.classifiers.steps import BATCH_SIZE, LEARNING_RATE, WEIGHT_DECAY, build, draws, predict, scale
from synthaug.data.cache import LabelledImages, load_images
from synthaug.data.split import Split
from synthaug.evaluation.statistics import contrast, f1_table, resample_groups
from synthaug.sampling.gate import Gate, build_gate
from synthaug.sampling.gated_samples import gated_samples

STEPS = 600
POOL = 375
"""Synthetic images of a class: what `evaluate` takes with 300 images in the largest class."""


@dataclass(frozen=True)
class Material:
    """Real training images and gated synthetic ones, with what the agreement gate's classifiers say of the latter."""

    real: LabelledImages
    pool: LabelledImages
    opinion: NDArray[np.float32]  # [len(pool), K]
    targets: list[int]


@dataclass(frozen=True)
class Plan:
    """What a classifier learns from: images and soft targets, and how often each is drawn in each phase."""

    pixels: NDArray[np.uint8]
    soft: NDArray[np.float32]  # [N, K]
    phases: list[tuple[float, NDArray[np.float64]]]  # (share of the steps, draw weights [N])
    mixup: float = 0.0  # α of the Beta distribution; 0: images are not mixed
    loss: NDArray[np.float64] = field(default_factory=lambda: np.ones(0))  # [N] weights; empty: all alike


def fit(plan: Plan, seed: int, classes: int) -> nn.Module:
    """`classifiers.steps.train` with soft targets, phases and mixup."""
    channels, side = plan.pixels.shape[1:3]
    network = build(lambda: SmallCnn(channels, side, classes), seed).to(memory_format=torch.channels_last).train()
    images, soft = torch.from_numpy(plan.pixels), torch.from_numpy(plan.soft)
    weights = torch.from_numpy(plan.loss if len(plan.loss) else np.ones(len(images))).float()
    order = np.concatenate(
        [draws(w, round(STEPS * part), BATCH_SIZE, seed + 1000 * k) for k, (part, w) in enumerate(plan.phases)]
    )
    rng, numbers = torch.Generator().manual_seed(seed ^ 0x5EED), np.random.default_rng([seed, 0x31])
    groups = [
        {"params": [p for p in network.parameters() if p.ndim > 1], "weight_decay": WEIGHT_DECAY},
        {"params": [p for p in network.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=LEARNING_RATE, fused=True)
    warm_up = max(1, round(0.1 * STEPS))
    for step, batch in enumerate(torch.from_numpy(order)):
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * min((step + 1) / warm_up, 0.5 + 0.5 * math.cos(math.pi * step / len(order)))
        x, y, w = scale(trivial_augment(images[batch], rng)), soft[batch], weights[batch]
        if plan.mixup:
            part = float(numbers.beta(plan.mixup, plan.mixup))
            other = torch.randperm(len(x), generator=rng)
            x, y, w = (part * a + (1 - part) * a[other] for a in (x, y, w))
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(x.contiguous(memory_format=torch.channels_last))
        loss = -(w * (y * logits.float().log_softmax(1)).sum(1)).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return network.eval()


def _balanced(m: Material, share: float, classes: list[int]) -> NDArray[np.float64]:
    """Draw weights of real and then synthetic images: every class alike, `share` of each of `classes` synthetic."""
    k = len(m.real.classes)
    real = 1 / (k * np.bincount(m.real.labels, minlength=k).clip(1))[m.real.labels]
    has = np.bincount(m.pool.labels, minlength=k)
    chosen = np.isin(np.arange(k), classes) & (has > 0)
    real = np.where(chosen[m.real.labels], real * (1 - share), real)
    return np.concatenate([real, np.where(chosen, share / (k * has.clip(1)), 0.0)[m.pool.labels]])


def _plan(m: Material, phases: list[tuple[float, NDArray[np.float64]]], **more: object) -> Plan:
    labels = np.concatenate([m.real.labels, m.pool.labels])
    soft = np.eye(len(m.real.classes), dtype=np.float32)[labels]
    return Plan(np.concatenate([m.real.pixels, m.pool.pixels]), soft, phases, **more)  # type: ignore[arg-type]


def share(part: float) -> Callable[[Material], Plan]:
    return lambda m: _plan(m, [(1.0, _balanced(m, part, m.targets))])


def share_of_all(part: float) -> Callable[[Material], Plan]:
    return lambda m: _plan(m, [(1.0, _balanced(m, part, list(range(len(m.real.classes)))))])


def first_synthetic(steps: float, everything: bool) -> Callable[[Material], Plan]:
    """Pretrain on synthetic images alone, then learn from real ones alone."""

    def plan(m: Material) -> Plan:
        classes = list(range(len(m.real.classes))) if everything else m.targets
        return _plan(m, [(steps, _balanced(m, 1.0, classes)), (1 - steps, _balanced(m, 0.0, classes))])

    return plan


def fading(m: Material) -> Plan:
    """From half synthetic to none, in five steps."""
    return _plan(m, [(0.2, _balanced(m, part, m.targets)) for part in (0.5, 0.4, 0.25, 0.1, 0.0)])


def mixed(part: float, alpha: float) -> Callable[[Material], Plan]:
    return lambda m: _plan(m, [(1.0, _balanced(m, part, m.targets))], mixup=alpha)


def soft_labels(part: float) -> Callable[[Material], Plan]:
    """Synthetic images teach what the gate's classifiers think of them, half and half with the label."""

    def plan(m: Material) -> Plan:
        made = _plan(m, [(1.0, _balanced(m, part, m.targets))])
        made.soft[len(m.real) :] = 0.5 * made.soft[len(m.real) :] + 0.5 * m.opinion
        return made

    return plan


def light(part: float, weight: float) -> Callable[[Material], Plan]:
    """A synthetic image's loss weighs less than a real one's."""

    def plan(m: Material) -> Plan:
        loss = np.concatenate([np.ones(len(m.real)), np.full(len(m.pool), weight)])
        return _plan(m, [(1.0, _balanced(m, part, m.targets))], loss=loss)

    return plan


def selected(part: float, *, surest: bool) -> Callable[[Material], Plan]:
    """Only the half of each class that the gate's classifiers are surest of, or the other half."""

    def plan(m: Material) -> Plan:
        own = m.opinion[np.arange(len(m.pool)), m.pool.labels] * (1 if surest else -1)
        keep = np.zeros(len(m.pool), bool)
        for label in np.unique(m.pool.labels):
            rows = np.flatnonzero(m.pool.labels == label)
            keep[rows[np.argsort(-own[rows])[: len(rows) // 2]]] = True
        some = Material(m.real, m.pool.subset(keep), m.opinion[keep], m.targets)
        return share(part)(some)

    return plan


WAYS: dict[str, Callable[[Material], Plan]] = {
    "control": share(0.0),
    "share-10": share(0.1),
    "share-25": share(0.25),
    "share-50": share(0.5),
    "share-75": share(0.75),
    "all-classes-25": share_of_all(0.25),
    "all-classes-50": share_of_all(0.5),
    "pretrain-30": first_synthetic(0.3, everything=True),
    "pretrain-targets-30": first_synthetic(0.3, everything=False),
    "fading": fading,
    "mixup-control": mixed(0.0, 0.3),
    "mixup-25": mixed(0.25, 0.3),
    "soft-25": soft_labels(0.25),
    "soft-50": soft_labels(0.5),
    "light-50": light(0.5, 0.5),
    "surest-25": selected(0.25, surest=True),
    "least-sure-25": selected(0.25, surest=False),
}


def gather(run: Path) -> tuple[Material, Gate]:
    """The run's training images, and gated samples of all classes."""
    sampler = load(run)
    trained = sampler.trained
    config, rows = trained.run.config(), Split.read(trained.run.split_file).of("train")
    real = load_images(
        trained.run.facts().data, rows, trained.classes,
        resolution=trained.resolution, channels=trained.channels, fit=config.data.fit,
    )  # fmt: skip
    gate = build_gate(real, trained.targets, config.gate, seed=config.seed, groups=[row.group for row in rows])
    pixels = [gated_samples(sampler, gate, name, POOL, allow_short=True).pixels for name in trained.classes]
    labels = np.repeat(np.arange(len(pixels)), [len(p) for p in pixels]).astype(np.int64)
    pool = LabelledImages(np.concatenate(pixels), labels, real.classes, [str(i) for i in range(len(labels))])
    assert gate.net is not None
    opinion = gate.net.probabilities(gate.net(pool.pixels)).mean(0)
    return Material(real, pool, opinion, [real.classes.index(name) for name in trained.targets]), gate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--judge", type=Path, required=True)
    parser.add_argument(
        "--never", type=Path, nargs="*", default=[], help="folders whose images the judge must not hold"
    )
    parser.add_argument("--most", type=int, default=500, help="images of a class that judge")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--ways", default=",".join(WAYS))
    a = parser.parse_args()
    m, _ = gather(a.run)
    k, side, channels = len(m.real.classes), m.real.pixels.shape[2], m.real.pixels.shape[1]

    def folder(path: Path) -> LabelledImages:
        return oracle.pixels(path, channels, classes=m.real.classes, resolution=side)

    judge = folder(a.judge)
    seen = {image.tobytes() for images in (m.real, *map(folder, a.never)) for image in images.pixels}
    fresh = np.array([image.tobytes() not in seen for image in judge.pixels])
    order = np.random.default_rng(0).permutation(np.flatnonzero(fresh))
    judge = judge.subset(np.sort(np.concatenate([order[judge.labels[order] == c][: a.most] for c in range(k)])))
    print(f"{a.run}: {len(m.real)} real, {len(m.pool)} synthetic; judged on {judge.counts()}", flush=True)
    seeds, groups = [int(s) for s in a.seeds.split(",")], np.arange(len(judge))
    sizes = np.bincount(judge.labels, minlength=k)
    times = resample_groups(len(judge), np.random.default_rng(0))
    control = None
    for name in dict.fromkeys(["control", *a.ways.split(",")]):
        plan = WAYS[name](m)
        predicted = [predict(fit(plan, seed, k), judge.pixels).argmax(1) for seed in seeds]
        table = f1_table(judge.labels, predicted, groups, k, times)
        control = control or table
        of_targets, of_all = (contrast(table, control, c, sizes) for c in (m.targets, list(range(k))))
        level = table.seeds[:, m.targets].mean()
        print(
            f"{name:22s} F1 of targets {level:.3f}  gain {of_targets.mean:+.3f} "
            f"({of_targets.low:+.3f} to {of_targets.high:+.3f})  macro {of_all.mean:+.3f}",
            flush=True,
        )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
