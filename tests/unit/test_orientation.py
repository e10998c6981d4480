"""Whether classes survive mirroring: digits do not, what is symmetric does, and what cannot be seen is not decided."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from synthaug.data.duplicates import make_thumbnails, reduced
from synthaug.data.orientation import MirrorTest, mirror_test

Pixels = NDArray[np.uint8]


def mirrored(images: list[Pixels], labels: list[str], groups: list[int] | None = None) -> MirrorTest | None:
    thumbnails = make_thumbnails(reduced(Image.fromarray(image)) for image in images)
    return mirror_test(thumbnails, np.array(labels), np.array(groups or range(len(images))))


def digits(names: str) -> tuple[list[Pixels], list[str]]:
    data = load_digits()
    rows = [k for k, digit in enumerate(data.target) if str(digit) in names]
    return [(data.images[k] * 15).astype(np.uint8) for k in rows], [str(data.target[k]) for k in rows]


def test_digits_do_not_survive() -> None:
    found = mirrored(*digits("0123456789"))
    assert found is not None
    assert not found.survives
    assert found.plain > 0.95
    assert found.mirrored < 0.6
    assert {"2", "3", "5", "7"} <= set(found.classes)


def test_symmetric_digits_survive() -> None:
    images, labels = digits("08")
    rng = np.random.default_rng(0)
    either = [image[:, ::-1].copy() if rng.random() < 0.5 else image for image in images]
    found = mirrored(either, labels)
    assert found is not None
    assert found.survives, found


def test_one_class_that_does_not_survive_among_many_that_do() -> None:
    """An arrow to the left and one to the right, among 28 classes of lying stripes; the mean hardly moves."""
    rng = np.random.default_rng(0)
    images, labels = [], []
    for kind in range(30):
        for _ in range(12):
            image = rng.integers(0, 60, (32, 32), dtype=np.uint8)
            if kind < 28:
                image[1 + kind : 4 + kind] += 150
            else:
                for step in range(12):
                    column = 4 + 2 * step if kind == 28 else 27 - 2 * step
                    image[16 - step : 16 + step + 1, column] += 150
            images.append(image)
            labels.append(f"{kind:02}")
    found = mirrored(images, labels)
    assert found is not None
    assert not found.survives
    assert set(found.classes) <= {"28", "29"}


def test_what_the_classifier_cannot_see_is_not_decided() -> None:
    rng = np.random.default_rng(0)
    found = mirrored([rng.integers(0, 256, (16, 16), dtype=np.uint8) for _ in range(200)], ["a", "b"] * 100)
    assert found is not None
    assert not found.skilled
    assert not found.survives


def test_few_images_decide_nothing() -> None:
    images, labels = digits("08")
    assert mirrored(images[:40], labels[:40]) is None
    assert mirrored(images[:100], ["a"] * 100) is None


def test_images_of_a_group_are_not_divided() -> None:
    """Noise, each picture ten times: known by heart if the groups were divided, unknown if not."""
    rng = np.random.default_rng(0)
    once = [rng.integers(0, 256, (16, 16), dtype=np.uint8) for _ in range(20)]
    images, labels = [x for x in once for _ in range(10)], [str(k % 2) for k in range(20) for _ in range(10)]
    apart, divided = mirrored(images, labels, [k for k in range(20) for _ in range(10)]), mirrored(images, labels)
    assert apart is not None
    assert divided is not None
    assert divided.plain > 0.95
    assert apart.plain < 0.8
