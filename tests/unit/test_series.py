"""Series are proposed where names and images agree, and not because of names alone."""

from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from synthaug.data.duplicates import make_thumbnails, reduced
from synthaug.data.series import Series, find_series

LABELS = ("a", "b")


def pictures(series: int, each: int, seed: int = 0) -> NDArray[np.uint8]:
    """Thumbnails of `each` frames of each series, in order: one scene with a little noise."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(series):
        scene = Image.fromarray(rng.integers(0, 256, (5, 5), dtype=np.uint8)).resize((32, 32), Image.Resampling.BICUBIC)
        for _ in range(each):
            noisy = np.asarray(scene) + rng.normal(0, 40, (32, 32))
            made.append(Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)))
    return make_thumbnails(reduced(image) for image in made)


def named(form: str, series: int = 30, each: int = 5) -> tuple[list[str], list[str]]:
    """Paths and labels; the first half of the series is of the first class."""
    labels = [LABELS[2 * s // series] for s in range(series) for _ in range(each)]
    numbers = [(s, f, s % (series // 2), s * each + f) for s in range(series) for f in range(each)]
    paths = [
        form.format(label=label, s=s, f=f, own=own, k=k) for label, (s, f, own, k) in zip(labels, numbers, strict=True)
    ]
    return paths, labels


@pytest.mark.parametrize(
    "form",
    [
        "{label}/{s:05}_{f:05}.png",
        "{label}/patient{s}-slice{f:02}.png",
        "train/{label}/{own:05}_{f:05}.ppm",
        "{label}/cam1.video{s}.frame{f}.jpg",
        "{label}/scene{s}/{f:03}.png",
    ],
)
def test_series_in_names_are_found(form: str) -> None:
    paths, labels = named(form)
    found = find_series(paths, labels, pictures(30, 5))
    assert found is not None
    assert found.groups == 30
    names = [re.search(found.expression, path).group(1) for path in paths]  # type: ignore[union-attr]
    assert all(len(set(names[k : k + 5])) == 1 for k in range(0, 150, 5))
    assert len(set(names)) == 30
    assert "30 series" in found.evidence


def test_a_patient_is_a_larger_series_than_a_visit() -> None:
    labels = [LABELS[p // 20] for p in range(40) for _ in range(8)]
    paths = [f"{LABELS[p // 20]}/p{p}_v{v}_{f}.png" for p in range(40) for v in range(2) for f in range(4)]
    found = find_series(paths, labels, pictures(40, 8))
    assert found is not None
    assert found.groups == 40


@pytest.mark.parametrize("form", ["{label}/{s:05}_{f:05}.png", "{label}/{label}{k}.jpg"])
def test_names_alone_prove_nothing(form: str) -> None:
    """The names of series, on pictures that have nothing in common."""
    paths, labels = named(form)
    assert find_series(paths, labels, pictures(150, 1)) is None


def test_neighbouring_numbers_that_are_alike_are_proposed_with_a_warning() -> None:
    paths, labels = named("{label}/glass{k}.jpg", each=8)
    found = find_series(paths, labels, pictures(30, 8))
    assert found is not None
    assert found.groups == 24
    assert "consecutive numbers" in found.evidence
    assert "may cross the border" in found.warning
    assert re.search(found.expression, "a/glass123.jpg").group(1) == "glass12"  # type: ignore[union-attr]


def test_numbers_that_start_again_in_each_class_keep_the_classes_apart() -> None:
    labels = [LABELS[c] for c in range(2) for _ in range(120)]
    paths = [f"{LABELS[c]}/image_{k:04}.jpg" for c in range(2) for k in range(120)]
    found = find_series(paths, labels, pictures(30, 8))
    assert found is not None
    names = {found.names([path])[0] for path in paths}
    assert len(names) == 24


@pytest.mark.parametrize(
    ("paths", "labels"), [([], []), (["a/x.png"], ["a"]), (["a/IMG.png", "b/1_2.png", "b/q-3.png"], ["a", "b", "b"])]
)
def test_no_names_no_series(paths: list[str], labels: list[str]) -> None:
    assert find_series(paths, labels, pictures(len(paths), 1) if paths else np.zeros((0, 1056), np.uint8)) is None


def test_the_name_of_an_image_in_no_series_is_its_path() -> None:
    assert Series(r"(\d+)_", 1, "").names(["a/3_1.png", "a/x.png"]) == ["3", "a/x.png"]
