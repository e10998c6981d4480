"""The picture of many images: every image in its place, enlarged, with the names of the rows beside them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from synthaug.grid import grid

ROWS = [np.full((5, 1, 16, 16), level, np.uint8) for level in (10, 90)]


def test_small_images_are_enlarged_and_wrapped() -> None:
    picture = np.asarray(grid(ROWS, 3))
    assert picture.shape == (4 * 66 + 2, 3 * 66 + 2)
    for line, level in enumerate((10, 10, 90, 90)):
        own = picture[2 + 66 * line : 66 + 66 * line]
        assert (own[:, 2:66] == level).all()
        assert (own[:, 134:198] == (level if line % 2 == 0 else 255)).all()  # the second line has two images


def test_labels_stand_beside_the_first_line_and_move_nothing() -> None:
    plain, labelled = np.asarray(grid(ROWS, 3)), np.asarray(grid(ROWS, 3, ["one", "two"]))
    margin = labelled.shape[1] - plain.shape[1]
    assert (labelled[:, margin:] == plain).all()
    written = [(labelled[66 * line : 66 * (line + 1), :margin] < 128).any() for line in range(4)]
    assert written == [True, False, True, False]


@pytest.mark.parametrize("name", ["ä" * 400, "猫 & co", "красная кошка", "", "\u202e\U0001f600"])
def test_any_name_can_be_written(name: str) -> None:
    picture = grid([np.zeros((2, 3, 100, 80), np.uint8)] * 2, 2, [name, "x"])
    assert picture.mode == "RGB"
    assert picture.width < 2 * 82 + 2 + 200


def test_a_name_that_no_font_can_write_is_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("synthaug.grid._FONTS", ())
    shown, marked = (np.asarray(grid(ROWS[:1], 1, [name])) for name in ("猫 2", "? 2"))
    assert Image.fromarray(shown).tobytes() == Image.fromarray(marked).tobytes()
