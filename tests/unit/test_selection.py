"""Selection by a discriminator: planted bad candidates, known densities, and nothing that depends on a count."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from export_material import Z_DIM, Painter, Smoothness, pixels
from scipy.special import expit
from torch import Tensor

from synthaug.data.cache import LabelledImages
from synthaug.errors import SynthaugError
from synthaug.models.blocks import MinibatchStd
from synthaug.models.codes import Codes
from synthaug.models.inputs import CHUNK, noise
from synthaug.runs import Run
from synthaug.sampling.critic import Critic, calibrate
from synthaug.sampling.gate import Gate
from synthaug.sampling.gated_samples import gated_samples
from synthaug.sampling.generate import SeededGenerator
from synthaug.sampling.selection import Rejection, Selector, TopK, build_selector, evidence
from synthaug.sampling.trained import TrainedGenerator
from synthaug.seeds import coin

CLASSES = ["disc", "ring", "stripes"]


def sampler(seed: int = 0) -> SeededGenerator:
    network = Painter(3, 16, "rough")
    trained = TrainedGenerator(
        run=Run(Path("nowhere")), network=network, classes=CLASSES, targets=[], channels=3, resolution=16, z_dim=Z_DIM,
        seed=0, kimg=0, sha256="", checkpoint="", device=torch.device("cpu"), codes=Codes(),
    )  # fmt: skip
    return SeededGenerator(trained, seed)


def held_out(counts: tuple[int, ...] = (40, 40, 0)) -> LabelledImages:
    labels = np.repeat(np.arange(3), counts)
    images = [pixels(n, k, seed=9) for k, n in enumerate(counts) if n]
    return LabelledImages(np.concatenate(images), labels, CLASSES, [str(i) for i in range(len(labels))])


def good(label: str, indices: Iterable[int]) -> float:
    """The share of samples that are not among the planted bad ones."""
    z = noise(0, CLASSES.index(label), [int(index) for index in indices], Z_DIM)
    return float((z[:, 0] <= 0).float().mean())


def selector(method: str, keep: float = 0.5, scale: float = 10.0) -> Selector:
    made = build_selector(method, keep, Critic(Smoothness(scale)), sampler(), held_out)
    made.prepare(CLASSES)
    return made


def accepted(made: Selector, label: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    gate = Gate.without_checks(CLASSES)
    gate.selector = made
    samples = gated_samples(sampler(), gate, label, count)
    return samples.pixels, samples.indices


@pytest.mark.parametrize("method", ["top-k", "drs"])
def test_another_process_selects_the_same(method: str) -> None:
    made = selector(method)
    sent = pickle.loads(pickle.dumps(made))
    pixels, label = sampler().chunk("ring", 0), sampler().class_index("ring")
    for here, there in zip(made.choose(pixels, label), sent.choose(pixels, label), strict=True):
        assert np.array_equal(here, there)


# nothing of "stripes" is held out, so that it borrows the slope; its good images are not smooth either
@pytest.mark.parametrize(("label", "least"), [("disc", 0.9), ("ring", 0.9), ("stripes", 0.65)])
@pytest.mark.parametrize("method", ["top-k", "drs"])
def test_planted_bad_images_are_turned_away(method: str, label: str, least: float) -> None:
    assert 0.4 < good(label, range(256)) < 0.6
    assert good(label, accepted(selector(method, 0.4), label, 128)[1]) > least


@pytest.mark.parametrize("method", ["top-k", "drs"])
def test_the_first_accepted_do_not_depend_on_how_many_are_wanted(method: str) -> None:
    few, many = (accepted(selector(method), "ring", count) for count in (20, 150))
    assert (few[0] == many[0][:20]).all()
    assert (few[1] == many[1][:20]).all()


@pytest.mark.parametrize("scale", [0.1, 10.0, 1000.0])
def test_the_scale_of_the_scores_does_not_matter(scale: float) -> None:
    """A critic's scores have any scale (Wasserstein), hinge logits a small one; calibration takes it out."""
    one, other = (accepted(selector("drs", 0.4, s), "disc", 100)[1] for s in (1.0, scale))
    assert len(set(one) & set(other)) >= 97


@pytest.mark.parametrize("share", [0.02, 0.25, 1.0])
def test_top_k_keeps_its_share_of_a_chunk_and_the_best_of_it(share: float) -> None:
    made = TopK(Critic(Smoothness()), share)
    scores, kept = made.choose(sampler().chunk("disc", 0), 0)
    assert kept.sum() == max(1, round(share * CHUNK))
    assert scores[kept].min() >= scores[~kept].max(initial=-np.inf)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.7])
