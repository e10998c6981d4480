"""Newly right and newly wrong test images: by hand."""

from __future__ import annotations

import numpy as np

from synthaug.evaluation.changed_images import KEPT, changed_images, in_words

CLASSES = ["cat", "dog", "newt"]


def probabilities(predicted: list[list[int]]) -> np.ndarray:
    """[S, N] → [S, N, K]."""
    return np.eye(len(CLASSES), dtype=np.float32)[np.array(predicted)]


def test_an_arm_recognises_an_image_if_most_of_its_classifiers_do() -> None:
    labels = np.array([0, 1, 2, 2, 0])
    before = probabilities([[1, 1, 0, 0, 0], [1, 1, 0, 2, 0], [0, 1, 1, 2, 0]])
    after = probabilities([[0, 0, 2, 0, 0], [0, 0, 2, 0, 0], [0, 1, 2, 2, 1]])
    found = changed_images(("classical", "synthetic"), before, after, labels, list("abcde"), CLASSES, targets=[2])
    assert (found.right, found.wrong, found.classifiers_before, found.classifiers_after) == (2, 2, 3, 3)
    seen = [(i.test, i.label, i.before, i.after, i.right_before, i.right_after) for i in found.newly_right]
    # the target class first, although "a" stands before it
    assert seen == [("c", "newt", "cat", "newt", 0, 3), ("a", "cat", "dog", "cat", 1, 3)]
    assert [i.test for i in found.newly_wrong] == ["d", "b"]
    assert in_words(found) == "2 test images newly right, 2 newly wrong"


def test_half_of_the_classifiers_are_not_most() -> None:
    before, after = probabilities([[0], [1]]), probabilities([[0], [0]])
    found = changed_images(("real", "synthetic"), before, after, np.array([0]), ["a"], CLASSES, [0])
    assert (found.right, found.wrong) == (1, 0)
    back = changed_images(("real", "synthetic"), after, before, np.array([0]), ["a"], CLASSES, [0])
    assert (back.right, back.wrong) == (0, 1)


def test_several_generators_are_counted_together_and_long_lists_are_cut() -> None:
    n = KEPT + 7
    before = probabilities([[1] * n, [1] * n])
    after = np.stack([probabilities([[0] * n, [0] * n])] * 3)  # three generators, two seeds
    paths = [str(i) for i in range(n)]
    found = changed_images(("real", "synthetic"), before, after, np.zeros(n, np.int64), paths, CLASSES, [0])
    assert (found.right, len(found.newly_right), found.classifiers_after) == (n, KEPT, 6)
    assert found.newly_right[0].right_after == 6
