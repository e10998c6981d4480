"""What each arm draws, and that arms are paired draw by draw."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from synthaug.classifiers.base import Ability
from synthaug.classifiers.steps import draws
from synthaug.data.cache import LabelledImages
from synthaug.errors import SynthaugError
from synthaug.evaluation.arms import (
    ARMS,
    CONTRASTS,
    CONTROLS,
    DOWN_UP,
    LONGER,
    TARGETS_ONLY,
    TrainingSet,
    can_train,
    choose_arms,
    needed_controls,
    redraw,
    shared_by_seeds,
    training_set,
)

COUNTS = np.array([60, 6, 30])
GROUPS = np.arange(96)


def images(counts: np.ndarray, first: int = 0) -> LabelledImages:
    """Every image is known by its grey level, and images of all classes are mixed."""
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(3), counts))
    pixels = (first + np.arange(len(labels), dtype=np.uint8))[:, None, None, None] * np.ones((1, 1, 2, 2), np.uint8)
    return LabelledImages(pixels, labels, ["a", "rare", "c"], [str(i) for i in range(len(labels))])


REAL = images(COUNTS)
POOL = images(np.array([0, 40, 0]), first=100)


def assembled(name: str, share: float = 0.25, seed: int = 0) -> TrainingSet:
    return training_set(
        name, REAL, GROUPS, POOL, share=share, seed=seed, per_seed=20, combinations=(np.arange(96) % 3 == 0).astype(int)
    )


def mass(data: TrainingSet) -> np.ndarray:
    """Share of the draws of each class, and of synthetic images."""
    total = data.draw_weights.sum()
    by_class = [data.draw_weights[data.labels == k].sum() / total for k in range(3)]
    return np.array([*by_class, data.draw_weights[data.groups < 0].sum() / total])


@pytest.mark.parametrize("name", list(ARMS))
def test_shares_of_the_draws(name: str) -> None:
    natural = [*(COUNTS / COUNTS.sum()), 0]
    balanced = [1 / 3, 1 / 3, 1 / 3, 0.25 / 3 if ARMS[name].mixes else 0]
    expected = natural if ARMS[name].draws == "natural" else balanced
    assert mass(assembled(name)) == pytest.approx(expected)


def test_only_what_is_named_differs() -> None:
    for name, contrast in CONTRASTS.items():
        assert contrast.name == name
        assert ARMS[contrast.arm.name] is contrast.arm
        assert ARMS[contrast.control.name] is contrast.control
        told = {"name": contrast.arm.name, "about": contrast.arm.about, "synthetic": True}
        assert replace(contrast.control, **told) == contrast.arm


def test_an_imitation_differs_from_what_it_imitates_in_the_pool_only() -> None:
    for name, pair in DOWN_UP.items():
        own = {"name": name, "about": ARMS[name].about, "synthetic": False, "down_up": True}
        assert replace(pair.arm, **own) == ARMS[name]
        assert name not in CONTROLS
        assert mass(assembled(name)) == pytest.approx(mass(assembled(pair.arm.name)))


def test_class_weights_are_balanced_with_mean_one() -> None:
    data = assembled("class-weights")
    assert data.loss_weights is not None
    assert data.loss_weights == pytest.approx(96 / (3 * COUNTS))
    assert data.loss_weights[data.labels].mean() == pytest.approx(1)
    assert assembled("real").loss_weights is None


def test_synthetic_images_belong_to_no_group_and_no_one_else_moves() -> None:
    data = assembled("synthetic")
    levels = data.pixels[:, 0, 0, 0]
    assert set(levels[data.groups < 0]) <= set(range(100, 140))
    assert (data.groups < 0).sum() == 20
    assert sorted(levels[data.groups >= 0]) == sorted(REAL.pixels[:, 0, 0, 0])
    assert (data.labels[data.groups < 0] == 1).all()


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_paired_down_to_the_draw(share: float) -> None:
    """Where oversampling draws a real image, the synthetic arm draws the same one or a synthetic one in its place."""
    control, arm = assembled("oversample"), assembled("synthetic", share)
    order = draws(control.draw_weights, 200, 64, seed=5).ravel(), draws(arm.draw_weights, 200, 64, seed=5).ravel()
    real, mixed = control.pixels[order[0], 0, 0, 0], arm.pixels[order[1], 0, 0, 0]
    assert np.array_equal(control.labels[order[0]], arm.labels[order[1]])
    swapped = mixed >= 100
    assert swapped[control.labels[order[0]] == 1].mean() == pytest.approx(share, abs=0.01)
    assert (real[~swapped] == mixed[~swapped]).mean() > 0.9
    others = control.labels[order[0]] != 1
    assert np.array_equal(real[others], mixed[others])


def test_seeds_redraw_the_synthetic_images() -> None:
    first, second, third = (redraw(POOL, seed, 20) for seed in range(3))
    assert len(first) == len(set(first.tolist())) == 20
    assert set(first) | set(second) == set(range(40))  # none in common
    assert set(third) not in (set(first), set(second))
    assert np.array_equal(first, redraw(POOL, 0, 20))
    assert len(redraw(POOL, 0, 1000)) == 32  # four fifths
    assert shared_by_seeds(POOL, 20, 2) == []
    assert shared_by_seeds(POOL, 20, 3) == shared_by_seeds(POOL, 1000, 2) == ["rare"]


@pytest.mark.parametrize(("pool", "ratio"), [(100, 1.0), (25, 0.2)])
def test_the_seeds_vary_as_independent_draws_if_the_pool_is_large_enough(pool: int, ratio: float) -> None:
    """The variance of the means of five seeds of 20 images; seeds that share four fifths have a fifth of it."""
    rng = np.random.default_rng(0)
    images_of_a_seed = images(np.array([0, pool, 0]))
    drawn = [redraw(images_of_a_seed, seed, 20) for seed in range(5)]
    values = rng.normal(size=(2000, pool))
    found = np.mean([np.var([v[rows].mean() for rows in drawn], ddof=1) for v in values])
    assert found * 20 == pytest.approx(ratio, rel=0.15)


def test_arms_are_those_of_the_classifier() -> None:
    default = [name for name, kind in ARMS.items() if kind.default]
    names, notes = choose_arms(None, "cnn", resized=True, divided=True)
    assert names == [name for name in default if name != "smote"]
    assert notes == []
    assert choose_arms(None, "cnn", divided=True)[0] == [name for name in names if name not in DOWN_UP]
    every = [name for name in ARMS if name != "smote"]
    assert choose_arms(["all"], "cnn", resized=True, divided=True)[0] == [
        name for name in every if name != TARGETS_ONLY
    ]
    assert choose_arms(["all"], "cnn", resized=True, mix="all", divided=True)[0] == every
    asked = choose_arms(["default", "focal"], "cnn", resized=True, divided=True)[0]
    assert asked == [n for n in ARMS if n in names or n == "focal"]
    assert choose_arms(["synthetic", "oversample"], "cnn")[0] == ["oversample", "synthetic"]


def test_group_balanced_sampling_draws_each_combination_of_a_class_equally_often() -> None:
    data = assembled("group-balanced")
    of = np.array([(level % 3 == 0) for level in data.pixels[:, 0, 0, 0]])  # levels are the rows of REAL
    for label in range(3):
        shares = [data.draw_weights[(data.labels == label) & (of == value)].sum() for value in (False, True)]
        assert shares == pytest.approx([1 / 6, 1 / 6])
    assert "group-balanced" not in choose_arms(None, "cnn")[0]
    assert "group-balanced" in choose_arms(None, "cnn", divided=True)[0]
    assert "group-balanced" not in CONTROLS
    with pytest.raises(SynthaugError, match="no column is named"):
        choose_arms(["group-balanced", "oversample", "synthetic"], "cnn")


def test_the_arm_of_target_classes_alone_needs_a_mix_of_all() -> None:
    with pytest.raises(SynthaugError, match="would be synthetic") as caught:
        choose_arms([TARGETS_ONLY, "classical", "synthetic+classical"], "cnn")
    assert "--mix all" in caught.value.hint
    assert TARGETS_ONLY in choose_arms(["default", TARGETS_ONLY], "cnn", mix="all")[0]


def test_arms_that_a_classifier_cannot_train_are_left_out_with_a_note() -> None:
    names, notes = choose_arms(None, "logistic", resized=True, divided=True)
    assert {"smote", "logit-adjustment"} <= set(names)
    assert not {"cmo", "cutmix", LONGER} & set(names)
    assert len(notes) == 1
    assert all(name in notes[0] for name in ARMS if ARMS[name].default and name not in names)
    assert set(needed_controls("logistic")) < set(needed_controls("cnn"))
    assert set(needed_controls("logistic")) <= set(names)


def test_a_down_up_arm_brings_its_control_so_that_its_penalty_does_not_depend_on_the_other_arms() -> None:
    names, _ = choose_arms(["down-up", "synthetic+classical", "classical"], "logistic", resized=True)
    assert names.index("oversample") < names.index("down-up")


def test_an_arm_asks_a_classifier_for_what_it_says_it_supports() -> None:
    for kind in ARMS.values():
        assert kind.needs <= set(get_args(Ability))
        assert can_train("cnn", kind) or can_train("logistic", kind)


def test_smote_is_left_out_with_a_hint_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    names, notes = choose_arms(None, "logistic")
    assert "smote" not in names
    assert "synthaug[smote]" in notes[-1]
    with pytest.raises(SynthaugError) as caught:
        choose_arms(["smote", "synthetic", "oversample"], "logistic")
    assert "synthaug[smote]" in caught.value.hint


@pytest.mark.parametrize(
    ("asked", "classifier", "said"),
    [
        (["synthetics", "oversample"], "cnn", "no arm 'synthetics'"),
        (["synthetic"], "cnn", "leave nothing to compare"),
        (["synthetic", "classical"], "cnn", "leave nothing to compare"),
        (["smote", "synthetic", "oversample"], "cnn", "cannot train the arm 'smote'"),
        (["cutmix", "default"], "logistic", "cannot train the arm 'cutmix'"),
        ([LONGER, "default"], "logistic", "cannot train the arm 'longer'"),
        (["real", "all", "defualt"], "cnn", "no arm 'defualt'"),
        ([], "cnn", "no arm was given"),
        (["down-up", "synthetic", "oversample"], "cnn", "--size model classifiers see the generator's size"),
    ],
)
def test_arms_that_cannot_be_had(asked: list[str], classifier: str, said: str) -> None:
    with pytest.raises(SynthaugError, match=said):
        choose_arms(asked, classifier)
