"""Conditions beside the class: how columns become numbers, what users may ask for, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from synthaug.data.attributes import MISSING
from synthaug.data.conditions import Conditions, encode, fitted, giveaways, read_conditions
from synthaug.data.split import Split, SplitRow
from synthaug.data.where import asked, pairs
from synthaug.documents import ConditionPlan
from synthaug.errors import SynthaugError
from synthaug.models.inputs import NoiseInputs
from synthaug.sampling.attributes import RunAttributes, balanced
from synthaug.training.condition_rules import ConditionRules

CLASSES = ["good", "crack"]


def rows(count: int) -> list[SplitRow]:
    """Every second image is a crack; the last tenth is held out."""
    return [
        SplitRow(f"{CLASSES[k % 2]}/{k}.png", str(k), CLASSES[k % 2], str(k), "train" if k < 0.9 * count else "test")
        for k in range(count)
    ]


def conditions(texts: Mapping[str, Sequence[str]]) -> Conditions:
    return fitted(list(texts), rows(len(next(iter(texts.values())))), texts, CLASSES)


@pytest.fixture
def cells() -> Conditions:
    """100 cells; cameras a and b, where cracks are seldom seen by b; ages 0 to 99; captions."""
    cameras = ["b" if k % 4 == 0 or k == 1 else MISSING if k == 2 else "a" for k in range(100)]
    ages = [str(k) for k in range(100)]
    captions = [f"a {CLASSES[k % 2]} cell at {'night' if k % 8 < 4 else 'day'}" for k in range(100)]
    return conditions({"camera": cameras, "age": ages, "caption": captions})


def test_each_kind_of_column_has_its_block(cells: Conditions) -> None:
    camera, age, caption = cells.columns
    assert (camera.kind, camera.values) == ("category", ("a", "b"))
    assert encode(camera, "b").tolist() == [0, 1]
    assert encode(camera, MISSING).tolist() == encode(camera, "c").tolist() == [0, 0]
    assert age.kind == "number"
    known = np.array([float(text) for text in cells.texts["age"][:90]])
    np.testing.assert_allclose(encode(age, "30"), [(30 - known.mean()) / known.std(), 1], rtol=1e-6)
    assert encode(age, MISSING).tolist() == [0, 0]
    assert caption.kind == "text"
    assert {"night", "at night", "crack cell"} <= {*caption.values}
    assert "a" not in caption.values  # all have it
    block = dict(zip(caption.values, encode(caption, "Night, of a crack").tolist(), strict=True))
    assert {word for word, value in block.items() if value} == {"night", "a crack", "crack"}
    assert sum(value**2 for value in block.values()) == pytest.approx(1)
    assert cells.vectors.shape == (90, cells.size)
    assert cells.blocks.sum(axis=0).tolist() == [2, 2, caption.size]


def test_conditions_are_kept_with_the_run(cells: Conditions, tmp_path: Path) -> None:
    cells.write(tmp_path / "conditions.csv")
    split = Split(list(cells.rows))
    again = read_conditions(tmp_path / "conditions.csv", cells.columns, split, CLASSES)
    assert again == cells
    for text, error in [("path,camera\n", "other|same images"), ("", "same images"), ("\0", "cannot read")]:
        (tmp_path / "conditions.csv").write_text(text)
        with pytest.raises(SynthaugError, match=error):
            read_conditions(tmp_path / "conditions.csv", cells.columns, split, CLASSES)


@pytest.mark.parametrize(
    ("values", "error"),
    [
        (["a"] * 40, "all training images have 'a'"),
        ([MISSING] * 40, "no training image has a value"),
        ([f"name{k}" for k in range(200)], "180 different words, more than 100"),
        ([*"123456789", "n/a"] * 4, "are not numbers, the first is 'n/a'"),
        (["a b c d", "x " * 2000 + "y"] * 20, "a text of 4,001 characters"),
        ([f"u{k} v{k} w{k}" for k in range(40)], "no word tells some images from others"),
    ],
)
def test_columns_that_are_refused(values: list[str], error: str) -> None:
    with pytest.raises(SynthaugError, match=error):
        conditions({"column": values})


def test_what_a_user_may_ask_for(cells: Conditions) -> None:
    assert asked(cells.columns, ["camera=b", "age=60"], None, "run") == {"camera": "b", "age": "60"}
    assert asked(cells.columns, [], "a crack at night", "run") == {"caption": "a crack at night"}
    assert asked((), [], None, "run") == {}


@pytest.mark.parametrize(
    ("where", "text", "error"),
    [
        (["camera=c"], None, "no training image has this value"),
        (["age=old"], None, "is not a number"),
        (["age=1,age=2"], None, "gives age twice"),
        (["site=x"], None, "no such condition"),
        (["class=crack"], None, "no such condition"),
        (["camera"], None, "is not like"),
        (["caption=a day"], "a night", "contradict"),
        ([], "zebra crossing", "has no word"),
        ([], "x" * 100_000, "100,000 characters"),
    ],
)
def test_what_a_user_may_not_ask_for(cells: Conditions, where: list[str], text: str | None, error: str) -> None:
    with pytest.raises(SynthaugError, match=error):
        asked(cells.columns, where, text, "run")


def test_a_run_without_conditions_takes_none() -> None:
    with pytest.raises(SynthaugError, match="--where: the run 'r' was trained without conditions"):
        asked((), ["a=b"], None, "r")
    with pytest.raises(SynthaugError, match="--text: the run 'r' was trained without conditions"):
        asked((), [], "x", "r")


def test_parts_without_an_equals_sign_belong_to_the_value_before() -> None:
    assert pairs(["site=Bern, Insel,age=3"]) == {"site": "Bern, Insel", "age": "3"}


def test_every_image_is_told_what_is_true_of_an_image_of_its_class(cells: Conditions) -> None:
    told = RunAttributes.of(cells)
    known = {label: {tuple(v) for v in cells.vectors[cells.labels == k]} for k, label in enumerate(CLASSES)}
    for index, label in enumerate(CLASSES):
        found = told.images.of(3, index, range(64))
        assert {tuple(row) for row in found.numpy()} <= known[label]
        assert torch.equal(found, told.images.of(3, index, range(64)))
        assert torch.equal(found[10:], told.images.of(3, index, range(10, 64)))
        assert not torch.equal(found, told.images.of(4, index, range(64)))
    inputs = NoiseInputs(3, 8, attributes=told.images).chunk(1, 0)
    assert inputs.condition.shape == (64, 1 + cells.size)
    assert torch.equal(inputs.condition[:, 0], torch.ones(64))


def test_what_is_asked_for_is_told_and_the_rest_comes_from_similar_images(cells: Conditions) -> None:
    told = RunAttributes.of(cells, ConditionPlan(where={"camera": "b", "age": "80"}))
    for row in told.told(0, "good", 64):
        assert (row["camera"], row["age"]) == ("b", "80")
    plain = RunAttributes.of(cells, ConditionPlan(where={"caption": "a good cell at night"}))
    assert all("night" in row["caption"] for row in plain.told(0, "good", 64))
    ages = [int(row["age"]) for row in plain.told(0, "good", 64)]
    assert {age % 8 < 4 for age in ages} == {True}  # they go with the nights


def test_one_image_with_the_same_category_or_text_is_enough() -> None:
    """Five nearest images of a class with three of camera b would be all images, for the others are equally far."""
    cameras = ["b" if k in (0, 20, 40) else "a" for k in range(100)]
    captions = ["a cell by night" if k in (4, 8) else "a cell by day" for k in range(100)]
    rare = conditions({"camera": cameras, "age": [str(k) for k in range(100)], "caption": captions})
    for where, rows in (
        ({"camera": "b"}, [0, 20, 40]),
        ({"caption": "a cell by night"}, [4, 8]),
        ({"caption": "a cell by night", "age": "99"}, [4, 8]),
        ({"camera": "b", "age": "99"}, [0, 20, 40]),
    ):
        assert rare.nearest("good", where).tolist() == rows
    assert rare.nearest("good", {"age": "20"}).tolist() == [16, 18, 20, 22, 24]
    assert rare.nearest("good", {"camera": "b", "caption": "a cell by night"}).size >= 5  # none has both


def test_what_no_training_image_is_like_is_extrapolated(cells: Conditions) -> None:
    assert cells.seen("good", {"camera": "b", "age": "50"})
    assert cells.seen("crack", {"camera": "b", "age": "1"})
    assert not cells.seen("crack", {"camera": "b", "age": "50"})
    assert not cells.seen("good", {"age": "200"})
    assert cells.seen("crack", {"caption": "crack at night"})
    assert cells.seen("crack", {"caption": "crack at midnight"})  # a word that the generator does not know is ignored
    assert not cells.seen("crack", {"caption": "a good cell at night"})
    assert not cells.seen("crack", {"camera": "b", "caption": "a crack cell at day"})  # the only one is of the night
    rows = RunAttributes.of(cells, ConditionPlan(where={"age": "200"})).rows(0, "good", 0)
    assert {row["extrapolated"] for row in rows} == {True}
    assert all("age=200" in row["conditions"] for row in rows)


def test_the_rarest_combinations_are_filled_up_in_their_shares(cells: Conditions) -> None:
    found = balanced(cells, ["camera"], {"good": 45, "crack": 45}, {"good": 0, "crack": 30}, "run")
    (a, b) = found["crack"]
    assert (a.values, a.real, a.wanted) == ({"camera": "a"}, 44, 0)
    assert (b.values, b.real, b.wanted) == ({"camera": "b"}, 1, 30)
    found = balanced(cells, ["camera"], {"good": 45, "crack": 0}, {"good": 45, "crack": 64}, "run")
    assert [(one.values["camera"], one.real, one.wanted) for one in found["good"]] == [
        ("a", 21, 9),
        ("b", 23, 7),
        (MISSING, 1, 29),
    ]
    told = RunAttributes.of(cells, ConditionPlan(combinations=found))
    made = [row["combination"] for row in told.rows(0, "crack", 0)]
    assert {*made} == {"camera=a", "camera=b"}
    assert made.count("camera=a") == pytest.approx(32, abs=1)
    with pytest.raises(SynthaugError, match="--balance site: the run 'run' has no such condition"):
        balanced(cells, ["site"], {}, {}, "run")
    with pytest.raises(SynthaugError, match="--balance age: the run 'plain' has no such condition"):
        balanced(None, ["age"], {}, {}, "plain")


def test_a_column_that_tells_the_class() -> None:
    place = ["roof" if k % 2 else "field" for k in range(60)]
    assert giveaways(conditions({"place": place, "age": [str(k) for k in range(60)]})) == ["place"]
    assert giveaways(conditions({"place": [*place[:40], *["field"] * 20]})) == []


def test_hidden_columns_and_wrong_descriptions() -> None:
    blocks = torch.tensor([[1.0, 0], [1, 0], [0, 1]])  # two columns, of two entries and of one
    told = torch.tensor([[0.0, 1, 0, 2], [0, 0, 1, 3], [0, 1, 0, 3], [0, 0, 0, 3]])  # the last has no first column
    every = ConditionRules(blocks, dropout=0.0)
    assert torch.equal(every.hidden(told[:, 1:], torch.Generator()), told[:, 1:])
    hidden = ConditionRules(blocks, dropout=0.5).hidden(told[:, 1:].repeat(500, 1), torch.Generator().manual_seed(0))
    kept = hidden.reshape(500, 4, 3)[:, :3] != 0
    assert 0.45 < kept[..., 2].float().mean() < 0.55
    assert torch.equal(kept[:, 0, 0], kept[:, 0, :2].any(1))
    wrong, differs = every.wrong(told, told)
    assert wrong.tolist() == [[0, 1, 0, 3], [0, 1, 0, 2], [0, 0, 1, 3], [0, 0, 0, 3]]
    assert differs.tolist() == [True, True, True, False]
    shown = told.clone()
    shown[0, 3] = 0  # the second column of the first image is hidden
    wrong, differs = every.wrong(told, shown)
    assert wrong[0].tolist() == [0, 1, 0, 0]
    assert differs.tolist() == [False, True, True, False]
