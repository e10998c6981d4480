"""Totals are exact, counts add up, and the vocabulary is imbalanced-learn's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from imblearn.over_sampling import RandomOverSampler

from synthaug.data.plan import Strategy, check_targets, plan, rare_classes
from synthaug.errors import SynthaugError

COUNTS = st.dictionaries(st.text(min_size=1, max_size=8), st.integers(1, 10_000), min_size=1, max_size=12)


@given(
    counts=COUNTS,
    total=st.none() | st.integers(1, 10_000),
    strategy=st.sampled_from(get_args(Strategy)),
    mode=st.sampled_from(["plain", "cap", "synthetic only"]),
)
def test_counts_add_up(counts: dict[str, int], total: int | None, strategy: Strategy, mode: str) -> None:
    result = plan(
        counts, per_class=total, strategy=strategy, cap=mode == "cap", synthetic_only=mode == "synthetic only"
    )
    wanted = max(counts.values()) if total is None else total
    assert list(result) == list(counts)
    for label, row in result.items():
        assert row.have == counts[label]
        assert row.keep + row.generate == row.want
        assert 0 <= row.keep <= row.have
        assert row.generate >= 0
        if mode == "synthetic only":
            assert row.keep == 0
            assert row.generate in (0, wanted)
        elif row.generate:
            assert (row.keep, row.want) == (row.have, wanted), "real images come first, and totals are exact"
        elif mode == "plain":
            assert row.keep == row.have, "nothing is dropped without --cap"
        if strategy == "all" and mode == "cap":
            assert row.want == wanted


@given(counts=COUNTS, data=st.data())
def test_totals_of_single_classes(counts: dict[str, int], data: st.DataObject) -> None:
    totals = data.draw(st.dictionaries(st.sampled_from(sorted(counts)), st.integers(1, 10_000)))
    for label, row in plan(counts, per_class=totals).items():
        assert row.want == max(row.have, totals.get(label, 0))
        assert row.generate == max(0, totals.get(label, 0) - row.have)


@pytest.mark.parametrize("strategy", ["not majority", "not minority", "all", "auto", "minority"])
def test_strategies_agree_with_imbalanced_learn(strategy: Strategy) -> None:
    counts = {"a": 50, "b": 20, "c": 7}
    labels = np.repeat(list(counts), list(counts.values()))
    _, drawn = RandomOverSampler(sampling_strategy=strategy, random_state=0).fit_resample(np.zeros((77, 1)), labels)
    theirs = dict(zip(*np.unique(drawn, return_counts=True), strict=True))
    assert {label: row.want for label, row in plan(counts, per_class=None, strategy=strategy).items()} == theirs


def test_bad_plans_are_errors() -> None:
    with pytest.raises(SynthaugError, match="no class 'z'") as caught:
        plan({"a": 5, "b": 3}, per_class={"z": 9})
    assert "a, b" in caught.value.hint
    with pytest.raises(SynthaugError, match="no class to plan for"):
        plan({}, per_class=3)


@pytest.mark.parametrize(
    ("counts", "rare"),
    [
        ({"a": 300, "b": 300, "c": 25}, ["c"]),
        ({"a": 25, "b": 30, "c": 25, "d": 600}, ["a", "c", "b"]),
        ({"a": 12, "b": 170, "c": 180}, ["a"]),
        ({"a": 100, "b": 90}, ["b"]),
        ({"only": 4}, ["only"]),
        ({}, []),
    ],
)
def test_rare_classes(counts: Mapping[str, int], rare: list[str]) -> None:
    assert rare_classes(counts) == rare


def test_targets() -> None:
    counts = {"Shirt": 25, "Coat": 300, "Bag": 300}
    assert check_targets("auto", counts) == ["Shirt"]
    assert check_targets(["auto"], counts) == ["Shirt"]
    assert check_targets(["Coat", "Shirt", "Coat"], counts) == ["Coat", "Shirt"]
    assert check_targets("auto", {"auto": 300, "bus": 9}) == ["auto"], "a class of that name comes first"
    for wrong in ("shrit", ["Coat", "Shrit"]):
        with pytest.raises(SynthaugError, match=r"(?i)no class 'shrit'") as caught:
            check_targets(wrong, counts)
        assert 'did you mean "Shirt"' in caught.value.hint
    with pytest.raises(SynthaugError, match="no target class"):
        check_targets([], counts)
