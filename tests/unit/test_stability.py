"""Divergence is noticed, answered, counted and survived: planted faults in a training on digits."""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from listener import Listener
from monitor_material import Flat
from safetensors.torch import load_file

from synthaug.config import validate
from synthaug.data.batches import BalancedBatches
from synthaug.data.cache import LabelledImages
from synthaug.errors import Interrupted, RunFailed
from synthaug.losses import OBJECTIVES
from synthaug.losses.heads import build_heads
from synthaug.losses.non_saturating import NonSaturating
from synthaug.losses.objective import smoothed
from synthaug.models import build_family
from synthaug.models.codes import Codes
from synthaug.models.family import ImageShape
from synthaug.progress import Silent
from synthaug.runs import Run
from synthaug.seeds import attempt_seed
from synthaug.training import checkpoint
from synthaug.training.game import Game, build_game
from synthaug.training.loop import train
from synthaug.training.monitor import Monitor
from synthaug.training.stability import RATE, Diverged, Watch
from synthaug.training.state import Counters
from synthaug.training.steps import adversarial
from synthaug.training.steps.adversarial import adversarial_step

STATEFUL: dict[str, Any] = {
    "ada": True,
    "ada_kimg": 2.0,
    "augment": ["color"],
    "regularizers": {"consistency": 10.0, "gradient-penalty": 0.1, "lecam": 0.3},
    "auxiliary": {"acgan": 1.0},
}
Step = Callable[[Game, int, int], dict[str, Any]]


def images() -> LabelledImages:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (24, 1, 4, 4), dtype=np.uint8).repeat(4, axis=2).repeat(4, axis=3)
    labels = np.arange(24) % 2
    return LabelledImages(pixels, labels.astype(np.int64), ["a", "b"], [str(i) for i in range(24)])


