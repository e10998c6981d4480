"""Groups never straddle splits, fractions hold, and one seed gives one split."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from synthaug.config import DataConfig
from synthaug.data.alike import near_duplicate_groups
from synthaug.data.duplicates import THUMBNAIL_BYTES, make_thumbnails, reduced
from synthaug.data.folder import ImageRecord, Scan, scan
from synthaug.data.layout import SplitName
from synthaug.data.split import Split, check_trainable, split
from synthaug.documents import Unreadable
from synthaug.errors import SynthaugError


def record(path: str, label: str, *, sha: str, group: str | None = None, side: SplitName | None = None) -> ImageRecord:
    return ImageRecord(path, label, side, 8, 8, "L", "PNG", sha, group, 99)


def scanned(images: list[ImageRecord], **more: object) -> Scan:
    """A scan without pixels: flat thumbnails are never near-duplicates, so that only hashes and groups join."""
    flat = np.zeros((len(images), THUMBNAIL_BYTES), np.uint8)
    return Scan(Path("/data"), "classes", images, [], [], thumbnails=flat, **more)  # type: ignore[arg-type]


def plain(**counts: int) -> Scan:
    return scanned([record(f"{c}/{k}.png", c, sha=f"{c}{k}") for c, n in counts.items() for k in range(n)])


@st.composite
def scans(draw: st.DrawFn) -> Scan:
    size = draw(st.integers(1, 120))
    labels = draw(st.lists(st.sampled_from("abcd"), min_size=size, max_size=size))
    pixels = draw(st.lists(st.integers(0, draw(st.integers(1, 300))), min_size=size, max_size=size))
    groups = draw(st.lists(st.none() | st.integers(0, 20), min_size=size, max_size=size))
    names: list[SplitName | None] = draw(
        st.sampled_from([[None], ["train", "test"], ["train", "val"], ["train", "val", "test"]])
    )
    sides = draw(st.lists(st.sampled_from(names), min_size=size, max_size=size))
    if names != [None]:
        sides[0] = "train"
    return scanned(
        [
            record(
                f"{k:03}.png",
                labels[k],
                sha=str(pixels[k]),
                group=None if groups[k] is None else f"g{groups[k]}",
                side=sides[k],
            )
            for k in range(size)
        ]
    )


@settings(max_examples=100, deadline=None)
@given(found=scans(), seed=st.integers(0, 99), least=st.integers(2, 60))
def test_properties_of_every_split(found: Scan, seed: int, least: int) -> None:
    config = DataConfig(min_images_for_val=least)
    result = split(found, config, seed)
    assert [row.path for row in result.rows] == [image.path for image in found.images], "every image is in it once"
    assert sum(n for side in result.counts().values() for n in side.values()) == len(found.images)
    given_sides = {image.split for image in found.images} - {None}
    sides: dict[str, set[str]] = defaultdict(set)
    for row, image in zip(result.rows, found.images, strict=True):
        sides[row.group].add(row.split)
        if image.split in ("val", "test"):
            assert row.split == image.split, "given splits are kept"
        elif image.split == "train":
            assert row.split not in given_sides - {"train"}, "nothing is added to a given val or test"
    if not given_sides:
        assert all(len(side) == 1 for side in sides.values()), "no group straddles"
        tied = defaultdict(set)
        for row, image in zip(result.rows, found.images, strict=True):
            tied[image.pixel_sha256].add(row.split)
            if image.group is not None:
                tied[f"group {image.group}"].add(row.split)
        assert all(len(side) == 1 for side in tied.values())
    carved = {row.path: row for row in result.rows if row.split in {"val", "test"} - given_sides}
    for row in carved.values():
        assert sides[row.group] == {row.split}, "what is carved from train leaves nothing of its group behind"
    assert split(found, config, seed).rows == result.rows, "one seed, one split"
    train = result.counts()["train"]
    before = Counter(image.label for image in found.images if image.split in (None, "train"))
    for label, count in train.items():
        assert count >= min(2, before[label]), "a class keeps two images to train on"


@settings(max_examples=60, deadline=None)
@given(counts=st.dictionaries(st.sampled_from("abcde"), st.integers(1, 400), min_size=1), seed=st.integers(0, 99))
def test_fractions_hold_where_nothing_is_tied(counts: dict[str, int], seed: int) -> None:
    config = DataConfig()
    result = split(plain(**counts), config, seed).counts()
    for label, count in counts.items():
        test = min(max(1, round(0.2 * count)), count - 2) if count > 2 else 0
        rest = count - test
        assert result["test"][label] == test
        assert result["val"][label] == (round(0.15 * rest) if rest >= 50 else 0)


def test_another_seed_gives_another_split() -> None:
    found = plain(a=60, b=60)
    assert split(found, DataConfig(), 0).rows != split(found, DataConfig(), 1).rows


def test_rare_classes_give_nothing_to_val() -> None:
    result = split(plain(rare=49 + 12, common=50 + 12), DataConfig(), 0)
    assert result.counts()["test"] == {"common": 12, "rare": 12}
    assert result.counts()["val"] == {"common": 8, "rare": 0}


def test_fractions_of_zero() -> None:
    result = split(plain(a=100, b=100), DataConfig(val_fraction=0, test_fraction=0), 0)
    assert result.counts()["train"] == {"a": 100, "b": 100}
    assert result.warnings == []  # no test image was asked for


@settings(deadline=None)
@given(found=scans(), seed=st.integers(0, 99), folds=st.integers(2, 5))
def test_every_image_is_tested_in_one_fold_and_no_group_is_divided(found: Scan, seed: int, folds: int) -> None:
    configs = [DataConfig(folds=folds, fold=k) for k in range(folds)]
    try:
        parts = [split(found, config, seed) for config in configs]
    except SynthaugError:
        assume(False)  # too few groups
    tested = Counter(row.path for part in parts for row in part.of("test"))
    assert tested == Counter(image.path for image in found.images)
    for part in parts:
        sides = defaultdict(set)
        for row in part.rows:
            sides[row.group].add(row.split)
        assert all(len(names) == 1 for names in sides.values())


def test_folds_are_stratified_and_take_no_notice_of_given_folders() -> None:
    found = plain(a=50, b=10)
    found.images[:] = [replace(image, split="train" if k % 2 else "test") for k, image in enumerate(found.images)]
    for k in range(5):
        counts = split(found, DataConfig(folds=5, fold=k, val_fraction=0), 3).counts()
        assert counts["test"] == {"a": 10, "b": 2}
        assert counts["train"] == {"a": 40, "b": 8}


def test_too_many_folds() -> None:
    with pytest.raises(SynthaugError, match="cannot be divided into 5 folds"):
        split(plain(a=2, b=2), DataConfig(folds=5), 0)


def test_given_folders_are_respected_and_what_is_missing_is_carved() -> None:
    images = [record(f"train/{k}", "a", sha=f"t{k}", side="train") for k in range(100)]
    images += [record(f"test/{k}", "a", sha=f"e{k}", side="test") for k in range(30)]
    result = split(scanned(images), DataConfig(), 0)
    assert {k: v["a"] for k, v in result.counts().items()} == {"train": 85, "val": 15, "test": 30}
    images = [record(f"x/{k}", "a", sha=f"t{k}", side="train" if k < 100 else "val") for k in range(130)]
    result = split(scanned(images), DataConfig(), 0)
    assert {k: v["a"] for k, v in result.counts().items()} == {"train": 80, "val": 30, "test": 20}
    with pytest.raises(SynthaugError, match="test but no train"):
        split(scanned([record("t/1", "a", sha="1", side="test")]), DataConfig(), 0)


def test_a_leak_across_given_folders_is_reported_and_stays_out_of_val() -> None:
    images = [record(f"train/{k}", "a", sha=f"t{k}", group=f"g{k}", side="train") for k in range(100)]
    images += [
        record("test/copy", "a", sha="t7", side="test"),
        record("test/kin", "a", sha="k", group="g9", side="test"),
    ]
    for seed in range(9):
        result = split(scanned(images), DataConfig(), seed)
        assert {row.split for row in result.rows if row.path in ("train/7", "train/9")} == {"train"}
        assert "1 test image has the same pixels as a training image, such as 'test/copy'" in result.warnings
        assert any("a group with" in line and "'test/kin'" in line for line in result.warnings)


def test_a_class_of_two_large_groups_still_gives_a_test_image() -> None:
    images = [record(f"a/{k}", "a", sha=f"a{k}", group=f"g{k % 2}") for k in range(20)]
    images += [record(f"b/{k}", "b", sha=f"b{k}") for k in range(50)]
    assert split(scanned(images), DataConfig(), 0).counts()["test"] == {"a": 10, "b": 10}
    one_group = [record(f"a/{k}", "a", sha=f"a{k}", group="g") for k in range(20)] + images[20:]
    result = split(scanned(one_group), DataConfig(), 0)
    assert result.counts()["test"] == {"a": 0, "b": 10}
    assert any("no test image for 'a'" in line for line in result.warnings)


def test_near_duplicates_of_real_files_stay_together(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for k in range(30):
        image = Image.fromarray(np.kron(rng.integers(0, 256, (8, 8), dtype=np.uint8), np.ones((4, 4), np.uint8)))
        for label in ("a", "b"):
            (tmp_path / label).mkdir(exist_ok=True)
        image.save(tmp_path / "a" / f"{k:02}.png")
        if k < 10:
            image.save(tmp_path / "a" / f"{k:02}-copy.jpg", quality=80)
        if k == 0:
            image.save(tmp_path / "b" / "conflict.png")
        Image.fromarray(rng.integers(0, 256, (32, 32), dtype=np.uint8)).save(tmp_path / "b" / f"{k:02}.png")
    found = scan(tmp_path, cache=tmp_path.parent / "cache")
    groups = [[found.images[k].path for k in group] for group in near_duplicate_groups(found)]
    assert groups == [
        ["a/00-copy.jpg", "a/00.png", "b/conflict.png"],
        *([f"a/{k:02}-copy.jpg", f"a/{k:02}.png"] for k in range(1, 10)),
    ]
    without = Scan(found.root, found.layout, found.images, [], [])
    assert near_duplicate_groups(without) == near_duplicate_groups(found), "thumbnails are made where they are missing"
    for seed in range(5):
        result = split(found, DataConfig(), seed)
        side = {row.path: row.split for row in result.rows}
        assert all(len({side[path] for path in group}) == 1 for group in groups)
        assert any("more than one class" in line for line in result.warnings)


def test_what_the_scan_left_out_is_said() -> None:
    found = plain(a=30, b=30)
    found.unreadable = [Unreadable(path="a/x.png", reason="it is empty"), Unreadable(path="a/y.png", reason="gone")]
    found.warnings = ["something about the data"]
    lines = ["left out 2 unreadable files, such as 'a/x.png': it is empty", "something about the data"]
    assert split(found, DataConfig(), 0).warnings == lines


def test_thumbnails_of_grey_and_colour_agree() -> None:
    grey = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8))
    assert np.abs(np.subtract(*make_thumbnails([reduced(grey), reduced(grey.convert("RGB"))]).astype(int))).max() <= 1


def test_written_and_read_again(tmp_path: Path) -> None:
    names = ["a b.png", 'quote".png', "comma,.png", "größe.png", "new\nline.png"]
    found = scanned([record(n, "kl, ä", sha=n[:3], group="g" if k == 1 else None) for k, n in enumerate(names)])
    result = split(found, DataConfig(), 0)
    result.write(tmp_path / "split.csv")
    assert Split.read(tmp_path / "split.csv").rows == result.rows
    assert (tmp_path / "split.csv").read_text(encoding="utf-8").splitlines()[0] == "path,pixel_sha256,label,group,split"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "path,label\n",
        "path,pixel_sha256,label,group,split\na,b,c,d,elsewhere\n",
        "path,pixel_sha256,label,group,split\na,b\n",
    ],
)
def test_files_that_are_no_split(tmp_path: Path, text: str) -> None:
    with pytest.raises(SynthaugError, match="cannot read"):
        Split.read(tmp_path / "none.csv")
    (tmp_path / "split.csv").write_text(text)
    with pytest.raises(SynthaugError, match=r"split\.csv"):
        Split.read(tmp_path / "split.csv")


def test_what_cannot_be_trained_on() -> None:
    def check(found: Scan) -> None:
        check_trainable(found, split(found, DataConfig(), 0))

    check(plain(a=2, b=2))
    with pytest.raises(SynthaugError, match="one class only: 'a'"):
        check(plain(a=20))
    with pytest.raises(SynthaugError, match="too few training images: 'b' has 1"):
        check(plain(a=20, b=1))
    hollow = plain(a=20, b=20)
    hollow.empty = {"c": "its folder is empty", "d": "none of its 3 image files can be read"}
    with pytest.raises(SynthaugError, match="2 of 4 classes have no readable image: 'c': its folder is empty; 'd'"):
        check(hollow)
    only_test = [record(f"{k}", "ab"[k % 2], sha=str(k), side="train") for k in range(8)]
    with pytest.raises(SynthaugError, match="'z' has 0"):
        check(scanned([*only_test, record("z", "z", sha="z", side="test")]))
