"""The report of images that were made from real ones: how many stand behind them, and each below its source."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image
from report_material import evaluation, from_images, material

from synthaug.documents import MadeFrom
from synthaug.evaluation.report import pictures, protocol
from synthaug.evaluation.report.markdown import markdown
from synthaug.evaluation.report.page import render

CLASSES, TARGETS = ["coat", "dress", "shirt"], ["shirt", "dress"]


def decoded(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))


def test_each_image_is_shown_below_the_image_that_it_was_made_from() -> None:
    given = material(CLASSES, TARGETS)
    document = from_images(evaluation(CLASSES, TARGETS), given)
    assert given.synthetic is not None
    assert given.real is not None
    shown = pictures.translated(given.synthetic, given.origins, document.made_from, TARGETS, 10**6)
    assert [one.label for one in shown] == TARGETS
    for one in shown:
        assert len(one.tiles) == pictures.SOURCES
        for source, made, label in one.tiles:
            above, below = decoded(source), decoded(made)
            (row,) = (k for k, image in enumerate(given.synthetic.pixels) if np.array_equal(image[0], below))
            assert given.synthetic.classes[given.synthetic.labels[row]] == one.label
            origin = 7 * row % len(given.real)
            assert np.array_equal(given.real.pixels[origin][0], above)
            assert given.real.classes[given.real.labels[origin]] == label


def test_how_many_real_images_stand_behind_a_class_is_said_everywhere() -> None:
    given = material(CLASSES, TARGETS)
    document = evaluation(CLASSES, TARGETS)
    document.made_from = {"coat": MadeFrom(images=300, sources=290), "shirt": MadeFrom(images=500, sources=14)}
    assert protocol.made_from(document) == "shirt: 500 images from 14 real images"
    page = render(document, given)
    assert "shirt: 500 images from 14 real images" in page
    assert protocol.counts(document)[1] == [
        ("coat", ["300", "40", "60", "300", "290"]), ("dress", ["14", "0", "60", "–", "–"]),
        ("shirt", ["14", "0", "60", "500", "14"]),
    ]  # fmt: skip
    assert "shirt: 500 images from 14 real images" in markdown(document)
    assert "Made from real images" not in render(evaluation(CLASSES, TARGETS), material(CLASSES, TARGETS))


def test_large_noise_stays_small_with_its_sources() -> None:
    sizes = {}
    for images in (False, True):
        given = material(CLASSES, TARGETS, size=64, channels=3)
        document = evaluation(CLASSES, TARGETS)
        rng = np.random.default_rng(0)
        for part in (given.real, given.synthetic):
            assert part is not None
            part.pixels[:] = rng.integers(0, 256, part.pixels.shape)
        sizes[images] = len(render(from_images(document, given) if images else document, given))
    assert sizes[False] < sizes[True] < 2.6e6