def start(folder: Path, step: Step, kimg: float = 4, **training: Any) -> tuple[Run, Game, Callable[..., Counters]]:
    run = Run(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = validate(
        {
            "data": {"resolution": 16},
            "model": {"width": 4, "discriminator_width": 4, "z_dim": 8, "embed_dim": 4},
            "training": {"batch_size": 32, "budget": f"{kimg}kimg", "augment": [], **training},
            "monitor": {"every_kimg": 1, "samples_per_class": 8, "grid_columns": 2},
        }
    )
    shape, data = ImageShape(16, 1, 2), images()
    torch.manual_seed(0)
    family = build_family("dcgan", shape, config.model)
    heads = build_heads(config.training.auxiliary, family, shape, Codes())
    half = torch.full((2,), 0.5, dtype=torch.float64)
    batches = BalancedBatches(torch.from_numpy(data.pixels), torch.from_numpy(data.labels), half, 32, False)
    game = build_game(config, family, batches, Fabric(accelerator="cpu", devices=1), heads, {"family": "dcgan"})
    monitor = Monitor(data, data, ["a"], config.monitor, Flat(), 8, 0, torch.device("cpu"))
    if names := checkpoint.names(run):
        checkpoint.restore(run, names[-1], game.state)
        run.replace_metrics([r for r in run.metrics() if r["kimg"] <= game.state.counters.images / 1000])

    def go(progress: Any = Silent()) -> Counters:
        with patch.object(adversarial, "adversarial_step", step):  # what the table's entry names
            return train(run, game, monitor, progress)

    return run, game, go


def nan_at(*steps: int, attempts: int = 1) -> tuple[Step, list[tuple[int, int, float]]]:
    """A step whose generator loses its mind at these numbers, in the first `attempts` attempts; and what it saw."""
    seeds = [attempt_seed(0, attempt) for attempt in range(attempts)]
    seen: list[tuple[int, int, float]] = []

    def step(game: Game, number: int, seed: int) -> dict[str, Any]:
        scalars = adversarial_step(game, number, seed)
        seen.append((number, seed, game.state.players["generator"].optimizer.param_groups[0]["lr"]))
        if number in steps and seed in seeds:
            scalars["loss_g"] = torch.tensor(math.nan)
            with torch.no_grad():
                for p in game.family.generator.parameters():
                    p.fill_(math.nan)
        return scalars

    return step, seen


def rows(run: Run, kind: str) -> list[dict[str, Any]]:
    return [row for row in run.metrics() if row["kind"] == kind]


def weights(run: Run) -> dict[str, torch.Tensor]:
    return load_file(run.checkpoints / checkpoint.names(run)[-1] / "training.safetensors")


def test_a_nan_is_rolled_back_with_other_noise_and_a_lower_rate(tmp_path: Path) -> None:
    step, seen = nan_at(70)
    progress = Listener()
    run, _, go = start(tmp_path / "run", step)
    counters = go(progress)
    assert counters.images == 4000
    assert (counters.attempt, counters.diverged) == (1, None)
    (row,) = rows(run, "rollback")
    assert row["attempt"] == 1
    assert "finite" in row["reason"]
    assert row["from_kimg"] - row["kimg"] <= 1.6  # noticed within an interval of 1 kimg, and 500 images
    assert row["kimg"] == 2.016
    again = [entry for entry in seen if entry[1] != 0]
    assert again[0][0] == 63  # it went on at the checkpoint's step …
    assert {entry[1] for entry in again} == {attempt_seed(0, 1)}  # … with other noise …
    assert {entry[2] for entry in again} == {2e-4 * RATE}  # … and half the rate
    assert {entry[2] for entry in seen if entry[1] == 0} == {2e-4}
    assert len(progress.warnings) == 1
    assert "diverged" in (run.path / "log.txt").read_text()
    assert all(bool(v.isfinite().all()) for v in weights(run).values())
    assert [r["kimg"] for r in rows(run, "monitor")] == sorted({r["kimg"] for r in rows(run, "monitor")})


def test_it_ends_with_the_last_good_checkpoint_when_no_rollback_is_left(tmp_path: Path) -> None:
    step, _ = nan_at(70, attempts=9)
    run, game, go = start(tmp_path / "run", step, rollbacks=2)
    progress = Listener()
    counters = go(progress)
    assert [row["again"] for row in rows(run, "rollback")] == [True, True, False]
    assert counters.diverged
    assert "after 2 rollbacks" in counters.diverged
    assert counters.images == 2016
    assert counters.best_checkpoint in checkpoint.names(run)
    assert len(progress.warnings) == 3
    assert all(bool(p.isfinite().all()) for p in game.family.generator.parameters())


def test_before_the_first_checkpoint_it_starts_anew_and_then_fails(tmp_path: Path) -> None:
    step, seen = nan_at(3)
    run, _, go = start(tmp_path / "once", step, kimg=2)
    assert go().attempt == 1
    assert next(number for number, seed, _ in seen if seed != 0) == 0
    assert rows(run, "rollback")[0]["kimg"] == 0
    step, _ = nan_at(3, attempts=9)
    _, _, go = start(tmp_path / "always", step, rollbacks=1)
    with pytest.raises(RunFailed, match="diverged"):
        go()


def test_a_collapsed_generator_is_rolled_back(tmp_path: Path) -> None:
    def step(game: Game, number: int, seed: int) -> dict[str, Any]:
        scalars = adversarial_step(game, number, seed)
        if number >= 64 and seed == 0:  # every weight but the last bias dies: one image for all noise
            with torch.no_grad():
                for p in [*game.family.generator.parameters(), *game.state.average.network.parameters()]:
                    p.zero_()
        return scalars

    # a critic's loss has no floor; others would be seen to have won against one blank image
    run, _, go = start(tmp_path / "run", step, objective="wasserstein")
    counters = go()
    (row,) = rows(run, "rollback")
    assert "collapsed" in row["reason"]
    assert row["from_kimg"] - row["kimg"] <= 1.1
    assert counters.attempt == 1
    assert counters.images == 4000
    assert min(r["spread"] for r in rows(run, "monitor")) > 0.05


@pytest.mark.parametrize("fault", ["gradients", "won"])
def test_exploding_gradients_and_a_discriminator_that_won_are_noticed(tmp_path: Path, fault: str) -> None:
    def step(game: Game, number: int, seed: int) -> dict[str, Any]:
        scalars = adversarial_step(game, number, seed)
        if number >= 64 and seed == 0:
            if fault == "gradients":
                for p in game.family.discriminator.parameters():
                    p.grad.mul_(1e9)
            else:
                scalars["loss_d"] = torch.tensor(1e-5)
        return scalars

    run, _, go = start(tmp_path / "run", step)
    counters = go()
    (row,) = rows(run, "rollback")
    assert {"gradients": "explode", "won": "too strong"}[fault] in row["reason"]
    assert row["kimg"] == 2.016  # before the fault at 2.05
    assert row["from_kimg"] <= 3.05  # noticed within an interval of 1 kimg
    assert counters.attempt == 1


def test_a_training_killed_behind_a_rollback_is_resumed_bit_for_bit(tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    whole, _, go = start(tmp_path / "whole", nan_at(40)[0], **STATEFUL)
    go()
    inner = nan_at(40)[0]

    def dying(game: Game, number: int, seed: int) -> dict[str, Any]:
        if number == 75:
            raise Killed
        return inner(game, number, seed)

    _, _, go = start(tmp_path / "broken", dying, **STATEFUL)
    with pytest.raises(Killed):
        go()
    resumed, _, go = start(tmp_path / "broken", nan_at(40)[0], **STATEFUL)
    counters = go()
    ours, theirs = weights(resumed), weights(whole)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[k], theirs[k]) for k in ours)
    assert counters.attempt == 1
    assert {"augment.p", "regularizer_lecam.average_real", "heads.heads.acgan.classifier.weight"} <= ours.keys()
    assert any("ada_p" in row for row in rows(resumed, "step"))
    strip = lambda run: [{k: v for k, v in r.items() if k != "images_per_second"} for r in run.metrics()]  # noqa: E731
    assert strip(resumed) == strip(whole)
    state = json.loads((resumed.checkpoints / checkpoint.names(resumed)[-1] / "state.json").read_text())
    assert state["counters"]["attempt"] == 1


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A training that nothing interrupts."""
    run, _, go = start(tmp_path_factory.mktemp("uninterrupted") / "whole", adversarial_step)
    go()
    return run


@pytest.mark.parametrize("at", [31, 62, 64, 80, 124], ids=["warm-up's end", "score", "just behind", "between", "end"])
def test_an_interruption_costs_no_score_and_no_scored_checkpoint(tmp_path: Path, whole: Run, at: int) -> None:
    def stopped(game: Game, number: int, seed: int) -> dict[str, Any]:
        if number == at:
            signal.raise_signal(signal.SIGTERM)
        return adversarial_step(game, number, seed)

    broken, _, go = start(tmp_path / "broken", stopped)
    if at == 124:  # the last step: nothing is left to interrupt
        go()
    else:
        with pytest.raises(Interrupted):
            go()
        broken, _, go = start(tmp_path / "broken", adversarial_step)
        go()
    scores = [[(r["kimg"], r["score"], r["best"]) for r in rows(run, "monitor")] for run in (whole, broken)]
    assert [kimg for kimg, *_ in scores[0]] == [1.024, 2.016, 3.008, 4.0]
    assert scores[1] == scores[0]
    for name in checkpoint.names(whole):
        files = [run.checkpoints / name / "generator.safetensors" for run in (whole, broken)]
        assert files[0].read_bytes() == files[1].read_bytes(), name


def test_an_interruption_saves_nothing_that_has_diverged(tmp_path: Path) -> None:
    """Finite losses, and gradients that explode: what is saved here is gone back to."""

    def step(game: Game, number: int, seed: int) -> dict[str, Any]:
        scalars = adversarial_step(game, number, seed)
        if number == 70:
            for p in game.family.discriminator.parameters():
                p.grad.mul_(1e9)
            signal.raise_signal(signal.SIGTERM)
        return scalars

    run, _, go = start(tmp_path / "run", step)
    with pytest.raises(Interrupted):
        go()
    assert checkpoint.images_at(run, checkpoint.names(run)[-1]) == 2016


def test_the_class_condition_fades_in_and_what_knows_less_of_it_is_not_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strengths: list[float] = []

    def step(game: Game, number: int, seed: int) -> dict[str, Any]:
        strengths.append(float(game.family.generator.condition_strength))
        assert float(game.family.discriminator.condition_strength) == strengths[-1]
        return adversarial_step(game, number, seed)

    scored = iter([0.01, 0.02, 0.03, 0.04])  # always worse
    score = Monitor.score
    monkeypatch.setattr(Monitor, "score", lambda self, generator: {**score(self, generator), "score": next(scored)})
    run, _, go = start(tmp_path / "run", step, fade_start=0.2, fade_end=0.7)
    go()
    assert strengths[:25] == [0.0] * 25  # 800 of 4000 images
    assert strengths == sorted(strengths)
    assert 0.2 < strengths[50] < 0.6
    assert strengths[90] == 1.0
    # 1.0, 2.0, 3.0 and 4.0 kimg: the first two while it fades in, and the last one knows no more than the third
    assert [r["best"] for r in rows(run, "monitor")] == [True, True, True, False]


@pytest.mark.parametrize("objective", ["minimax", "least-squares"])
def test_a_discriminator_that_cannot_win_further_has_won_with_smoothed_labels_too(objective: str) -> None:
    made = smoothed(OBJECTIVES.get(objective)(), objective, 0.1)
    logits = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    least = min(
        float(made.discriminator_loss(r, torch.tensor(-99.0 if objective == "minimax" else 0.0))) for r in logits
    )
    assert made.floor == pytest.approx(least, abs=1e-5)


def test_the_watch_leaves_healthy_trainings_alone(tmp_path: Path) -> None:
    run = Run(tmp_path)
    watch = Watch(run, NonSaturating.floor, 32)
    watch.averaged(torch.nn.Linear(2, 2))
    for k in range(20):
        watch.discriminator({"kimg": k / 2, "loss_d": 0.0005 if k % 5 else 0.1}, 20_000)
    for k, spread in enumerate((1.8, 0.4, 0.8, 0.3, None)):  # the first, of 10%, is noise
        watch.monitor({"spread": spread}, images=1000 + 2000 * k, total=10_000)
        run.append_metrics({"kind": "monitor", "kimg": 1 + 2 * k, "spread": spread})
    with pytest.raises(Diverged, match=r"collapsed.*15%.*before: 80%"):
        watch.monitor({"spread": 0.15}, images=9500, total=10_000)
    run.append_metrics({"kind": "monitor", "kimg": 9.1, "spread": 0.9, "target_spread": {"rare": 0.8}})
    watch.monitor({"spread": 0.85, "target_spread": {"rare": 0.3}}, images=9500, total=10_000)
    with pytest.raises(Diverged, match=r"its samples of rare vary 10%.*before: 80%"):  # one class of ten
        watch.monitor({"spread": 0.85, "target_spread": {"rare": 0.1}}, images=9500, total=10_000)
    (tmp_path / "other").mkdir()
    fresh = Watch(Run(tmp_path / "other"), None, 32)
    fresh.monitor({"spread": 0.01}, images=1000, total=10_000)  # hardly begun
    with pytest.raises(Diverged, match="collapsed"):
        fresh.monitor({"spread": 0.01}, images=5000, total=10_000)
    broken = torch.nn.Linear(2, 2)
    torch.nn.init.constant_(broken.bias, math.nan)
    with pytest.raises(Diverged, match="not finite"):
        fresh.averaged(broken)


@pytest.mark.parametrize(
    ("interval", "shown", "rows"),
    [
        (1000, 32, [4.5, 4.501, 5.0]),  # the second row is there because a score is due
        (3000, 32, [4.5, 4.501, 5.0, 5.5, 6.0, 6.5, 7.0]),
        (20_000, 32, [4.5, 4.501, 5.0, 5.5, 6.0, 6.5, 7.0, 7.5, 8.0, 8.5, 9.0]),
        (20_000, 4096, [8.1, 12.2]),
    ],
)
def test_a_discriminator_has_won_when_it_wins_for_5_kimg_or_an_interval(
    tmp_path: Path, interval: int, shown: int, rows: list[float]
) -> None:
    run = Run(tmp_path)
    watch = Watch(run, NonSaturating.floor, shown)
    healthy, *won = [{"kind": "step", "kimg": k, "loss_d": 0.0 if k > 4 else 0.7} for k in (4.0, *rows)]
    for row in (healthy, *won[:-1]):
        watch.discriminator(row, interval)
        run.append_metrics(row)
    for judge in (watch, Watch(run, NonSaturating.floor, shown)):  # as one that is resumed there
        with pytest.raises(Diverged, match="too strong") as raised:
            judge.discriminator(won[-1], interval)
        assert raised.value.since == rows[0]
    run.append_metrics({"kind": "rollback", "kimg": 0.5})
    Watch(run, NonSaturating.floor, shown).discriminator(won[-1], interval)  # what was before it is forgotten


def test_a_discriminator_may_be_ahead_in_the_first_images(tmp_path: Path) -> None:
    """Hinge without augmentation on Fashion-MNIST: the generator caught up, and all was well at 100 kimg."""
    run = Run(tmp_path)
    watch = Watch(run, NonSaturating.floor, 32)
    for kimg, loss in ((0.128, 3.0), (0.512, 0.0), (1.024, 0.0), (1.504, 0.0), (1.92, 0.0), (2.016, 0.0), (2.4, 0.0)):
        row = {"kind": "step", "kimg": kimg, "loss_d": loss}
        watch.discriminator(row, 1000)
        run.append_metrics(row)
    for judge in (watch, Watch(run, NonSaturating.floor, 32)):  # as one that is resumed there
        with pytest.raises(Diverged, match="too strong") as raised:
            judge.discriminator({"kind": "step", "kimg": 2.5, "loss_d": 0.0}, 1000)
        assert raised.value.since == 2.016  # what was before 2 kimg does not count
