"""The arms of an evaluation: ways to train a classifier; and the comparisons that decide.

All arms take the same number of optimiser steps. A synthetic arm differs from its control only in this: in each class
of the mix, a share of the draws are synthetic images. The mix is the target classes, or all classes. With all classes,
a classifier learns nothing about the label from whether an image is synthetic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from synthaug.augment.mixing import Mix
from synthaug.classifiers import CLASSIFIERS, supported, takes_steps
from synthaug.classifiers.base import Augment
from synthaug.classifiers.losses import Loss, effective_number, inverse_frequency
from synthaug.classifiers.smote import require_smote
from synthaug.data.cache import LabelledImages
from synthaug.errors import SynthaugError, suggest
from synthaug.seeds import FEWER_REAL_IMAGES, SYNTHETIC_POOL, stream

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ArmKind:
    """How an arm trains.

    `draws`: "natural" draws every image equally often, "balanced" every class. `about` is a sentence for the report.
    `class_weights`: images per class [K] → factors of the loss [K]. `down_up`: in the place of synthetic images, it has
    real ones at the generator's size, enlarged as an export would. `targets_only`: only target classes
    get synthetic images, whatever the mix is. `by_combination`: within a class, the combinations of `--by` are drawn
    equally often. `times`: above 1, the best control is trained again
    for so many times the steps. An arm that is not `default` is trained if it is named, or with `--arms all`.
    """

    name: str
    about: str
    draws: Literal["natural", "balanced"]
    class_weights: Callable[[Counts], npt.NDArray[np.float64]] | None = None
    augment: Augment = "none"
    loss: Loss = "cross-entropy"
    mix: Mix = "none"
    smote: bool = False
    synthetic: bool = False
    down_up: bool = False
    targets_only: bool = False
    by_combination: bool = False
    times: int = 1
    default: bool = True

    @property
    def mixes(self) -> bool:
        """Whether a share of the draws comes from a pool beside the training images."""
        return self.synthetic or self.down_up

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of `Classifier.fit` that only some classifiers take."""
        asked = {"loss": self.loss, "mix": self.mix, "smote": self.smote}
        return {name: value for name, value in asked.items() if value not in ("cross-entropy", "none", False)}

    @property
    def needs(self) -> set[str]:
        """What the classifier has to support: values of `Ability`."""
        return {name if value is True else value for name, value in self.options.items()}


@dataclass(frozen=True)
class PlannedContrast:
    """A synthetic arm and its control, which differs in the synthetic images only. `name` is its key in documents."""

    name: str
    arm: ArmKind
    control: ArmKind


