"""Derived seeds never change: old runs, exports and verdicts are remade from these numbers."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from synthaug import seeds

IMAGE = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)


def drawn(generator: torch.Generator) -> list[int]:
    numbers: list[int] = torch.randint(1 << 30, (2,), generator=generator).tolist()
    return numbers


def test_derived_seeds_never_change() -> None:
    assert seeds.image_seed(0, 0, 0) == 7216974905578122256
    assert seeds.image_seed(7, 3, 4999) == 4909080226435153015
    assert seeds.look_draw(7, 3, 4999) == 701297175205021859
    assert seeds.pilot_seed(7) == 5126582579284724398
    assert seeds.attempt_seed(7, 1) == 451871880
    assert seeds.check_seed(3) == 331292881
    assert seeds.evaluation_seed(3) == 567295854
    assert seeds.coin(IMAGE) == 0.50098871099031
    assert seeds.subset_order(7, "a/b.png").hex()[:8] == "a4236f1b"


def test_streams_never_change() -> None:
    """Torch's generators by their seeds: what it makes of them has changed since torch 2.4."""
    assert seeds.step_generator(3, "step", 5).initial_seed() == 41110573960569996
    assert seeds.copy_generator(IMAGE, 2).initial_seed() == 3119358695644509417
    assert seeds.augmentation_generator(7).initial_seed() == 24298
    assert seeds.stream(7, seeds.SPLIT).integers(1 << 30, size=2).tolist() == [604763198, 17113326]


def test_a_step_draws_from_its_seed_and_number_alone() -> None:
    assert drawn(seeds.step_generator(1, "step", 7)) == drawn(seeds.step_generator(1, "step", 7))
    assert drawn(seeds.step_generator(1, "step", 7)) != drawn(seeds.step_generator(1, "step", 8))


@given(st.tuples(*[st.integers(0, 50)] * 3), st.tuples(*[st.integers(0, 50)] * 3))
def test_different_images_have_different_seeds(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    assert (seeds.image_seed(*one) == seeds.image_seed(*other)) == (one == other)
