"""Sampling: each image depends on (seed, class, index) alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from export_material import CLASSES, Painter, Painters, make_run, save_images
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from synthaug.errors import RunFailed, SynthaugError
from synthaug.models.family import to_uint8
from synthaug.models.inputs import CHUNK, Inputs, NoiseInputs, noise
from synthaug.runs import Run
from synthaug.sampling.generate import SeededGenerator, chunk_rows, load


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("sampling")
    save_images(root / "data", {CLASSES[0]: 8, CLASSES[1]: 6, CLASSES[2]: 8})
    return make_run(root / "data", root / "runs")


@pytest.fixture
def painter(run: Run) -> SeededGenerator:
    return SeededGenerator(Painters()(run), seed=0)


def test_noise_is_standard_normal_and_free_of_its_neighbours() -> None:
    z = noise(0, 1, range(2000), 16)
    assert abs(float(z.mean())) < 0.02
    assert float(z.std()) == pytest.approx(1, abs=0.02)
    assert torch.equal(noise(0, 1, [1234], 16)[0], z[1234])
    assert not torch.equal(noise(1, 1, [1234], 16)[0], z[1234])
    assert not torch.equal(noise(0, 2, [1234], 16)[0], z[1234])


@given(st.integers(0, 500), st.integers(0, 500))
def test_aligned_chunks_cover_each_image_once(start: int, count: int) -> None:
    covered = [index * CHUNK + row for index, rows in chunk_rows(start, count) for row in rows]
    assert covered == list(range(start, start + count))


def test_noise_inputs_are_the_noise_of_64_images() -> None:
    inputs = NoiseInputs(seed=3, z_dim=5).chunk(class_index=2, index=1)
    assert torch.equal(inputs.noise, noise(3, 2, range(64, 128), 5))
    assert inputs.labels.tolist() == [2] * 64
    assert inputs.sources is None
    moved = inputs._replace(z=None, sources=torch.zeros(64, 1, 2, 2)).to(torch.device("meta"))
    assert moved.z is None
    assert [part.device.type for part in moved if part is not None] == ["meta"] * 2


def test_images_do_not_depend_on_how_many_are_asked_for(run: Run) -> None:
    sampler = load(run, device="cpu")  # a real network: its kernels could differ by batch size
    all_at_once = sampler.sample("disc", 200)
    assert all_at_once.shape == (200, 3, 16, 16)
    assert all_at_once.dtype == np.uint8
    assert np.array_equal(sampler.sample("disc", 30, start=70), all_at_once[70:100])
    assert np.array_equal(sampler.sample("disc", 1, start=199), all_at_once[199:])
    assert np.array_equal(load(run, device="cpu").sample("disc", 200), all_at_once)
    assert len({image.tobytes() for image in all_at_once}) == 200


def test_the_global_random_state_is_neither_read_nor_moved(painter: SeededGenerator) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = painter.sample("disc", 3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert np.array_equal(painter.sample("disc", 3), first)


def test_another_seed_gives_other_images(run: Run) -> None:
    own, other = load(run, device="cpu"), load(run, seed=5, device="cpu")
    assert own.seed == run.config().seed
    assert not np.array_equal(own.sample("disc", 4), other.sample("disc", 4))


def test_no_images_are_an_empty_array(painter: SeededGenerator) -> None:
    assert painter.sample("disc", 0).shape == (0, 3, 16, 16)


def test_grey_levels_are_rounded_and_cut_off() -> None:
    levels = to_uint8(torch.tensor([-1.0, 1.0, 0.0, -3.0, 3.0, -0.9961]).reshape(6, 1, 1, 1))
    assert levels.reshape(-1).tolist() == [0, 255, 128, 0, 255, 0]


def test_a_wrong_class_name_gets_a_proposal(painter: SeededGenerator) -> None:
    with pytest.raises(SynthaugError, match="'dics'") as caught:
        painter.sample("dics", 1)
    assert 'did you mean "disc"' in caught.value.hint


@pytest.mark.parametrize(("count", "start"), [(-1, 0), (1, -1)])
def test_negative_numbers_are_refused(painter: SeededGenerator, count: int, start: int) -> None:
    with pytest.raises(SynthaugError, match="-1"):
        painter.sample("disc", count, start)


@pytest.mark.parametrize("seed", [-1, 2**31])
def test_a_seed_out_of_range_is_refused(run: Run, seed: int) -> None:
    with pytest.raises(SynthaugError, match=str(seed)):
        load(run, seed=seed)


def test_a_run_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(SynthaugError, match="no run"):
        load("nowhere", runs=tmp_path)


def test_a_diverged_generator_is_an_error(run: Run) -> None:
    class Broken(Painter):
        def forward(self, inputs: Inputs) -> torch.Tensor:
            return super().forward(inputs) * torch.nan

    broken: nn.Module = Broken(3, 16)
    sampler = SeededGenerator(replace(Painters()(run), network=broken), seed=0)  # type: ignore[arg-type]
    with pytest.raises(RunFailed, match="not numbers"):
        sampler.sample("disc", 1)