LONGER = "longer"
TARGETS_ONLY = "synthetic-targets+classical"
_OVERSAMPLE = ArmKind("oversample", "real images of small classes repeated to the same counts", "balanced")
_CLASSICAL = ArmKind(
    "classical",
    "repeated real images, each time cropped, turned or recoloured at random",
    "balanced",
    augment="classical",
)
_SYNTHETIC = ArmKind("synthetic", "real images and generated ones", "balanced", synthetic=True)
_SYNTHETIC_CLASSICAL = ArmKind(
    "synthetic+classical",
    "real and generated images, with the same random changes as “classical”",
    "balanced",
    augment="classical",
    synthetic=True,
)
ARMS: dict[str, ArmKind] = {
    arm.name: arm
    for arm in (
        ArmKind("real", "the real images as they are, nothing done about the imbalance", "natural"),
        ArmKind(
            "class-weights",
            "real images; mistakes on small classes cost more",
            "natural",
            class_weights=inverse_frequency,
        ),
        ArmKind(
            "effective-number",
            "the same, with less weight for small classes: by the effective number of images",
            "natural",
            class_weights=effective_number,
            default=False,
        ),
        ArmKind(
            "focal",
            "class-weights with the focal loss: images that are recognised already count little",
            "natural",
            class_weights=inverse_frequency,
            loss="focal",
            default=False,
        ),
        ArmKind(
            "logit-adjustment",
            "real images; a small class has to win by a larger margin in training",
            "natural",
            loss="logit-adjusted",
        ),
        _OVERSAMPLE,
        _CLASSICAL,
        ArmKind(
            "group-balanced", "as “classical”, and within a class each combination of --by is drawn equally often",
            "balanced", augment="classical", by_combination=True,
        ),
        ArmKind(
            "mixup",
            "as “classical”, and pairs of images blended into one",
            "balanced",
            augment="classical",
            mix="mixup",
        ),
        ArmKind(
            "cutmix",
            "as “classical”, and a box of another image pasted onto an image",
            "balanced",
            augment="classical",
            mix="cutmix",
        ),
        ArmKind(
            "cmo",
            "real images, changed as in “classical”; boxes of images of small classes pasted onto any image",
            "natural",
            augment="classical",
            mix="cmo",
        ),
        ArmKind("smote", "points interpolated between real images in feature space", "natural", smote=True),
        ArmKind(
            "down-up", "real images reduced to the generator’s size and enlarged again, instead of generated ones",
            "balanced", down_up=True,
        ),
        ArmKind(
            "down-up+classical", "the same, with the same random changes as “classical”",
            "balanced", augment="classical", down_up=True,
        ),
        ArmKind(LONGER, "the best arm without synthetic images, trained twice as long", "balanced", times=2),
        _SYNTHETIC,
        _SYNTHETIC_CLASSICAL,
        ArmKind(
            TARGETS_ONLY, "as “synthetic+classical”, but generated images of the target classes alone", "balanced",
            augment="classical", synthetic=True, targets_only=True, default=False,
        ),
    )
}  # fmt: skip
"""The arms by name, in the order of tables and reports: controls first."""
CONTRASTS: dict[str, PlannedContrast] = {
    contrast.name: contrast
    for contrast in (
        PlannedContrast("synthetic-oversample", _SYNTHETIC, _OVERSAMPLE),
        PlannedContrast("synthetic+classical-classical", _SYNTHETIC_CLASSICAL, _CLASSICAL),
    )
}
"""The comparisons that decide. They are fixed before any training."""
DOWN_UP = {
    "down-up": CONTRASTS["synthetic-oversample"],
    "down-up+classical": CONTRASTS["synthetic+classical-classical"],
}
"""Control → the comparison whose arm it imitates, with the same share.

It shows what the blur of enlarging does. So it exists only where classifiers see another size than the generator's;
there, synthetic images must beat it too.
"""
MIXES = {"targets": 0.25, "all": 0.5}
"""Which classes get synthetic images in the synthetic arms → their share if there are no validation images.

They were measured on one data set, with few generators (docs/science/using-synthetic.md).
"""
CONTROLS = tuple(
    name
    for name, kind in ARMS.items()
    if kind.default and kind.times == 1 and not (kind.mixes or kind.smote or kind.by_combination)
)
"""The default's controls, which cost nothing. Without one of them, the verdict is never *helps*: it may do as well."""
SETS = ("default", "all")
"""What `--arms` takes beside the names of arms."""
DEFAULT_SHARES = (0.1, 0.25, 0.5)
"""The shares that val chooses among. Published gains lie between a tenth and a half of the draws."""


def planned(arms: Iterable[str]) -> list[PlannedContrast]:
    """The contrasts whose arm and control are both among `arms`, in the order of the table."""
    there = set(arms)
    return [contrast for contrast in CONTRASTS.values() if {contrast.arm.name, contrast.control.name} <= there]


