"""mixup and CutMix against torchvision's; whom CMO pastes; and faults that these tests find."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot
from torchvision.transforms import v2

from synthaug.augment.mixing import MIXES, Mixing, cutmix, mixup
from synthaug.classifiers.steps import draws, partners


class Drawn:
    """A generator whose next integers are known."""

    def __init__(self, *integers: int) -> None:
        self.left = list(integers)

    def integers(self, high: int) -> int:
        value = self.left.pop(0)
        assert value < high
        return value


def against_torchvision(blend: Any, peer: type, seed: int) -> None:
    """Torchvision mixes each image with the one before it; λ and the box come from the same random numbers."""
    images, labels = torch.rand(5, 3, 12, 9, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1, 2, 0, 1])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        expected, targets = peer(alpha=0.7, num_classes=3)(images.clone(), labels)
        torch.manual_seed(seed)
        share = float(torch.distributions.Beta(torch.tensor([0.7]), torch.tensor([0.7])).sample(()))
        x, y = int(torch.randint(9, (1,))), int(torch.randint(12, (1,)))
    mixed, share = blend(images, images.roll(1, 0), share, Drawn(x, y))
    assert torch.allclose(mixed, expected, atol=1e-6)
    hot = one_hot(labels, 3).float()
    assert torch.allclose(share * hot + (1 - share) * hot.roll(1, 0), targets, atol=1e-6)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("blend", "peer"), [(mixup, v2.MixUp), (cutmix, v2.CutMix)])
def test_images_and_labels_are_torchvisions(blend: Any, peer: type, seed: int) -> None:
    against_torchvision(blend, peer, seed)


def test_planted_faults_are_found() -> None:
    def unadjusted(images: Tensor, others: Tensor, share: float, rng: Any) -> tuple[Tensor, float]:
        return cutmix(images, others, share, rng)[0], share  # the box was cut at the border

    def swapped(images: Tensor, others: Tensor, share: float, rng: Any) -> tuple[Tensor, float]:
        return mixup(others, images, share, rng)

    def found(fault: Any, peer: type, seed: int) -> bool:
        try:
            against_torchvision(fault, peer, seed)
        except AssertionError:
            return True
        return False

    for fault, peer in ((unadjusted, v2.CutMix), (swapped, v2.MixUp)):
        assert any(found(fault, peer, seed) for seed in range(12))


def test_features_can_be_mixed() -> None:
    rows = torch.tensor([[0.0, 1.0], [2.0, 3.0]])
    mixed, share = mixup(rows, rows.flip(0), 0.25, np.random.default_rng(0))
    assert share == 0.25
    assert torch.equal(mixed, torch.tensor([[1.5, 2.5], [0.5, 1.5]]))


def test_a_batch_is_mixed_as_often_as_is_said() -> None:
    images, rng = torch.rand(2, 1, 4, 4), np.random.default_rng(0)
    shares = [Mixing(mixup, alpha=1.0, often=0.3)(images, images.flip(0), rng)[1] for _ in range(2000)]
    assert np.mean([share < 1 for share in shares]) == pytest.approx(0.3, abs=0.03)
    assert np.mean([share for share in shares if share < 1]) == pytest.approx(0.5, abs=0.03)  # of Beta(1, 1)


LABELS = np.repeat([0, 1, 2], [90, 9, 1])


def test_cmo_pastes_images_of_each_class_equally_often() -> None:
    weights = np.where(np.arange(100) == 5, 0.0, 1.0)
    drawn = draws(weights, 100, 64, seed=0)
    pasted = partners(MIXES["cmo"], drawn, LABELS, weights, seed=0)
    assert pasted.shape == drawn.shape
    assert np.bincount(LABELS[pasted.ravel()]) / pasted.size == pytest.approx([1 / 3, 1 / 3, 1 / 3], abs=0.001)
    assert np.bincount(LABELS[drawn.ravel()]) / drawn.size == pytest.approx([89 / 99, 9 / 99, 1 / 99], abs=0.001)
    assert 5 not in pasted
    matched = np.mean(LABELS[pasted] == LABELS[drawn])
    assert matched == pytest.approx(1 / 3, abs=0.02)  # drawn independently of the background
    assert not np.array_equal(pasted, partners(MIXES["cmo"], drawn, LABELS, weights, seed=1))


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_the_others_mix_within_the_batch(name: Any) -> None:
    drawn = draws(np.ones(100), 20, 8, seed=0)
    others = partners(MIXES[name], drawn, LABELS, np.ones(100), seed=0)
    assert np.array_equal(np.sort(others, axis=1), np.sort(drawn, axis=1))
    assert not np.array_equal(others, drawn)
