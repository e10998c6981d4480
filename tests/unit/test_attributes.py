"""Columns of metadata tables: what they are read as, which combinations are rare, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from synthaug.data.attributes import MISSING, Column, chosen_columns, rare_combinations, read_columns
from synthaug.errors import SynthaugError

PATHS = ["a/1.png", "a/2.png", "b/3.png"]


def table(folder: Path, *lines: str, name: str = "metadata.csv") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_words_numbers_and_missing_values(tmp_path: Path) -> None:
    root = table(tmp_path, "file_name,label,camera,age", "a/1.png,x,north,3", "a/2.png,x,,4", "gone.png,x,east,5")
    found = read_columns(root, PATHS)
    assert list(found) == ["camera", "age"]
    assert found["camera"] == Column("camera", "words", ["north", MISSING, MISSING], ["north", MISSING])
    assert found["age"] == Column("age", "numbers", ["3", "4", MISSING], ["3", "4", MISSING])


def test_many_numbers_become_three_ranges_of_about_the_same_size(tmp_path: Path) -> None:
    paths = [f"a/{k}.png" for k in range(30)]
    root = table(tmp_path, "file_name,age", *(f"{path},{k}" for k, path in enumerate(paths)))
    age = read_columns(root, paths)["age"]
    assert age.ordered == ["up to 9", "9 to 19", "above 19"]
    assert [age.values.count(value) for value in age.ordered] == [10, 10, 10]
    assert [age.values[k] for k in (9, 10, 19, 20)] == ["up to 9", "9 to 19", "9 to 19", "above 19"]


def test_numbers_of_which_most_are_equal_have_two_ranges(tmp_path: Path) -> None:
    paths = [f"a/{k}.png" for k in range(30)]
    root = table(tmp_path, "file_name,age", *(f"{path},{max(0, k - 22)}" for k, path in enumerate(paths)))
    age = read_columns(root, paths)["age"]
    assert age.ordered == ["up to 0", "above 0"]
    assert age.values.count("up to 0") == 23


def test_tables_of_split_folders_and_json(tmp_path: Path) -> None:
    table(tmp_path / "train", '{"file_name": "a/1.png", "night": true, "box": [1, 2]}', name="metadata.jsonl")
    table(tmp_path / "test", "file_name,night", "a/2.png,false")
    found = read_columns(tmp_path, ["test/a/2.png", "train/a/1.png"])
    assert {name: column.values for name, column in found.items()} == {"night": ["false", "true"]}


def test_a_table_that_is_a_link_out_of_the_folder_is_not_read(tmp_path: Path) -> None:
    outside = table(tmp_path / "outside", "file_name,secret", "a/1.png,x")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/metadata.csv").symlink_to(outside / "metadata.csv")
    assert read_columns(tmp_path / "data", PATHS) == {}


def test_what_is_rare() -> None:
    labels = ["crack"] * 40 + ["good"] * 60
    camera = Column("camera", "words", ["north"] * 38 + ["south"] * 2 + ["north", "south"] * 30, ["north", "south"])
    (rare,) = rare_combinations([camera], labels)
    assert (rare.label, rare.column, rare.value, rare.images) == ("crack", "camera", "south", 2)
    assert rare.expected == pytest.approx(40 * 32 / 100)
    fair = Column("camera", "words", ["north", "south"] * 50, ["north", "south"])
    assert rare_combinations([fair], labels) == []


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("cameras", "there is no such column"),
        ("maker", "the column has 1 value, but 2 to 20 are needed"),
        ("note", "the column has 30 values, but 2 to 20 are needed"),
        ("empty", "the column has 0 values, but 2 to 20 are needed"),
    ],
)
def test_columns_that_are_refused(name: str, error: str, tmp_path: Path) -> None:
    paths = [f"a/{k}.png" for k in range(30)]
    rows = (f"{path},{'ns'[k % 2]},one,text {k}," for k, path in enumerate(paths))
    root = table(tmp_path, "file_name,camera,maker,note,empty", *rows)
    assert [column.name for column in chosen_columns(root, paths, ["camera"], "--by")] == ["camera"]
    with pytest.raises(SynthaugError, match=error) as raised:
        chosen_columns(root, paths, [name], "--by")
    assert "camera" in str(raised.value.hint)


def test_no_table(tmp_path: Path) -> None:
    with pytest.raises(SynthaugError, match="no table with columns"):
        chosen_columns(tmp_path, PATHS, ["camera"], "--by")
