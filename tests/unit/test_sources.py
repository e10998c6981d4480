"""Which real images a family starts from: which classes resemble each other, and which rows stand behind an image."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from synthaug.data.cache import LabelledImages
from synthaug.errors import SynthaugError
from synthaug.models.inputs import CHUNK, NoiseInputs, Sources
from synthaug.sampling.sources import remoteness, remoteness_of_classes, source_classes, sources_of

CLASSES = ["boot", "coat", "shirt", "sneaker"]


class Position:
    """Stands in for a feature net: an image's features are two of its pixels."""

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        return pixels[:, 0, 0, :2].astype(np.float32)


def images(centres: dict[str, tuple[int, int]], count: int = 24) -> LabelledImages:
    """Images of each class around a place in feature space."""
    rng = np.random.default_rng(0)
    pixels = np.zeros((count * len(centres), 1, 4, 4), np.uint8)
    pixels[:, 0, 0, :2] = np.repeat(np.array(list(centres.values())), count, 0) + rng.integers(
        -30, 31, (len(pixels), 2)
    )
    labels = np.repeat(np.arange(len(centres)), count)
    return LabelledImages(pixels, labels, list(centres), [f"{k}.png" for k in range(len(labels))])


def chosen(train: LabelledImages) -> dict[str, list[str]]:
    return source_classes(train.classes, remoteness_of_classes(train, Position()))


TRAIN = images({"boot": (200, 200), "coat": (50, 50), "shirt": (51, 50), "sneaker": (201, 200)})


def test_a_class_is_made_from_those_that_resemble_it() -> None:
    assert chosen(TRAIN) == {
        "boot": ["sneaker"], "coat": ["shirt"], "shirt": ["coat"], "sneaker": ["boot"],
    }  # fmt: skip


def test_a_class_that_nothing_resembles_is_made_from_itself_alone() -> None:
    train = images({"boot": (200, 200), "coat": (50, 50), "shirt": (51, 50)})
    found = chosen(train)
    assert found["boot"] == []
    rows = sources_of(train, found, "both").rows
    assert [part.tolist() for part in rows[0]] == [list(range(24))]
    assert [part.tolist() for part in rows[1]] == [list(range(48, 72)), list(range(24, 48))]


def test_the_users_choice_counts_but_a_class_is_never_its_own_source() -> None:
    found = source_classes(TRAIN.classes, {}, ["boot", "coat"])
    assert found == {
        "boot": ["coat"], "coat": ["boot"], "shirt": ["boot", "coat"], "sneaker": ["boot", "coat"],
    }  # fmt: skip
    with pytest.raises(SynthaugError, match="no source class 'cota'") as caught:
        source_classes(TRAIN.classes, {}, ["cota"])
    assert "coat" in caught.value.hint


@pytest.mark.parametrize(("mode", "of"), [("translate", {2}), ("vary", {1}), ("both", {1, 2})])
def test_modes_take_images_of_other_classes_of_the_class_or_both_by_turns(mode: str, of: set[int]) -> None:
    sources = sources_of(TRAIN, chosen(TRAIN), mode)  # type: ignore[arg-type]
    inputs = NoiseInputs(3, 5, sources).chunk(1, 0)
    assert inputs.origins is not None
    labels = TRAIN.labels[inputs.origins.numpy()]
    assert set(labels) == of
    if mode == "both":
        assert Counter(labels.tolist()) == {1: CHUNK // 2, 2: CHUNK // 2}
    assert torch.equal(inputs.images, torch.from_numpy(TRAIN.pixels[inputs.origins.numpy()]).float() / 127.5 - 1)


def test_each_source_is_used_once_before_any_is_used_again() -> None:
    sources = Sources(TRAIN.pixels, {0: [np.arange(12)]})
    origins = sources.origins(0, 0, range(36))
    for cycle in origins.split(12):
        assert sorted(cycle.tolist()) == list(range(12))
    assert not torch.equal(origins[:12], origins[12:24])
    assert not torch.equal(origins, sources.origins(1, 0, range(36)))
    assert torch.equal(origins[20:30], Sources(TRAIN.pixels, {0: [np.arange(12)]}).origins(0, 0, range(20, 30)))


def test_no_source_is_used_more_often_than_allowed() -> None:
    sources = Sources(TRAIN.pixels, {0: [np.arange(5), np.arange(5, 12)]})
    most = sources.most(0, draws=3)
    assert most == 30
    assert max(Counter(sources.origins(0, 0, range(most)).tolist()).values()) == 3


def test_remoteness_is_that_of_one_class_from_itself_at_any_numbers_of_images() -> None:
    def some(count: int, at: float = 0.0) -> np.ndarray:
        return (rng.normal(size=(count, 4)) + at).astype(np.float32)

    rng = np.random.default_rng(0)
    for own, other in ((100, 100), (40, 200), (200, 40)):
        assert remoteness(some(own), some(other)) == pytest.approx(1, abs=0.1)
        assert remoteness(some(own), some(other, at=4)) > 2
    one, other = some(16), some(50)
    assert remoteness(one, other) == pytest.approx(remoteness(other, one))
    assert remoteness(np.zeros((4, 2), np.float32), some(4)[:, :2]) < np.inf
    assert remoteness(np.zeros((4, 2), np.float32), np.ones((4, 2), np.float32)) == np.inf


def test_no_image_has_no_source() -> None:
    """As of a class of which the gates turned every image away: a row number, where one is wanted, is whole."""
    sources = Sources(np.zeros((2, 1, 4, 4), np.uint8), {0: [np.arange(2)]})
    found = sources.origins(0, 0, [])
    assert (found.shape, found.dtype) == ((0,), torch.int64)
