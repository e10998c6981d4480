"""Whether a condition acts: found where it does, not where images ignore it or the class tells as much."""

from __future__ import annotations

import numpy as np
import pytest

from synthaug.metrics.condition_effect import Described, condition_effect

RNG = np.random.default_rng(0)


def images(count: int, *, strength: float = 3.0, with_class: bool = False, ignored: bool = False) -> Described:
    """Features that show a value as a shift of the first entry, and the class as one of the second."""
    rng = np.random.default_rng(count)
    night, crack = rng.random(count) < 0.5, rng.random(count) < 0.5
    if with_class:
        night = crack
    features = rng.standard_normal((count, 8))
    shown = rng.random(count) < 0.5 if ignored else night
    features[:, 0] += strength * shown
    features[:, 1] += 3 * crack
    names = [["day", "night"][k] for k in night.astype(int)]
    return Described(features, names, [["good", "crack"][k] for k in crack.astype(int)])


def test_a_condition_that_acts() -> None:
    found = condition_effect("light", images(200), images(150), images(160), rng=RNG)
    assert found.acts == "yes"
    assert found.real is not None
    assert found.real > 0.9
    assert found.share == pytest.approx(1, abs=0.2)


def test_images_that_ignore_what_they_are_told() -> None:
    found = condition_effect("light", images(200), images(150), images(160, ignored=True), rng=RNG)
    assert found.acts == "no"
    assert found.samples is not None
    assert found.floor is not None
    assert found.samples.low <= found.floor


def test_a_weak_condition() -> None:
    found = condition_effect("light", images(200), images(150), images(400, strength=0.8), rng=RNG)
    assert found.acts == "weakly"


def test_a_column_that_goes_with_the_class_is_not_judged() -> None:
    sets = [images(count, with_class=True) for count in (200, 150, 160)]
    found = condition_effect("light", *sets, rng=RNG)
    assert (found.acts, found.reason) == ("unknown", "the class tells as much")


def test_what_real_images_do_not_show_either() -> None:
    found = condition_effect("light", *(images(count, strength=0) for count in (200, 150, 160)), rng=RNG)
    assert found.acts == "unknown"
    assert "not recover" in found.reason


def test_too_few_images() -> None:
    few = Described(np.zeros((6, 8)), ["day"] * 6, ["good"] * 6)
    assert condition_effect("light", images(200), few, images(160), rng=RNG).acts == "unknown"