@dataclass(frozen=True)
class TrainingSet:
    """The training set of one trial: arguments of `Classifier.fit`. `groups` is -1 for synthetic images.

    `options` are arguments that only some classifiers take.
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    draw_weights: npt.NDArray[np.float64]
    loss_weights: npt.NDArray[np.float64] | None
    augment: Augment
    groups: npt.NDArray[np.int64]
    options: dict[str, Any] = field(default_factory=dict)


def choose_arms(
    asked: Sequence[str] | None, classifier: str, *, resized: bool = False, mix: str = "targets", divided: bool = False
) -> tuple[list[str], list[str]]:
    """The arms to train, in the order of the table, and a note on those that were left out.

    Args:
        asked: names of arms, "default" or "all"; None: the default.
        classifier: from `check_classifier`. Arms that it cannot train are left out, unless they are named.
        resized: whether classifiers see images of another size than the generator's.
        mix: which classes get synthetic images, a key of `MIXES`.
        divided: whether `--by` divides the images of a class.

    Raises:
        SynthaugError: an arm does not exist or does not work with this classifier, or there is nothing to compare.
    """
    asked = ("default",) if asked is None else asked
    for name in asked:
        if name not in (*ARMS, *SETS):
            raise SynthaugError(f"there is no arm {name!r}", suggest(name, [*ARMS, *SETS]))
        if name in ARMS and ARMS[name].down_up and not resized:
            raise SynthaugError(
                f"the arm {name!r} reduces real images to the generator's size and enlarges them again, but with "
                "--size model classifiers see the generator's size",
                "add --size native, or leave the arm out",
            )
        if name in ARMS and ARMS[name].targets_only and mix == "targets":
            raise SynthaugError(
                f"the arm {name!r} would be synthetic+classical: only target classes get synthetic images",
                "add --mix all, or leave the arm out",
            )
        if name in ARMS and ARMS[name].by_combination and not divided:
            raise SynthaugError(
                f"the arm {name!r} draws combinations of columns equally often, and no column is named",
                "add --by COLUMN,COLUMN, or leave the arm out",
            )
        if name in ARMS and not can_train(classifier, ARMS[name]):
            able = [other for other in CLASSIFIERS.names() if can_train(other, ARMS[name])]
            raise SynthaugError(
                f"the classifier {classifier!r} cannot train the arm {name!r}",
                f"use --classifier {able[0]}, or leave the arm out",
            )
    wanted = {
        name for name, kind in ARMS.items()
        if (name in asked or "all" in asked or ("default" in asked and kind.default))
        and (resized or not kind.down_up)
        and (mix == "all" or not kind.targets_only)
        and (divided or not kind.by_combination)
    }  # fmt: skip
    wanted |= {DOWN_UP[name].control.name for name in wanted & DOWN_UP.keys()}  # whose penalty `logistic` gives them
    names = [name for name, kind in ARMS.items() if name in wanted and can_train(classifier, kind)]
    notes = []
    left = [name for name in ARMS if name in wanted and name not in names and not ARMS[name].smote]
    if left:
        notes.append(f"the classifier {classifier} cannot train the arms {', '.join(left)}: they were left out")
    if "smote" in names:
        try:
            require_smote()
        except SynthaugError as error:
            if "smote" in asked:
                raise
            names.remove("smote")
            notes.append(f"the arm smote was left out: {error.message.removeprefix('the arm smote ')} ({error.hint})")
    if not planned(names):
        raise SynthaugError(
            f"the arms {', '.join(names)} leave nothing to compare" if names else "no arm was given",
            "name synthetic with oversample, or synthetic+classical with classical",
        )
    return names, notes


def can_train(classifier: str, kind: ArmKind) -> bool:
    """Whether a classifier, a name from `check_classifier`, can train an arm."""
    return kind.needs <= supported(classifier) and (kind.times == 1 or takes_steps(classifier))


def needed_controls(classifier: str) -> list[str]:
    """The controls of the default that the classifier can train."""
    return [name for name in CONTROLS if can_train(classifier, ARMS[name])]


def training_set(
    name: str,
    train: LabelledImages,
    groups: npt.NDArray[np.int64],
    pool: LabelledImages,
    *,
    share: float,
    seed: int,
    per_seed: int,
    combinations: npt.NDArray[np.int64] | None = None,
) -> TrainingSet:
    """Assemble the training set of an arm.

    Args:
        name: of the arm.
        train: real training images.
        groups: [len(train)] group numbers; a group is never divided.
        pool: images of the classes of the mix: synthetic ones, or real ones for an arm that reduces and enlarges them.
        share: of the draws of each class of the mix that come from the pool, 0 to 1; for arms that mix only.
        seed: chooses the synthetic images from the pool; the same for every arm of a seed.
        per_seed: the most images of a class to take from the pool.
        combinations: [len(train)] the number of each image's combination, for arms that draw them equally often.
    """
    kind = ARMS[name]
    counts = np.bincount(train.labels, minlength=len(train.classes))
    if kind.draws == "natural":
        weights = np.full(len(train), 1 / len(train))
    else:
        weights = (1 / (counts * np.count_nonzero(counts)).clip(1))[train.labels]
    if kind.by_combination:
        assert combinations is not None  # `choose_arms` sees to it
        weights = _equal_combinations(train.labels, combinations)
    loss_weights = None
    if kind.class_weights is not None:
        loss_weights = kind.class_weights(counts)
    position = places(train.labels, counts)
    if not kind.mixes:
        order = np.argsort(train.labels + position, kind="stable")
        return TrainingSet(
            train.pixels[order], train.labels[order], weights[order], loss_weights, kind.augment, groups[order],
            kind.options,
        )  # fmt: skip
    taken = redraw(pool, seed, per_seed)
    drawn = np.bincount(pool.labels[taken], minlength=len(train.classes))
    weights[drawn[train.labels] > 0] *= 1 - share
    labels = np.concatenate([train.labels, pool.labels[taken]])
    mass = share / (np.count_nonzero(counts) * drawn.clip(1))
    weights = np.concatenate([weights, mass[pool.labels[taken]]])
    # Each synthetic image comes right after a real one. So when the control draws a real image, this arm draws the same
    # image or a synthetic one in its place (see `Classifier.fit`): seeds are paired draw by draw.
    position = np.concatenate([position, places(pool.labels[taken], drawn) + 1e-9])
    order = np.argsort(labels + position, kind="stable")
    return TrainingSet(
        pixels=np.concatenate([train.pixels, pool.pixels[taken]])[order],
        labels=labels[order],
        draw_weights=weights[order],
        loss_weights=loss_weights,
        augment=kind.augment,
        groups=np.concatenate([groups, np.full(len(taken), -1)])[order],
        options=kind.options,
    )


def _equal_combinations(labels: npt.NDArray[np.int64], combinations: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Weights [N] that sum to 1: every class weighs the same, and in it every combination that it has.

    >>> _equal_combinations(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1])).tolist()
    [0.125, 0.125, 0.25, 0.5]
    """
    pairs, which, sizes = np.unique(
        np.stack([labels, combinations], axis=1), axis=0, return_inverse=True, return_counts=True
    )
    in_class = np.bincount(pairs[:, 0])
    weights: npt.NDArray[np.float64] = 1 / (sizes[which.reshape(-1)] * in_class[labels] * np.count_nonzero(in_class))
    return weights


