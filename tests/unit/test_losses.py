"""The losses against torch, torchvision, scikit-learn and the papers' formulas; and faults that these tests find."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from synthaug.classifiers.losses import (
    LOSSES,
    LossFunction,
    effective_number,
    focal,
    inverse_frequency,
    logit_adjusted,
    priors_of,
)

PRIORS = torch.tensor([0.70, 0.25, 0.05])


def batch(classes: int = 3, n: int = 40) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, classes, generator=generator) * 3, torch.randint(classes, (n,), generator=generator)


@pytest.mark.parametrize("name", list(LOSSES))
def test_class_weights_are_torch_weights(name: str) -> None:
    """Σ w · loss ÷ Σ w over the images, as `torch.nn.functional.cross_entropy` defines it."""
    logits, labels = batch()
    weights = torch.tensor([1.0, 2.0, 7.0])
    each = torch.stack([LOSSES[name](f[None], y[None], PRIORS, None) for f, y in zip(logits, labels, strict=True)])
    by_hand = (each * weights[labels]).sum() / weights[labels].sum()
    assert LOSSES[name](logits, labels, PRIORS, weights) == pytest.approx(float(by_hand), rel=1e-5)
    assert LOSSES[name](logits, labels, PRIORS, None) == pytest.approx(float(each.mean()), rel=1e-5)


def test_logit_adjusted_is_the_papers_formula() -> None:
    """Equation 10: log(1 + Σ over y' ≠ y of (π_y' / π_y) · exp(f_y' − f_y))."""
    logits, labels = batch()
    pi, found = PRIORS.numpy(), []
    for f, y in zip(logits.numpy(), labels.numpy(), strict=True):
        others = [k for k in range(3) if k != y]
        found.append(np.log(1 + sum(pi[k] / pi[y] * np.exp(f[k] - f[y]) for k in others)))
    assert logit_adjusted(logits, labels, PRIORS, None) == pytest.approx(np.mean(found), rel=1e-5)


def distance_from_balanced(loss: LossFunction) -> float:
    """How far the minimum of a loss is from the posterior of balanced classes, in probability.

    Three classes with known likelihoods of four inputs; the data are infinite: each (input, class) counts with its
    probability.
    """
    likelihood = torch.tensor([[0.4, 0.3, 0.2, 0.1], [0.1, 0.5, 0.2, 0.2], [0.25, 0.05, 0.3, 0.4]])  # [class, input]
    joint = PRIORS[:, None] * likelihood
    logits = torch.zeros(4, 3, requires_grad=True)
    optimiser = torch.optim.LBFGS([logits], max_iter=500, line_search_fn="strong_wolfe")

    def risk() -> Tensor:
        optimiser.zero_grad()
        total = sum(
            joint[y, x] * loss(logits[x][None], torch.tensor([y]), PRIORS, None) for x in range(4) for y in range(3)
        )
        assert isinstance(total, Tensor)
        total.backward()
        return total

    optimiser.step(risk)
    balanced = (likelihood / likelihood.sum(0)).T
    return float((logits.detach().softmax(1) - balanced).abs().max())


def test_logit_adjusted_finds_the_posterior_of_balanced_classes() -> None:
    """The paper's claim (section 4), and what a wrong sign, or no adjustment, does to it."""

    def wrong_sign(logits: Tensor, labels: Tensor, priors: Tensor, weights: Tensor | None) -> Tensor:
        return torch.nn.functional.cross_entropy(logits - priors.log(), labels)

    assert distance_from_balanced(logit_adjusted) < 1e-3
    assert distance_from_balanced(wrong_sign) > 0.3
    assert distance_from_balanced(LOSSES["cross-entropy"]) > 0.3


def test_focal_with_two_classes_is_torchvisions() -> None:
    logits, labels = batch(classes=2)
    theirs = sigmoid_focal_loss(logits[:, 1] - logits[:, 0], labels.float(), alpha=-1, gamma=2, reduction="mean")
    assert focal(logits, labels, PRIORS, None) == pytest.approx(float(theirs), rel=1e-5)
    weighed = sigmoid_focal_loss(logits[:, 1] - logits[:, 0], labels.float(), alpha=0.9, gamma=2, reduction="none")
    alpha = torch.tensor([0.1, 0.9])  # of the label 0, and of the label 1
    expected = weighed.sum() / alpha[labels].sum()
    assert focal(logits, labels, PRIORS, alpha) == pytest.approx(float(expected), rel=1e-5)


def test_focal_is_the_papers_example() -> None:
    """Section 3.2, γ = 2: p = 0.9 has 100 times less loss than with cross-entropy, and p ≈ 0.968 about 1000 times."""
    for p, times in ((0.9, 100), (0.9684, 1000)):
        logits, label = torch.tensor([[np.log(p), np.log(1 - p)]], dtype=torch.float64), torch.tensor([0])
        ratio = float(LOSSES["cross-entropy"](logits, label, PRIORS, None) / focal(logits, label, PRIORS, None))
        assert ratio == pytest.approx(times, rel=0.01)


def test_focal_of_three_classes_by_numpy() -> None:
    logits, labels = batch()
    rows = np.arange(len(labels))
    p, log_p = softmax(logits.numpy(), axis=1)[rows, labels], log_softmax(logits.numpy(), axis=1)[rows, labels]
    assert focal(logits, labels, PRIORS, None) == pytest.approx(-((1 - p) ** 2 * log_p).mean(), rel=1e-5)


def test_inverse_frequency_is_scikit_learns_balanced() -> None:
    labels = np.repeat([0, 1, 2], [60, 6, 30])
    balanced = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert inverse_frequency(np.bincount(labels)) == pytest.approx(balanced)


@pytest.mark.parametrize("beta", [0.9, 0.99, 0.999, 0.9999])
def test_effective_number_is_the_papers_sum(beta: float) -> None:
    """E_n = 1 + β + β² + … + β^(n−1) (eq. 3); β → 0 gives equal weights and β → 1 the inverse frequency."""
    counts = np.array([300, 12, 60])
    numbers = np.array([sum(beta**i for i in range(n)) for n in counts])
    weights = effective_number(counts, beta)
    assert weights / weights.sum() == pytest.approx(1 / numbers / (1 / numbers).sum())
    assert (weights * counts).sum() == pytest.approx(counts.sum())


def test_effective_number_lies_between_equal_weights_and_the_inverse_frequency() -> None:
    counts = np.array([300, 12, 60])
    assert effective_number(counts, 0.0) == pytest.approx(np.ones(3))
    assert effective_number(counts, 1 - 1e-9) == pytest.approx(inverse_frequency(counts), rel=1e-5)
    between = effective_number(counts)
    assert 1 < between[1] / between[0] < 0.6 * 300 / 12


@pytest.mark.parametrize("weigh", [inverse_frequency, effective_number])
def test_a_class_without_images_changes_no_other_weight(weigh: Callable[[np.ndarray], np.ndarray]) -> None:
    assert weigh(np.array([30, 0, 10]))[[0, 2]] == pytest.approx(weigh(np.array([30, 10])))


def test_priors_are_the_shares_of_the_draws() -> None:
    labels, weights = np.array([0, 0, 1, 1]), np.array([1.0, 1.0, 0.5, 1.5])
    assert priors_of(labels, weights, 2) == pytest.approx([0.5, 0.5])
    assert priors_of(labels, weights, 3) == pytest.approx([0.5, 0.5, 0.5])  # a class without images
