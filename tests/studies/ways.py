"""Ways to train a classifier on real and synthetic images: which image is drawn how often, when, and how it counts.

A way turns the `Material` into a `Plan`; `fit` trains the product's `cnn` by it, `fit_head` a layer on the frozen
features of a pretrained net (the product's `finetune`). Classical augmentation is on, unless the plan says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from synthaug.augment.classical import trivial_augment
from synthaug.classifiers.cnn import SmallCnn
from synthaug.classifiers.finetune import Finetune, one_view, train_head
from synthaug.classifiers.logistic import RememberedFeatures
from synthaug.classifiers.steps import BATCH_SIZE, LEARNING_RATE, build, draws, parameter_groups, rates, scale
from synthaug.classifiers.weights import copies
from synthaug.data.cache import LabelledImages
from synthaug.device import has_bf16
from synthaug.metrics.distances import squared_distances

STEPS = 600
NEAREST = 3  # real images that say how near a synthetic one is


@dataclass(frozen=True)
class Material:
    """Real training images and gated synthetic ones, with what the agreement gate's classifiers make of the latter.

    `opinion` [len(pool), K] is their mean probability of each class; `features` [N, d] are those before their last
    layers, of real and then of synthetic images. `earlier` is the pool of an earlier checkpoint.
    """

    real: LabelledImages
    pool: LabelledImages
    opinion: NDArray[np.float32]
    targets: list[int]
    features: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))
    earlier: LabelledImages | None = None

    def keeping(self, rows: NDArray[np.int64]) -> Material:
        """With these images of the pool only."""
        chosen = np.isin(np.arange(len(self.pool)), rows)
        return replace(self, pool=self.pool.subset(chosen), opinion=self.opinion[chosen], features=self.features[:0])


Weights = NDArray[np.float64]


@dataclass(frozen=True)
class Plan:
    """What a classifier learns from: images and soft targets, and how often each is drawn in each phase.

    `real`: how many of the images are real; they come first.
    """

    pixels: NDArray[np.uint8]
    soft: NDArray[np.float32]  # [N, K]
    real: int
    phases: list[tuple[float, Weights]]  # (share of the steps, draw weights [N])
    mixup: float = 0.0  # α of the Beta distribution; 0: images are not mixed
    loss: Weights = field(default_factory=lambda: np.ones(0))  # [N] weights; empty: all alike
    as_they_are: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))  # [N] not augmented; empty: none

    def drawn(self) -> Plan:
        """Without the images that are never drawn."""
        used = np.sum([w for _, w in self.phases], axis=0) > 0
        phases = [(part, w[used]) for part, w in self.phases]
        rest = {name: getattr(self, name)[used] for name in ("loss", "as_they_are") if len(getattr(self, name))}
        real = int(used[: self.real].sum())
        return replace(self, pixels=self.pixels[used], soft=self.soft[used], real=real, phases=phases, **rest)

    def order(self, steps: int, seed: int) -> NDArray[np.int64]:
        """Indices [steps, batch] of the images to draw."""
        parts = [draws(w, round(steps * part), BATCH_SIZE, seed + 1000 * k) for k, (part, w) in enumerate(self.phases)]
        return np.concatenate(parts)


def fit(plan: Plan, seed: int, classes: int, steps: int = STEPS) -> nn.Module:
    """`classifiers.steps.train` with soft targets, phases and mixup."""
    channels, side = plan.pixels.shape[1:3]
    network = build(lambda: SmallCnn(channels, side, classes), seed).to(memory_format=torch.channels_last).train()
    images, soft = torch.from_numpy(plan.pixels), torch.from_numpy(plan.soft)
    weights = torch.from_numpy(plan.loss if len(plan.loss) else np.ones(len(images))).float()
    as_it_is = torch.from_numpy(plan.as_they_are if len(plan.as_they_are) else np.zeros(len(images), bool))
    order = plan.order(steps, seed)
    rng, numbers = torch.Generator().manual_seed(seed ^ 0x5EED), np.random.default_rng([seed, 0x31])
    optimiser = torch.optim.AdamW(parameter_groups(network, LEARNING_RATE), lr=LEARNING_RATE, fused=True)
    for batch, rate in zip(torch.from_numpy(order), rates(len(order)), strict=True):
        for group in optimiser.param_groups:
            group["lr"] = group["highest"] * rate
        drawn = images[batch]
        seen = torch.where(as_it_is[batch][:, None, None, None], drawn, trivial_augment(drawn, rng))
        x, y, w = scale(seen), soft[batch], weights[batch]
        if plan.mixup:
            part = float(numbers.beta(plan.mixup, plan.mixup))
            other = torch.randperm(len(x), generator=rng)
            x, y, w = (part * a + (1 - part) * a[other] for a in (x, y, w))
        with torch.autocast("cpu", torch.bfloat16, enabled=has_bf16(torch.device("cpu"))):
            logits = network(x.contiguous(memory_format=torch.channels_last))
        loss = -(w * (y * logits.float().log_softmax(1)).sum(1)).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return network.eval()


def fit_head(
    plan: Plan, seeds: Sequence[int], steps: int, test: NDArray[np.uint8], features: RememberedFeatures
) -> list[NDArray[np.int64]]:
    """Classes of the test images by the product's `finetune`, for each seed: its copies, its views, its layer."""
    plan = plan.drawn()
    labels = plan.soft.argmax(1)
    groups = np.where(np.arange(len(labels)) < plan.real, np.arange(len(labels)), -1)
    often = np.sum([part * w / w.sum() for part, w in plan.phases], axis=0)
    copied = copies(often, labels, groups) if not plan.as_they_are.any() else np.zeros(0, np.int64)
    rows = np.concatenate([features(plan.pixels), features.of_copies(plan.pixels, copied)])
    priors = np.bincount(labels, weights=often, minlength=plan.soft.shape[1])
    mean, spread = rows[: plan.real].mean(axis=0), rows[: plan.real].std(axis=0) + 1e-6
    rows, judged = (rows - mean) / spread, torch.from_numpy((features(test) - mean) / spread)
    found = []
    for seed in seeds:
        picked = one_view(plan.order(steps, seed), copied, len(labels), seed)
        targets = np.concatenate([labels, labels[copied]])
        rate, device = Finetune.learning_rate, torch.device("cpu")
        head = train_head(rows, targets, picked, priors, None, "cross-entropy", rate, device)
        with torch.inference_mode():
            found.append(head(judged).argmax(1).numpy())
    return found