def test_rejection_sampling_keeps_about_its_share(share: float) -> None:
    made = selector("drs", share)
    kept = np.concatenate([made.choose(sampler(5).chunk("disc", chunk), 0)[1] for chunk in range(12)])
    assert kept.mean() == pytest.approx(share, abs=0.15)
    assert set(made.limits(0)) == {"largest_logit", "gamma"}


def test_evidence_turns_one_density_into_another() -> None:
    """x uniform on [0, 1], data of density 2x: the logit is log 2x, and what is accepted has the data's moments."""
    x = np.random.default_rng(0).uniform(size=100_000)
    kept = x[np.random.default_rng(1).uniform(size=len(x)) < expit(evidence(np.log(2 * x), np.log(2)))]
    assert len(kept) / len(x) == pytest.approx(1 / 2, abs=0.01)
    assert kept.mean() == pytest.approx(2 / 3, abs=0.005)
    assert kept.var() == pytest.approx(1 / 18, abs=0.002)


def test_a_score_above_the_pilot_samples_is_accepted() -> None:
    assert expit(evidence(np.array([3.0, 2.0]), 2.0)).min() > 0.999999


def test_coins_are_uniform_and_each_images_own() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2000, 1, 4, 4), dtype=np.uint8)
    coins = np.array([coin(image) for image in images])
    assert np.abs(np.quantile(coins, [0.1, 0.5, 0.9]) - [0.1, 0.5, 0.9]).max() < 0.05
    assert coin(images[7].copy()) == coins[7]


def test_scores_do_not_depend_on_how_many_there_are() -> None:
    class Grouped(Smoothness):
        def __init__(self) -> None:
            super().__init__()
            self.statistic = MinibatchStd()

        def forward(self, x: Tensor, y: Tensor) -> list[Tensor]:
            channel = self.statistic(x)[:, -1:]
            return [super().forward(x, y)[0] + channel.mean(dim=(2, 3))]

    images = pixels(150, 0, seed=3)
    critic = Critic(Grouped())
    scores = critic.scores(images, 0)
    assert scores.shape == (150,)
    assert (scores[:64] == critic.scores(images[:64], 0)).all()
    assert (scores[64:128] == critic.scores(images[64:128], 0)).all()
    assert np.isfinite(critic.scores(images[:1], 0)).all()
    # 150 = 2 · 64 + 22: without filling up, the last group would be one of two
    assert np.allclose(scores[128:148], critic.scores(images[128:148], 0))
    assert critic.scores(images[:0], 0).shape == (0,)


def test_heads_are_averaged() -> None:
    images = pixels(10, 0, seed=3)
    assert np.allclose(Critic(Smoothness(heads=3)).scores(images, 0), Critic(Smoothness()).scores(images, 0))


def test_the_slope_is_that_of_the_log_ratio_within_classes() -> None:
    """Between the classes, scores differ for reasons that say nothing of real and generated."""
    rng = np.random.default_rng(0)
    real = {"a": rng.normal(1, 1, 3000), "b": rng.normal(31, 1, 200)}
    fake = {"a": rng.normal(0, 1, 500), "b": rng.normal(30, 1, 500)}
    assert calibrate(real, fake) == pytest.approx(1.0, abs=0.15)
    wide = [{label: 50 * scores for label, scores in both.items()} for both in (real, fake)]
    assert calibrate(*wide) == pytest.approx(calibrate(real, fake) / 50, rel=0.02)
    assert calibrate(fake, real) == pytest.approx(-1.0, abs=0.15)


def test_scores_that_do_not_overlap_have_a_finite_slope() -> None:
    assert 0 < calibrate({"a": np.linspace(2, 3, 30)}, {"a": np.linspace(0, 1, 512)}) < 100


def test_too_few_held_out_images_are_an_error() -> None:
    made = build_selector("drs", 0.5, Critic(Smoothness()), sampler(), lambda: held_out((10, 9, 0)))
    with pytest.raises(SynthaugError, match=r"needs 20 held-out images .* 19 in val") as caught:
        made.prepare(CLASSES)
    assert "top-k" in caught.value.hint


def test_a_discriminator_that_prefers_generated_images_is_an_error() -> None:
    made = build_selector("drs", 0.5, Critic(Smoothness(-10.0)), sampler(), held_out)
    with pytest.raises(SynthaugError, match="does not score held-out real images higher"):
        made.prepare(CLASSES)


def test_pilot_samples_are_not_those_that_are_exported() -> None:
    made = build_selector("drs", 0.5, Critic(Smoothness()), sampler(), held_out)
    assert isinstance(made, Rejection)
    seen: list[bytes] = []
    original = made.critic.scores
    made.critic.scores = lambda images, index: seen.extend(i.tobytes() for i in images) or original(images, index)  # type: ignore[method-assign]
    made.prepare(["disc"])
    assert not {image.tobytes() for image in sampler().sample("disc", 512)} & set(seen)
