"""What the generator may do to images, the classical control does too: mirrored real images are no help then."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from synthaug.classifiers import CLASSIFIERS
from synthaug.classifiers.steps import draws
from synthaug.data.cache import LabelledImages
from synthaug.evaluation.arms import ARMS, training_set
from synthaug.evaluation.grid import Grid, Trial
from synthaug.evaluation.held_out import HeldOut
from synthaug.evaluation.mirrors import with_mirrors
from synthaug.evaluation.trial import run_trials
from synthaug.evaluation.verdict import judge
from synthaug.progress import Silent
from synthaug.tasks import Workers

CLASSES = ["2", "3", "5", "9"]
RARE = 1
SEEDS = 5


class Nearest:
    """The three nearest of the images that the steps drew; classical changes are mirrors only."""

    uses_steps: ClassVar[bool] = True

    def __init__(self, *, device: str = "auto") -> None: ...

    def fit(
        self, pixels: Any, labels: Any, draw_weights: Any, *, num_classes: int, steps: int, seed: int, **_: Any
    ) -> Nearest:
        drawn = draws(draw_weights, steps, 64, seed).ravel()
        self.num_classes = num_classes
        self.model = KNeighborsClassifier(3).fit(pixels[drawn].reshape(len(drawn), -1), labels[drawn])
        return self

    def predict_proba(self, pixels: Any) -> Any:
        given = np.zeros((len(pixels), self.num_classes), np.float32)
        if len(pixels):
            given[:, self.model.classes_] = self.model.predict_proba(pixels.reshape(len(pixels), -1))
        return given


@pytest.fixture(autouse=True, scope="module")
def _plugged_in() -> Iterator[None]:
    CLASSIFIERS._entries["nearest"] = f"{__name__}:Nearest"
    sys.modules.setdefault(__name__, sys.modules[Nearest.__module__])
    yield
    del CLASSIFIERS._entries["nearest"]


def labelled(pixels: list[np.ndarray], classes: list[int]) -> LabelledImages:
    labels = np.repeat(classes, [len(p) for p in pixels]).astype(np.int64)
    return LabelledImages(np.concatenate(pixels), labels, CLASSES, [str(i) for i in range(len(labels))])


def mirrored_reals() -> tuple[LabelledImages, LabelledImages, LabelledImages]:
    """Train, pool and test: half of the test images are mirrored; the pool is the rare class, mirrored."""
    data = load_digits()
    of = [(data.images[data.target == int(name)] * 15).astype(np.uint8)[:, None] for name in CLASSES]
    train = labelled([x[: 12 if k == RARE else 60] for k, x in enumerate(of)], list(range(4)))
    test = labelled([np.concatenate([x[60:110], x[110:160, :, :, ::-1]]) for x in of], list(range(4)))
    return train, labelled([of[RARE][:12, :, :, ::-1].copy()], [RARE]), test


def verdict(flip: bool) -> str:
    train, pool, test = mirrored_reals()
    grid = Grid(
        "nearest", 10, "cpu", train, np.arange(len(train)), pool, test.pixels[:0], test.pixels, 500, (RARE,), flip
    )
    names = [n for n, kind in ARMS.items() if not (kind.smote or kind.down_up or kind.by_combination)]
    trials = {n: [Trial(n, 0.5 if ARMS[n].synthetic else 0.0, seed) for seed in range(SEEDS)] for n in names}
    done = run_trials(grid, [t for of_arm in trials.values() for t in of_arm], Silent(), Workers(1))
    held_out = HeldOut(test.labels, np.arange(len(test)), np.zeros(len(test), np.int64), CLASSES)
    tables = {name: held_out.table([done[t].test for t in of_arm]) for name, of_arm in trials.items()}
    return judge(tables, CLASSES, [CLASSES[RARE]], held_out.groups_of_classes()).overall


def test_mirrored_real_images_help_only_where_the_control_never_mirrors() -> None:
    assert verdict(flip=False) == "helps"
    assert verdict(flip=True) == "no measurable effect"


@pytest.mark.parametrize("name", ["oversample", "classical", "synthetic+classical"])
def test_mirrors_stand_beside_their_images_and_share_their_draws(name: str) -> None:
    train, pool, test = mirrored_reals()
    plain = training_set(name, train, np.arange(len(train)), pool, share=0.25, seed=0, per_seed=20)
    twice = with_mirrors(plain)
    assert np.array_equal(twice.pixels[::2], plain.pixels)
    assert np.array_equal(twice.pixels[1::2], plain.pixels[..., ::-1])
    for of, images in ((twice.labels, plain.labels), (twice.groups, plain.groups)):
        assert np.array_equal(of.reshape(-1, 2), np.stack([images, images], axis=1))
    assert twice.draw_weights.reshape(-1, 2).sum(axis=1) == pytest.approx(plain.draw_weights)
    grid = Grid("cnn", 1, "cpu", train, np.arange(len(train)), pool, test.pixels[:0], test.pixels, 20, (RARE,))
    trial = Trial(name, 0.25 if ARMS[name].synthetic else 0.0, 0)
    assert len(grid.training_set(trial).pixels) == len(plain.pixels)
    mirrors = ARMS[name].augment == "classical"
    assert len(replace(grid, flip=True).training_set(trial).pixels) == (2 if mirrors else 1) * len(plain.pixels)