def balanced(m: Material, share: float, classes: list[int]) -> Weights:
    """Draw weights of real and then synthetic images: every class alike, `share` of each of `classes` synthetic."""
    k = len(m.real.classes)
    real = 1 / (k * np.bincount(m.real.labels, minlength=k).clip(1))[m.real.labels]
    has = np.bincount(m.pool.labels, minlength=k)
    chosen = np.isin(np.arange(k), classes) & (has > 0)
    real = np.where(chosen[m.real.labels], real * (1 - share), real)
    return np.concatenate([real, np.where(chosen, share / (k * has.clip(1)), 0.0)[m.pool.labels]])


def _plan(m: Material, phases: list[tuple[float, Weights]], **more: object) -> Plan:
    labels = np.concatenate([m.real.labels, m.pool.labels])
    soft = np.eye(len(m.real.classes), dtype=np.float32)[labels]
    pixels = np.concatenate([m.real.pixels, m.pool.pixels])
    return Plan(pixels, soft, len(m.real), phases, **more)  # type: ignore[arg-type]


def _none_augmented(m: Material) -> NDArray[np.bool_]:
    return np.ones(len(m.real) + len(m.pool), bool)


def oversample(m: Material) -> Plan:
    """Every class drawn equally often, no augmentation."""
    return _plan(m, [(1.0, balanced(m, 0.0, []))], as_they_are=_none_augmented(m))


def class_weights(m: Material) -> Plan:
    """Every image drawn equally often; its loss counts by the inverse frequency of its class, 1 on average."""
    counts = np.bincount(m.real.labels, minlength=len(m.real.classes))
    loss = (len(m.real) / (np.count_nonzero(counts) * counts.clip(1)))[m.real.labels]
    none = np.zeros(len(m.pool))
    drawn = np.concatenate([np.full(len(m.real), 1 / len(m.real)), none])
    return _plan(m, [(1.0, drawn)], loss=np.concatenate([loss, none]), as_they_are=_none_augmented(m))


def share(part: float) -> Callable[[Material], Plan]:
    return lambda m: _plan(m, [(1.0, balanced(m, part, m.targets))])


def share_of_all(part: float) -> Callable[[Material], Plan]:
    return lambda m: _plan(m, [(1.0, balanced(m, part, list(range(len(m.real.classes)))))])


def first_synthetic(steps: float, everything: bool) -> Callable[[Material], Plan]:
    """Pretrain on synthetic images alone, then learn from real ones alone."""

    def plan(m: Material) -> Plan:
        classes = list(range(len(m.real.classes))) if everything else m.targets
        return _plan(m, [(steps, balanced(m, 1.0, classes)), (1 - steps, balanced(m, 0.0, classes))])

    return plan


def finish_on_real(part: float, last: float, everything: bool) -> Callable[[Material], Plan]:
    """A share of synthetic images at first; the last steps on real images alone (SYNAuG, 2308.00994)."""

    def plan(m: Material) -> Plan:
        classes = list(range(len(m.real.classes))) if everything else m.targets
        return _plan(m, [(1 - last, balanced(m, part, classes)), (last, balanced(m, 0.0, classes))])

    return plan


def late(part: float) -> Callable[[Material], Plan]:
    """Real images alone in the first half, then a share of synthetic ones."""
    return lambda m: _plan(m, [(0.5, balanced(m, 0.0, m.targets)), (0.5, balanced(m, part, m.targets))])


def fading(m: Material) -> Plan:
    """From half synthetic to none, in five steps."""
    return _plan(m, [(0.2, balanced(m, part, m.targets)) for part in (0.5, 0.4, 0.25, 0.1, 0.0)])


