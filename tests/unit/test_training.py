"""Training: batches, the average, schedules, checkpoints, the monitor's eye for planted faults."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monitor_material import Flat, Painter, digits

from synthaug import processes
from synthaug.augment.diffaugment import DiffAugment
from synthaug.config import MonitorConfig, validate
from synthaug.data.batches import BalancedBatches, class_probabilities
from synthaug.data.mapped import MappedPixels
from synthaug.models.blocks import MinibatchStd
from synthaug.models.family import Generator
from synthaug.runs import Run
from synthaug.training.checkpoint import names, prune
from synthaug.training.ema import Average
from synthaug.training.monitor import FixedNoise, Monitor
from synthaug.training.schedule import condition_strength, images_in_budget, set_length
from synthaug.training.state import Counters


def test_batches_follow_the_temperature_and_flip_half() -> None:
    pixels = torch.zeros(110, 1, 2, 2, dtype=torch.uint8)
    pixels[:, :, :, 0] = 255
    labels = torch.tensor([0] * 100 + [1] * 10)
    for balance, share in ((0.0, 10 / 110), (0.5, 10**0.5 / (10**0.5 + 10)), (1.0, 0.5)):
        batches = BalancedBatches(pixels, labels, class_probabilities([100, 10], balance), 20000, True)
        images, drawn = batches.draw(torch.Generator().manual_seed(0))
        assert (drawn == 1).float().mean().item() == pytest.approx(share, abs=0.015)
        assert (images[:, 0, 0, 0] == 1).float().mean().item() == pytest.approx(0.5, abs=0.015)
        assert images.min() == -1
        assert images.max() == 1


def test_batches_from_a_memory_map_are_those_from_memory_and_are_gathered_before_they_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "pixels.npy", rng.integers(0, 256, (90, 3, 4, 4), dtype=np.uint8))
    stored = np.load(tmp_path / "pixels.npy", mmap_mode="c")
    labels, shares = torch.arange(90) % 3, class_probabilities([30, 30, 30], 1.0)
    held = BalancedBatches(torch.from_numpy(stored.copy()), labels, shares, 12, True)
    mapped = BalancedBatches(MappedPixels(stored, torch.device("cpu")), labels, shares, 12, True)
    asked: list[int] = []
    gather = MappedPixels._gather
    monkeypatch.setattr(MappedPixels, "_gather", lambda self, rows: asked.append(len(rows)) or gather(self, rows))
    for step in range(5):
        now, later = (torch.Generator().manual_seed(k) for k in (step, step + 1))
        mapped.expect(later)
        before = len(asked)
        images, drawn = mapped.draw(now)
        assert len(asked) == before + (step == 0)  # only the first batch is gathered when it is drawn
        expected = held.draw(torch.Generator().manual_seed(step))
        assert torch.equal(images, expected[0])
        assert torch.equal(drawn, expected[1])
    rows = torch.tensor([89, 0, 0])  # that nobody expected
    assert torch.equal(mapped.take(rows)[0], held.take(rows)[0])


def test_targets_are_drawn_more_often() -> None:
    assert class_probabilities([10, 10], 1.0, targets=[1], target_boost=3.0).tolist() == [0.25, 0.75]


def test_neighbours_in_a_batch_share_their_class_and_are_different_images() -> None:
    labels = torch.tensor([2, 0, 3] * 20)  # class 1 has no images
    pixels = torch.arange(60, dtype=torch.uint8).view(60, 1, 1, 1)
    batches = BalancedBatches(pixels, labels, torch.full((4,), 1 / 4, dtype=torch.float64), 32, True)
    images, drawn = batches.draw(torch.Generator().manual_seed(0))
    index = ((images.flatten() + 1) * 127.5).round().long()
    assert torch.equal(labels[index], drawn)
    groups = drawn.view(8, 4)
    assert torch.equal(groups, groups[:, :1].expand(8, 4))
    assert set(drawn.tolist()) == {0, 2, 3}
    assert len(index.unique()) > 20
    assert len({tuple(batches.draw(torch.Generator().manual_seed(seed))[1].tolist()) for seed in range(5)}) > 1


def test_a_repeated_image_is_given_away_by_the_minibatch_statistic_though_it_is_augmented() -> None:
    repeated = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0)).expand(8, 1, 16, 16)
    varied = torch.rand(8, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    augment = DiffAugment(["color", "translation", "affine", "cutout"])
    statistic = [MinibatchStd()(augment(x, torch.Generator().manual_seed(2)))[:, -1] for x in (repeated, varied)]
    assert statistic[0].max() < 1e-3
    assert statistic[1].min() > 100 * statistic[0].max()
    # the two groups of four are augmented in different ways
    augmented = augment(repeated, torch.Generator().manual_seed(2))
    assert not torch.allclose(augmented[3], augmented[4])


def test_every_image_is_drawn() -> None:
    pixels = torch.arange(50, dtype=torch.uint8).view(50, 1, 1, 1)
    batches = BalancedBatches(
        pixels, torch.zeros(50, dtype=torch.int64), torch.ones(1, dtype=torch.float64), 2000, False
    )
    images, _ = batches.draw(torch.Generator().manual_seed(0))
    assert len(images.unique()) == 50


class Constant(Generator):
    def __init__(self, value: float = 0.0) -> None:
        super().__init__()
        self.z_dim = 2
        self.weight = torch.nn.Parameter(torch.tensor([value]))
        self.register_buffer("running", torch.tensor([value]))


def test_the_average_has_the_half_life_it_says() -> None:
    generator = Constant(0.0)
    average = Average(generator, half_life_kimg=1.0, ramp=1.0)
    with torch.no_grad():
        generator.weight.fill_(1.0)
        generator.running.fill_(1.0)
        generator.condition_strength.fill_(0.25)
    for _ in range(10):
        average.update(generator, images_seen=10**6, batch_size=100)  # 1000 images in all
    assert average.network.weight.item() == pytest.approx(0.5, abs=1e-6)
    assert average.network.running.item() == pytest.approx(0.5, abs=1e-6)
    assert average.network.condition_strength.item() == 0.25  # a switch, not a weight
    early = Average(Constant(0.0), half_life_kimg=1000.0, ramp=0.05)
    early.update(generator, images_seen=2000, batch_size=100)  # at most 100 images are remembered
    assert early.network.weight.item() == pytest.approx(0.5, abs=1e-6)


def test_the_condition_is_faded_in() -> None:
    config = validate({"training": {"fade_start": 0.2, "fade_end": 0.6}})
    assert [round(condition_strength(config, p), 6) for p in (0.0, 0.2, 0.4, 0.6, 1.0)] == [0, 0, 0.5, 1, 1]
    assert condition_strength(validate({}), 0.0) == 1.0


def test_scores_take_at_most_a_fifth_of_a_time_budget() -> None:
    config = validate({"monitor": {"every_kimg": 20}})
    images, scores = images_in_budget(100, per_image=0.001, per_score=2.0, config=config, done=1000)
    assert scores == 5
    assert images == pytest.approx(1000 + 90_000)
    images, scores = images_in_budget(100, per_image=0.001, per_score=50.0, config=config, done=1000)
    assert scores == 1  # the last one is always taken
    assert images == pytest.approx(1000 + 50_000)
    counters = Counters()
    set_length(counters, config, images, scores)
    assert counters.total == 50_976 + 32  # whole batches of 32
    assert counters.interval is not None
    assert counters.interval >= counters.total


@pytest.mark.parametrize("count", [1, 100, 250])
def test_fixed_noise_is_drawn_in_one_go_and_given_in_chunks_of_100(count: int) -> None:
    fixed = FixedNoise(3, count, 4, torch.Generator().manual_seed(7))
    whole = torch.randn(3, count, 4, generator=torch.Generator().manual_seed(7))
    chunks = [fixed.chunk(1, index) for index in range(fixed.chunks)]
    assert torch.equal(torch.cat([chunk.noise for chunk in chunks]), whole[1])
    assert {len(chunk.noise) for chunk in chunks[:-1]} <= {100}
    assert all(chunk.labels.tolist() == [1] * len(chunk.noise) for chunk in chunks)


def test_the_monitor_prefers_real_images_to_one_repeated_and_notes_copies() -> None:
    train, val, fresh = digits(0, 40), digits(40, 40), digits(80, 60)
    monitor = Monitor(
        train, val, ["1"], MonitorConfig(samples_per_class=40), Flat(), z_dim=4, seed=0, device=torch.device("cpu")
    )
    good = monitor.score(Painter(fresh))
    collapsed = monitor.score(Painter(fresh, repeat=True))
    copying = monitor.score(Painter(train))
    assert good["score"] < collapsed["score"]
    assert good["per_class"]["1"]["coverage"] > 0.6 > 0.3 > collapsed["per_class"]["1"]["coverage"]
    assert copying["per_class"]["1"]["copies"] > 0.9
    assert good["per_class"]["1"]["copies"] < 0.2
    assert good["per_class"]["1"]["reference"] == "val"


def test_a_class_without_val_is_scored_against_train() -> None:
    train = digits(0, 20)
    empty = train.subset(np.array([], dtype=np.int64))
    monitor = Monitor(
        train, empty, ["1"], MonitorConfig(samples_per_class=20), Flat(), z_dim=4, seed=0, device=torch.device("cpu")
    )
    row = monitor.score(Painter(train))
    assert row["pooled"]["reference"] == "train"
    assert row["per_class"]["1"]["reference"] == "train"
    assert row["score"] > 0


def _checkpoints_kept(place: Path, every: int, count: int, keep: int, best: int) -> list[int]:
    """kimg of the checkpoints that are left after a training that pruned after each."""
    run = Run(place)
    for kimg in range(0, every * count, every):
        folder = run.checkpoints / f"kimg{kimg:06d}"
        folder.mkdir(parents=True)
        (folder / "state.json").write_text("{}")
        prune(run, f"kimg{min(kimg, best):06d}", keep)
    return [int(name.removeprefix("kimg")) for name in names(run)]


@pytest.mark.parametrize(("keep", "best"), [(0, 0), (1, 40), (3, 0), (3, 340), (3, 380), (8, 200)])
def test_checkpoints_are_kept_in_about_even_steps(tmp_path: Path, keep: int, best: int) -> None:
    kept = _checkpoints_kept(tmp_path, 20, 20, keep, best)
    assert {0, best, 380} <= set(kept)
    between = [kimg for kimg in kept if kimg not in (0, best, 380)]
    assert len(between) == keep
    marks = [0, *between, 380]
    assert max(np.diff(marks)) <= 2 * 380 / (keep + 1)


def test_more_checkpoints_than_there_are_may_be_kept(tmp_path: Path) -> None:
    assert len(_checkpoints_kept(tmp_path, 20, 20, 100, 0)) == 20


def test_steps_that_draw_the_rows_of_all_processes_find_them_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the translator does. What nobody fetches would stay in memory, with every step."""
    monkeypatch.setattr(processes, "own", lambda rows: rows.chunk(2)[0])
    pixels = np.zeros((90, 1, 2, 2), np.uint8)
    mapped = MappedPixels(pixels, torch.device("cpu"))
    labels, shares = torch.arange(90) % 3, class_probabilities([30, 30, 30], 1.0)
    batches = BalancedBatches(mapped, labels, shares, 12, False)
    for step in range(5):
        batches.expect(torch.Generator().manual_seed(step + 1))
        assert len(batches.draw(torch.Generator().manual_seed(step), whole=True)[0]) == 12
    assert len(mapped._expected) == 2  # the next one, and the first, expected before anything was drawn