def places(labels: npt.NDArray[np.int64], counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The position of each image within its class, in [0, 1): 0, 1/n, 2/n, …

    >>> places(np.array([0, 1, 0, 1]), np.array([2, 2])).tolist()
    [0.0, 0.0, 0.5, 0.5]
    """
    order = np.argsort(labels, kind="stable")
    starts = np.cumsum(counts) - counts
    rank = np.empty(len(labels), np.int64)
    rank[order] = np.arange(len(labels)) - starts[labels[order]]
    place: npt.NDArray[np.float64] = rank / counts[labels].clip(1)
    return place


def redraw(pool: LabelledImages, seed: int, per_seed: int) -> npt.NDArray[np.int64]:
    """Indices of the synthetic images of one seed: of each class, at most `per_seed` and four fifths of the pool.

    The images of a class are shuffled and cut into parts; seeds 0, 1, … take one part each, and then the images are
    shuffled again. So the seeds of an evaluation have no image in common if the pool is large enough, and the interval
    over seeds includes the variance of the synthetic images: see `shared_by_seeds`.
    """
    taken = []
    for label in np.unique(pool.labels):
        images = np.flatnonzero(pool.labels == label)
        size, parts = _parts(len(images), per_seed)
        turn, part = divmod(seed, parts)
        order = stream(turn, int(label), SYNTHETIC_POOL).permutation(images)
        taken.append(np.sort(order[part * size : (part + 1) * size]))
    return np.concatenate(taken) if taken else np.zeros(0, np.int64)


def shared_by_seeds(pool: LabelledImages, per_seed: int, seeds: int) -> list[str]:
    """The classes of the pool that have too few images for every seed to have its own."""
    counts = pool.counts()
    return [name for name, count in counts.items() if count and _parts(count, per_seed)[1] < seeds]


def _parts(count: int, per_seed: int) -> tuple[int, int]:
    """The synthetic images of a class for one seed, and how many seeds have images of their own.

    >>> _parts(500, 100), _parts(110, 100)
    ((100, 5), (88, 1))
    """
    size = min(per_seed, -(-4 * count // 5))
    return size, count // size


def fewer_real(labels: npt.NDArray[np.int64], targets: Sequence[int], share: float, seed: int) -> npt.NDArray[np.int64]:
    """Indices of the images that are left if each target class keeps a `share` of its images, at least one.

    A larger share contains all images of a smaller one, so that the points of a learning curve are paired.

    >>> fewer_real(np.array([0, 0, 1, 1, 1, 1]), [1], 0.5, seed=0).size
    4
    """
    left = np.ones(len(labels), bool)
    for target in targets:
        order = stream(seed, target, FEWER_REAL_IMAGES).permutation(np.flatnonzero(labels == target))
        left[order[max(1, round(share * len(order))) :]] = False
    return np.flatnonzero(left).astype(np.int64)