def mixed(part: float, alpha: float) -> Callable[[Material], Plan]:
    return lambda m: _plan(m, [(1.0, balanced(m, part, m.targets))], mixup=alpha)


def soft_labels(part: float) -> Callable[[Material], Plan]:
    """Synthetic images teach what the gate's classifiers think of them, half and half with the label."""

    def plan(m: Material) -> Plan:
        made = _plan(m, [(1.0, balanced(m, part, m.targets))])
        made.soft[len(m.real) :] = 0.5 * made.soft[len(m.real) :] + 0.5 * m.opinion
        return made

    return plan


def light(part: float, weight: float) -> Callable[[Material], Plan]:
    """A synthetic image's loss weighs less than a real one's."""

    def plan(m: Material) -> Plan:
        loss = np.concatenate([np.ones(len(m.real)), np.full(len(m.pool), weight)])
        return _plan(m, [(1.0, balanced(m, part, m.targets))], loss=loss)

    return plan


def in_place(part: float) -> Callable[[Material], Plan]:
    """Synthetic images in the place of augmentation: no image of the target classes is augmented, all others are."""

    def plan(m: Material) -> Plan:
        rare = np.isin(np.concatenate([m.real.labels, m.pool.labels]), m.targets)
        return _plan(m, [(1.0, balanced(m, part, m.targets))], as_they_are=rare)

    return plan


Choice = Callable[[Material, NDArray[np.int64]], NDArray[np.int64]]
"""Puts the images of one class of the pool in order, the best first."""


def selected(part: float, choice: Choice) -> Callable[[Material], Plan]:
    """Only the better half of each class of the pool."""

    def plan(m: Material) -> Plan:
        rows = [np.flatnonzero(m.pool.labels == label) for label in np.unique(m.pool.labels)]
        return share(part)(m.keeping(np.concatenate([choice(m, r)[: (len(r) + 1) // 2] for r in rows])))

    return plan


def surest(m: Material, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """By the gate's classifiers' probability of the image's own class."""
    return rows[np.argsort(-m.opinion[rows, m.pool.labels[rows]])]


def least_sure(m: Material, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return surest(m, rows)[::-1]


def nearest(m: Material, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """By the distance to the third nearest real image of the class, in the features of the gate's classifiers."""
    real = m.features[: len(m.real)][m.real.labels == m.pool.labels[rows[0]]]
    distances = np.sort(squared_distances(m.features[len(m.real) :][rows], real), axis=1)
    return rows[np.argsort(distances[:, min(NEAREST, len(real)) - 1])]


def most_different(m: Material, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each image is the one farthest from those before it (greedy k-centre, Gonzalez 1985), in the same features."""
    points = m.features[len(m.real) :][rows]
    apart = squared_distances(points, points)
    order, least = [0], apart[0].copy()
    while len(order) < (len(rows) + 1) // 2:
        order.append(int(least.argmax()))
        least = np.minimum(least, apart[order[-1]])
    return rows[order]


def two_checkpoints(part: float) -> Callable[[Material], Plan]:
    """The pool is one half of each of two checkpoints' pools."""

    def plan(m: Material) -> Plan:
        if m.earlier is None:
            raise ValueError("there is no earlier checkpoint")
        halves = [p.subset(np.arange(len(p)) % 2 == 0) for p in (m.pool, m.earlier)]
        pixels, labels = (np.concatenate([getattr(h, name) for h in halves]) for name in ("pixels", "labels"))
        pool = LabelledImages(pixels, labels, m.pool.classes, [str(i) for i in range(len(labels))])
        return share(part)(replace(m, pool=pool))

    return plan


CONTROLS: dict[str, Callable[[Material], Plan]] = {
    "control": share(0.0),
    "oversample": oversample,
    "class-weights": class_weights,
    "mixup-control": mixed(0.0, 0.3),
}
WAYS: dict[str, Callable[[Material], Plan]] = {
    **CONTROLS,
    "share-10": share(0.1),
    "share-25": share(0.25),
    "share-50": share(0.5),
    "share-75": share(0.75),
    "all-classes-25": share_of_all(0.25),
    "all-classes-50": share_of_all(0.5),
    "pretrain-30": first_synthetic(0.3, everything=True),
    "pretrain-targets-30": first_synthetic(0.3, everything=False),
    "finish-on-real": finish_on_real(0.5, 0.3, everything=False),
    "all-classes-finish-on-real": finish_on_real(0.5, 0.3, everything=True),
    "late-50": late(0.5),
    "fading": fading,
    "mixup-25": mixed(0.25, 0.3),
    "soft-25": soft_labels(0.25),
    "soft-50": soft_labels(0.5),
    "light-50": light(0.5, 0.5),
    "in-place-50": in_place(0.5),
    "surest-25": selected(0.25, surest),
    "least-sure-25": selected(0.25, least_sure),
    "nearest-25": selected(0.25, nearest),
    "most-different-25": selected(0.25, most_different),
}
