"""Names of classes become folders: none may leave its parent, and none is impossible on another system."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthaug.data.class_names import check_class_names, normalise_label
from synthaug.errors import SynthaugError


@pytest.mark.parametrize("label", ["shirt", "T shirt", "Grüner Käfer", "猫", "a.b", "0", "-x", "%2e%2e", "con-crete"])
def test_ordinary_class_names_pass_unchanged(label: str) -> None:
    check_class_names([label])
    assert normalise_label(label, "a table") == label


@pytest.mark.parametrize(
    "label",
    [
        "",
        " ",
        ".",
        "..",
        "../x",
        "a/b",
        "/etc",
        "a\\b",
        ".git",
        "a\0b",
        "a\nb",
        "x" * 201,
        "CON",
        "aux.png",
        "metadata.jsonl",
    ],
)
def test_names_that_could_escape_are_refused(label: str) -> None:
    with pytest.raises(SynthaugError, match="class name"):
        check_class_names(["fine", label])


@given(st.text(max_size=40))
def test_a_name_that_passes_stays_in_its_folder(label: str) -> None:
    try:
        check_class_names(["fine", label])
    except SynthaugError:
        return
    root = Path("/out/train")
    assert (root / label).parent == root
    assert Path(root / label).name == label


def test_labels_are_composed_and_may_be_reserved() -> None:
    assert normalise_label(" Ka\u0308fer ", "a table") == "K\u00e4fer"
    assert normalise_label("aux", "a table") == "aux"
    with pytest.raises(SynthaugError, match="the class name 'a/b' in a table has a slash"):
        normalise_label("a/b", "a table")
