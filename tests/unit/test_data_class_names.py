"""Names of classes become folders: none may leave its parent, and none is impossible on another system."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from synthaug.data.class_names import check_class_names, normalise_label
from synthaug.data.folder import scan
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
        "nul.txt",
        "aux.png",
        "lpt¹",
        "Metadata.jsonl",
        *(f"a{character}b" for character in ':*?"<>|'),
        "a.",
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


@pytest.mark.parametrize("names", [("cat", "Cat"), ("Käfer", "KÄFER")])
def test_two_names_that_are_one_folder_elsewhere_are_refused_at_the_scan(
    names: tuple[str, str], tmp_path: Path
) -> None:
    for name in names:
        (tmp_path / name).mkdir()
        Image.new("L", (8, 8)).save(tmp_path / name / "0.png")
    with pytest.raises(SynthaugError, match="one folder on Windows and macOS"):
        scan(tmp_path)


@pytest.mark.parametrize("name", ["12:30", "why?", "a*", 'say "a"', "a|b", "<a>", "misc."])
def test_names_that_windows_forbids_are_refused_at_the_scan(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(SynthaugError, match="which no folder can have on Windows"):
        scan(tmp_path)


@pytest.mark.parametrize("name", ["CON", "nul.txt", "metadata.jsonl", "aux"])
def test_reserved_names_are_refused_at_the_scan(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(SynthaugError, match=f"{name}.* is a reserved file name") as caught:
        scan(tmp_path)
    assert caught.value.hint.startswith("rename the class")


def test_labels_are_composed() -> None:
    assert normalise_label(" Ka\u0308fer ", "a table") == "K\u00e4fer"
    with pytest.raises(SynthaugError, match="the class name 'a/b' in a table has a slash"):
        normalise_label("a/b", "a table")
