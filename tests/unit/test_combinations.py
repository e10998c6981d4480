"""F1 on parts of the test images, against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from synthaug.data.attributes import Column
from synthaug.evaluation.combinations import by_combination
from synthaug.evaluation.held_out import HeldOut

CLASSES = ["a", "b", "rare"]


def material(seed: int = 0) -> tuple[HeldOut, np.ndarray, np.ndarray, Column, Column]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, 240)
    held_out = HeldOut(labels, np.arange(240) // 2, np.zeros(240, np.int64), CLASSES)
    light = np.where(rng.random(240) < 0.3, "night", "day")
    site = np.where(rng.random(240) < 0.5, "x", "y")

    def predicted(right: np.ndarray) -> np.ndarray:
        """Three seeds; `right` is the chance of each image."""
        guesses = np.where(rng.random((3, 240)) < right, labels, rng.integers(0, 3, (3, 240)))
        return np.eye(3, dtype=np.float32)[guesses]

    before = predicted(np.where(light == "night", 0.2, 0.9))
    after = predicted(np.full(240, 0.9))
    columns = (
        Column("light", "words", light.tolist(), ["day", "night"]), Column("site", "words", site.tolist(), ["x", "y"]),
    )  # fmt: skip
    return held_out, before, after, *columns


def test_the_worst_part_comes_first_with_its_own_gain() -> None:
    held_out, before, after, light, _ = material()
    worst, best = by_combination([light], held_out, (before, after), [2])
    assert (worst.values, best.values) == ({"light": "night"}, {"light": "day"})
    rows = np.array(light.values) == "night"
    assert worst.images == rows.sum()
    assert worst.targets == {"rare": (held_out.labels[rows] == 2).sum()}
    for found, probabilities in ((worst.before, before), (worst.after, after)):
        scores = [f1_score(held_out.labels[rows] == 2, seed[rows].argmax(1) == 2) for seed in probabilities]
        assert found == pytest.approx(np.mean(scores))
    assert worst.gain is not None
    assert worst.gain.mean == pytest.approx(worst.after - worst.before)
    assert worst.gain.low > 0
    assert best.gain is not None
    assert best.gain.low < 0 < best.gain.high


def test_all_combinations_together_are_all_images() -> None:
    held_out, before, after, light, site = material()
    found = by_combination([light, site], held_out, (before, after), [1, 2])
    assert len(found) == 4
    assert sum(part.images for part in found) == 240
    assert [part.before for part in found] == sorted(part.before for part in found)


def test_a_part_without_a_target_is_left_out_and_one_group_has_no_interval() -> None:
    held_out, before, after, _, _ = material()
    rare = np.flatnonzero(held_out.labels == 2)
    group = held_out.groups == held_out.groups[rare[0]]
    values = np.where(group, "one group", np.where(held_out.labels == 2, "rest", "none of it"))
    column = Column("place", "words", values.tolist(), ["none of it", "one group", "rest"])
    found = {part.values["place"]: part for part in by_combination([column], held_out, (before, after), [2])}
    assert set(found) == {"one group", "rest"}
    assert found["one group"].gain is None
    assert found["rest"].gain is not None


def test_folds_and_several_generators() -> None:
    held_out, before, after, light, _ = material()
    folds = HeldOut(held_out.labels, held_out.groups, (np.arange(240) >= 120).astype(np.int64), CLASSES)
    assert by_combination([light], folds, (before, after), [2])[0].gain is not None
    replicates = by_combination([light], held_out, (before, np.stack([after, after])), [2])
    assert replicates[0].after == pytest.approx(by_combination([light], held_out, (before, after), [2])[0].after)
