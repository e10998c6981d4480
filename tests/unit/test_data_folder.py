"""What a scan finds in folders of every layout, what it leaves out, and what it refuses."""

from __future__ import annotations

import inspect
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from listener import Listener
from PIL import Image

from synthaug.data import reading
from synthaug.data.folder import Scan, scan
from synthaug.errors import SynthaugError

Tree = Callable[..., Path]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Write files by relative path: image names get an image, others their text; a trailing slash makes a folder."""

    def write(*paths: str, root: str = "data") -> Path:
        folder = tmp_path / root
        for number, path in enumerate(paths):
            file = folder / path
            if path.endswith("/"):
                file.mkdir(parents=True)
                continue
            file.parent.mkdir(parents=True, exist_ok=True)
            if file.suffix in (".png", ".jpg", ".bmp"):
                pixels = np.random.default_rng([number, len(path)]).integers(0, 256, (12, 10, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(file)
            else:
                file.write_text("text", encoding="utf-8")
        return folder

    return write


@pytest.fixture
def look(tmp_path: Path) -> Callable[..., Scan]:
    def run(root: Path, **options: object) -> Scan:
        return scan(root, cache=tmp_path / "cache", **options)  # type: ignore[arg-type]

    return run


Look = Callable[..., Scan]


def listing(root: Path) -> list[tuple[str, int, int]]:
    return sorted((str(p), p.lstat().st_mtime_ns, p.lstat().st_size) for p in root.rglob("*"))


def test_class_folders(tree: Tree, look: Look) -> None:
    root = tree(
        "cat/1.png", "cat/2.jpg", "dog/1.bmp", "dog/deep/er/2.png", "dog/deep/note.txt", "stray.png", "README.md"
    )
    before = listing(root)
    found = look(root)
    assert found.layout == "classes"
    assert found.counts == {"cat": 2, "dog": 2}
    assert found.classes == ["cat", "dog"]
    assert [i.path for i in found.images] == ["cat/1.png", "cat/2.jpg", "dog/1.bmp", "dog/deep/er/2.png"]
    assert found.ignored == ["README.md", "dog/deep/note.txt", "stray.png"]
    assert {i.split for i in found.images} == {None}
    assert (found.images[0].width, found.images[0].height, found.images[0].mode) == (10, 12, "RGB")
    assert [i.format for i in found.images] == ["PNG", "JPEG", "BMP", "PNG"]
    assert found.channels == 3
    assert found.thumbnails is not None
    assert len(found.thumbnails) == 4
    assert listing(root) == before, "nothing is written into the data folder"


def test_split_folders(tree: Tree, look: Look) -> None:
    root = tree("Train/cat/1.png", "Train/dog/a/1.png", "validation/cat/1.png", "test/dog/1.png", "test/loose.png")
    found = look(root)
    assert found.layout == "splits"
    assert [(i.label, i.split) for i in found.images] == [
        ("cat", "train"),
        ("dog", "train"),
        ("dog", "test"),
        ("cat", "val"),
    ]
    assert found.ignored == ["test/loose.png"]


def test_a_class_may_be_called_train(tree: Tree, look: Look) -> None:
    assert look(tree("train/1.png", "car/1.png", "bus/1.png")).counts == {"bus": 1, "car": 1, "train": 1}
    assert look(tree("train/steam/1.png", "car/1.png", root="two")).counts == {"car": 1, "train": 1}


def test_train_alone_is_a_split(tree: Tree, look: Look) -> None:
    found = look(tree("train/cat/1.png", "train/dog/1.png", "docs/readme.txt"))
    assert (found.layout, found.counts, found.ignored) == ("splits", {"cat": 1, "dog": 1}, ["docs/"])


def test_names_with_spaces_and_letters_of_any_script(tree: Tree, look: Look) -> None:
    found = look(tree("größe 1/ein bild.png", "猫/ねこ.png", "e\u0301te/1.png", "été/1.png"))
    assert found.classes == ["größe 1", "éte", "été", "猫"]
    found = look(tree("train/e\u0301/1.png", "test/\u00e9/1.png", root="forms"))
    assert found.counts == {"\u00e9": 2}, "composed and decomposed letters are one class"


def test_hidden_and_system_files_are_ignored_and_listed(tree: Tree, look: Look) -> None:
    found = look(
        tree("a/1.png", "b/1.png", ".git/x.png", "a/.DS_Store", "a/._1.png", "__MACOSX/a/1.png", "b/Thumbs.db")
    )
    assert found.counts == {"a": 1, "b": 1}
    assert found.ignored == [".git/", "__MACOSX/", "a/.DS_Store", "a/._1.png", "b/Thumbs.db"]
    assert found.unreadable == []


def test_unreadable_files_are_quarantined_with_a_reason(tree: Tree, look: Look) -> None:
    root = tree("a/1.png", "b/1.png", "b/2.png")
    (root / "a/text.png").write_text("not an image")
    (root / "a/empty.jpg").touch()
    (root / "b/2.png").write_bytes((root / "b/2.png").read_bytes()[:200])
    found = look(root)
    assert {u.path for u in found.unreadable} == {"a/empty.jpg", "a/text.png", "b/2.png"}
    assert found.counts == {"a": 1, "b": 1}
    with pytest.raises(SynthaugError, match=r"3 unreadable files.*a/empty.jpg"):
        look(root, strict=True)


def test_a_jpeg_named_png_is_read(tree: Tree, look: Look) -> None:
    root = tree("a/1.png", "b/1.jpg")
    (root / "b/1.jpg").rename(root / "b/1.png")
    assert [i.format for i in look(root).images] == ["PNG", "JPEG"]


def test_links_out_of_the_tree_are_refused(tree: Tree, look: Look, tmp_path: Path) -> None:
    root = tree("a/1.png", "b/1.png")
    outside = tree("secret/1.png", root="elsewhere")
    (root / "a/out.png").symlink_to(outside / "secret/1.png")
    (root / "a/in.png").symlink_to("1.png")
    (root / "a/gone.png").symlink_to("nowhere.png")
    (root / "linked").symlink_to(outside / "secret")
    (root / "b/loop").symlink_to(root)
    found = look(root)
    assert {u.path: u.reason for u in found.unreadable} == {
        "a/out.png": "symbolic link out of the folder",
        "a/gone.png": "broken symbolic link",
        "b/loop": "symbolic link to a folder",
        "linked": "symbolic link out of the folder",
    }
    assert [i.path for i in found.images] == ["a/1.png", "a/in.png", "b/1.png"]
    (tmp_path / "link").symlink_to(root)
    assert len(look(tmp_path / "link").images) == 3, "the folder itself may be a link"


def test_classes_without_a_readable_image_are_named(tree: Tree, look: Look) -> None:
    root = tree("a/1.png", "b/1.png", "hollow/", "broken/", "notes/readme.txt")
    (root / "broken/1.png").write_text("x")
    found = look(root)
    assert found.empty == {"hollow": "its folder is empty", "broken": "its only image file cannot be read"}
    assert found.classes == ["a", "b"]
    assert found.ignored == ["notes/"]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        (("only.png", "loose.png"), "2 images but no class folders"),
        (("a/readme.txt", "b.csv"), r"no image files \(found: 1 .csv, 1 .txt\)"),
        (("train/1.png", "test/1.png"), "no class folders"),
        (("a/", "b/"), "no labelled image"),
        (("train/a/1.png", "training/a/1.png", "test/a/1.png"), "'train', 'training' of .* mean the same split"),
    ],
)
def test_folders_that_cannot_be_used(tree: Tree, look: Look, paths: tuple[str, ...], message: str) -> None:
    root = tree(*paths)
    with pytest.raises(SynthaugError, match=message) as caught:
        look(root)
    assert str(root) in caught.value.message
    assert caught.value.hint


def test_missing_folder_file_and_unreadable_files_only(tree: Tree, look: Look, tmp_path: Path) -> None:
    with pytest.raises(SynthaugError, match="there is no folder"):
        look(tmp_path / "nowhere")
    root = tree("a/1.png")
    with pytest.raises(SynthaugError, match="is a file"):
        look(root / "a/1.png")
    (root / "a/1.png").write_text("x")
    with pytest.raises(SynthaugError, match=r"none of the 1 files.*text file"):
        look(root)
    (tmp_path / "bare").mkdir()
    with pytest.raises(SynthaugError, match="holds no image files"):
        look(tmp_path / "bare")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_folders_without_permission(tree: Tree, look: Look) -> None:
    root = tree("a/1.png", "b/1.png")
    (root / "b").chmod(0)
    assert [u.path for u in look(root).unreadable] == ["b"]
    root.chmod(0)
    with pytest.raises(SynthaugError, match="cannot read the folder"):
        look(root)


def test_groups_from_paths(tree: Tree, look: Look) -> None:
    root = tree("a/p1_x.png", "a/p2_x.png", "b/p1_y.png", "b/other.png")
    assert [i.group for i in look(root, group_by=r"(p\d+)_").images] == ["p1", "p2", None, "p1"]
    for expression, message in (("(", "not a regular expression"), ("p", "has no group"), ("(zzz)", "matches no path")):
        with pytest.raises(SynthaugError, match=message):
            look(root, group_by=expression)


def write_table(root: Path, name: str, rows: list[dict[str, object]]) -> None:
    text = "\n".join(json.dumps(row) for row in rows)
    if name.endswith(".csv"):
        text = "\n".join([",".join(rows[0]), *(",".join(str(v) for v in row.values()) for row in rows)])
    (root / name).write_text(text, encoding="utf-8")


@pytest.mark.parametrize("name", ["metadata.jsonl", "metadata.csv"])
@pytest.mark.parametrize("column", ["label", "class"])
def test_metadata_tables(tree: Tree, look: Look, name: str, column: str) -> None:
    root = tree("1.png", "sub/2.png", "3.png", "extra.png")
    files = (("1.png", "cat"), ("sub/2.png", "dog"), ("3.png", "cat"))
    write_table(root, name, [{"file_name": file, column: label, "age": 3} for file, label in files])
    found = look(root)
    assert (found.layout, found.counts, found.ignored) == ("metadata", {"cat": 2, "dog": 1}, ["extra.png"])


def test_metadata_tables_in_split_folders_and_labels_that_are_numbers(tree: Tree, look: Look) -> None:
    root = tree("train/x/1.png", "train/x/2.png", "test/1.png")
    write_table(root / "train", "metadata.jsonl", [{"file_name": f"x/{n}.png", "label": n} for n in (1, 2)])
    write_table(root / "test", "metadata.csv", [{"file_name": "1.png", "label": 1}])
    found = look(root)
    assert [(i.path, i.label, i.split) for i in found.images] == [
        ("test/1.png", "1", "test"),
        ("train/x/1.png", "1", "train"),
        ("train/x/2.png", "2", "train"),
    ]


def test_metadata_marks_synthetic_images(tree: Tree, look: Look) -> None:
    root = tree("train/a/1.png", "train/a/s.png", "train/b/1.png")
    rows = [("a/1.png", "a", False), ("a/s.png", "a", True), ("b/1.png", "b", False)]
    write_table(root / "train", "metadata.jsonl", [{"file_name": f, "label": x, "synthetic": s} for f, x, s in rows])
    found = look(root)
    assert [i.synthetic for i in found.images] == [False, True, False]
    assert "marks 1 of 3 images as synthetic" in found.warnings[0]


def test_metadata_rows_without_a_file_a_label_or_a_place(tree: Tree, look: Look) -> None:
    root = tree("1.png", "2.png", "3.png", "note.txt")
    rows: list[dict[str, object]] = [
        {"file_name": "1.png", "label": "a"},
        {"file_name": "1.png", "label": "a"},
        {"file_name": "2.png", "label": "b"},
        {"file_name": "3.png", "label": None},
        {"file_name": "gone.png", "label": "c"},
        {"file_name": "../outside.png", "label": "a"},
        {"file_name": "/etc/passwd", "label": "a"},
        {"file_name": "note.txt", "label": "a"},
    ]
    write_table(root, "metadata.jsonl", rows)
    found = look(root)
    assert found.counts == {"a": 1, "b": 1}
    assert {u.path for u in found.unreadable} == {"gone.png", "../outside.png", "/etc/passwd", "note.txt"}
    assert found.empty == {"c": "its files are missing"}
    assert any("no usable label" in line for line in found.ignored)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"file_name": "1.png", "label": "../x"}', r"class name '../x'.*line 1"),
        ('{"file_name": "1.png", "label": ".hidden"}', "class name '.hidden'"),
        ('{"file_name": "1.png", "label": "a\\u0000b"}', "which is no text"),
        ('{"file_name": "1.png", "label": "' + "x" * 300 + '"}', "longer than 200 bytes"),
        ('{"file_name": "1.png", "label": "a"}\n{oops', "line 2 is not valid JSON"),
        ("[1, 2]", "not a JSON object"),
        ('{"file_name": "1.png", "label": "a"}\n{"label": "a"}', "line 2 has no file_name"),
        ('{"label": "a"}', "names no image of it by file_name and label"),
        ('{"file_name": "../data/1.png", "label": "a"}', "names no image of it by file_name and label"),
        ('{"file_name": "1.png", "label": "a"}\n{"file_name": "1.png", "label": "b"}', "as 'b', an earlier row as 'a'"),
        ('{"file_name": "1.png", "text": "a"}', "no class folders; metadata.jsonl names no image of it"),
    ],
)
def test_bad_tables_are_errors(tree: Tree, look: Look, text: str, message: str) -> None:
    root = tree("1.png", "2.png")
    (root / "metadata.jsonl").write_text(text)
    with pytest.raises(SynthaugError, match=message):
        look(root)


def test_a_table_without_labels_leaves_class_folders_alone(tree: Tree, look: Look) -> None:
    root = tree("a/1.png", "b/1.png")
    write_table(root, "metadata.csv", [{"file_name": "a/1.png", "text": "a cat"}])
    found = look(root)
    assert (found.layout, found.counts) == ("classes", {"a": 1, "b": 1})
    assert found.ignored == [], "its other columns are used"
    write_table(root, "metadata.csv", [{"picture": "a/1.png", "text": "a cat"}])
    assert look(root).ignored == ["metadata.csv (no columns file_name and label)"]


def test_file_names_that_are_not_utf8(tree: Tree, look: Look) -> None:
    root = tree("a/1.png", "b/1.png")
    os.rename(root / "a/1.png", os.fsencode(root) + b"/a/\xff.png")  # noqa: PTH104
    tree("a/2.png")
    found = look(root)
    assert [u.reason for u in found.unreadable] == ["the file name is not valid UTF-8"]
    json.dumps([u.model_dump() for u in found.unreadable]).encode()


def test_a_second_scan_opens_no_file_again(tree: Tree, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree("a/1.png", "a/2.png", "b/1.png")
    (root / "b/bad.png").write_text("x")
    first = look(root)
    opened: list[str] = []
    decode = reading.decode
    monkeypatch.setattr(reading, "decode", lambda path: (opened.append(path.name), decode(path))[1])
    again = look(root)
    assert opened == ["bad.png"], "only what could not be read is tried again"
    assert again.images == first.images
    assert again.fingerprint == first.fingerprint
    assert np.array_equal(again.thumbnails, first.thumbnails)  # type: ignore[arg-type]
    Image.new("L", (5, 5)).save(root / "a/2.png")
    opened.clear()
    changed = look(root)
    assert sorted(opened) == ["2.png", "bad.png"]
    assert changed.fingerprint != first.fingerprint
    assert changed.images[1].width == 5


def test_an_interrupted_scan_is_continued(tree: Tree, look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(*(f"{label}/{k:02}.png" for label in "ab" for k in range(40)))
    decode = reading.decode
    opened: list[str] = []

    def until_the_user_stops_it(path: Path) -> object:
        opened.append(path.name)
        if len(opened) == 70:
            raise KeyboardInterrupt
        return decode(path)

    monkeypatch.setattr("synthaug.data.parallel.workers", lambda: 1)
    monkeypatch.setattr(reading, "decode", until_the_user_stops_it)
    with pytest.raises(KeyboardInterrupt):
        look(root)
    opened.clear()
    monkeypatch.setattr(reading, "decode", lambda path: (opened.append(path.name), decode(path))[1])
    assert len(look(root).images) == 80
    assert 10 <= len(opened) <= 40


def test_folders_nested_deeper_than_the_stack(tree: Tree, look: Look) -> None:
    root = tree("a/1.png", "b/1.png", "a/" + "d/" * 300 + "deep.png")
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(
        len(inspect.stack()) + 200
    )  # folders deeper than the real limit would break pytest's cleaning
    try:
        assert len(look(root).images) == 3
    finally:
        sys.setrecursionlimit(before)


@pytest.mark.parametrize("damage", ["", "{", '{"version": 0}', '{"version": [1, 1], "files": {"a/1.png": [1]}}', "[]"])
def test_a_broken_memory_is_forgotten(tree: Tree, look: Look, tmp_path: Path, damage: str) -> None:
    root = tree("a/1.png", "b/1.png")
    first = look(root)
    (memory,) = (tmp_path / "cache").rglob("*.scan")
    memory.write_text(damage)
    assert look(root).images == first.images


def test_the_cache_may_not_lie_in_the_data(tree: Tree) -> None:
    root = tree("a/1.png", "b/1.png")
    with pytest.raises(SynthaugError, match="inside the data folder"):
        scan(root, cache=root / "cache")
    assert not (root / "cache").exists()


def test_an_unwritable_cache_only_warns(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("a file where the cache should be")
    warned = Listener()
    assert len(scan(tree("a/1.png", "b/1.png"), cache=tmp_path / "blocked", progress=warned).images) == 2
    assert "cannot store the scan" in warned.warnings[0]


def test_dark_16_bit_images_are_pointed_out(tree: Tree, look: Look) -> None:
    root = tree("a/", "b/1.png")
    Image.fromarray(np.arange(4096, dtype=np.uint16).reshape(64, 64)).save(root / "a/1.png")
    assert "nearly black" in look(root).warnings[0]


def test_grey_pictures_stored_as_colour_need_one_channel(tree: Tree, look: Look) -> None:
    root = tree("a/", "b/")
    for path in ("a/1.png", "b/1.jpg"):
        Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).convert("RGB").save(root / path)
    found = look(root)
    assert ({i.mode for i in found.images}, found.channels) == ({"RGB"}, 1)
