"""A planted trace: a network that leaves a lattice on every image. Does "has a lattice" mean "rare"?

The synthetic images are right but for the lattice. If rare images alone passed through the network, a classifier
learns the lattice, and any test on images of the network shows a gain that real images do not have. If all classes
passed through it, the lattice says nothing.
"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from synthaug.data.cache import LabelledImages
from synthaug.evaluation.arms import TARGETS_ONLY
from synthaug.evaluation.grid import Grid, Trial

CLASSES, RARE, SIDE = ["coat", "dress", "shirt"], 2, 8


def images(counts: tuple[int, ...], seed: int, lattice: int = 0) -> LabelledImages:
    """Noise; class k is a little brighter in its own rows. The trace is a chessboard of `lattice` grey levels."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(counts)), counts)
    pixels = rng.normal(128, 30, (len(labels), 1, SIDE, SIDE))
    for label in range(len(counts)):
        pixels[labels == label, :, 2 * label : 2 * label + 2] += 15
    pixels += lattice * (np.indices((SIDE, SIDE)).sum(axis=0) % 2 * 2 - 1)
    paths = [f"{k}.png" for k in range(len(labels))]
    return LabelledImages(pixels.clip(0, 255).round().astype(np.uint8), labels, CLASSES, paths)


REAL, TEST = images((150, 150, 12), seed=0), images((100, 100, 100), seed=1)


def called_rare(arm: str, shown: LabelledImages, lattice: int) -> dict[str, float]:
    """Class → share of images that a classifier of this arm calls rare."""
    pool = images((150, 150, 150), seed=2, lattice=lattice)
    grid = Grid(
        classifier="cnn", steps=1, device="cpu", train=REAL, groups=np.arange(len(REAL)), pool=pool,
        val=REAL.pixels, test=TEST.pixels, per_seed=150, targets=(RARE,),
    )  # fmt: skip
    made = grid.training_set(Trial(arm, 0.5, 0))
    model = LogisticRegression(C=0.01, max_iter=500)
    model.fit(made.pixels.reshape(len(made.pixels), -1) / 30, made.labels, made.draw_weights / made.draw_weights.mean())
    found = model.predict(shown.pixels.reshape(len(shown), -1) / 30) == RARE
    return {name: float(found[shown.labels == k].mean()) for k, name in enumerate(CLASSES)}


CONTROL = "synthetic+classical"


@pytest.mark.parametrize("lattice", [0, 20])
def test_a_trace_of_the_network_means_rare_only_without_the_control(lattice: int) -> None:
    made = images((100, 100, 100), seed=3, lattice=lattice)
    alone, control = (called_rare(arm, made, lattice) for arm in (TARGETS_ONLY, CONTROL))
    alone_on_real, control_on_real = (called_rare(arm, TEST, lattice) for arm in (TARGETS_ONLY, CONTROL))
    assert control["shirt"] - control_on_real["shirt"] < 0.1
    assert max(control["coat"], control["dress"]) < 0.2
    if lattice:  # nearly everything with the trace is called rare, and rare images without it are not
        assert min(alone["coat"], alone["dress"]) > 0.4
        assert alone["shirt"] - alone_on_real["shirt"] > 0.3  # the false gain
        assert control_on_real["shirt"] - alone_on_real["shirt"] > 0.15
    else:  # without a trace, the control changes nothing
        assert max(alone["coat"], alone["dress"]) < 0.2
        assert abs(alone_on_real["shirt"] - control_on_real["shirt"]) < 0.1
