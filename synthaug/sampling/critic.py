"""Scores images with the discriminator of a run, and calibrates the scores on held-out images.

A score is the mean of the discriminator's logits over its heads and places. Only logistic losses train logits that are
log-odds, and those are overconfident on training images. So σ(a · score + b) is fitted to held-out real images against
generated ones, as in MH-GAN (1811.11357). Then a · score is a log density ratio up to a constant, for any objective and
for the averaged generator, although the discriminator was trained against another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from synthaug.data.batches import as_float
from synthaug.features.base import hash_weights
from synthaug.models.blocks import without_spectral_norm
from synthaug.models.family import Discriminator
from synthaug.models.inputs import CHUNK

Scores = NDArray[np.float64]


class Critic:
    """A trained discriminator in evaluation mode, on its device."""

    def __init__(self, network: Discriminator) -> None:
        self.network = network
        self.sha256 = hash_weights(network.state_dict())

    def __getstate__(self) -> dict[str, Any]:
        without_spectral_norm(self.network)  # it cannot be pickled, and the weights stay as they are
        return vars(self)

    @torch.inference_mode()
    def scores(self, pixels: NDArray[np.uint8], class_index: int) -> Scores:
        """The score [n] of images uint8 [n, C, H, W] of one class; higher is more like a real image.

        Chunks are always full: the last one is filled up with the first images. A minibatch statistic compares groups
        of neighbours, and no group may be smaller than in training.
        """
        n, device = len(pixels), self.network.condition_strength.device
        scores = np.empty(n)
        for start in range(0, n, CHUNK):
            rows = np.arange(start, start + CHUNK) % n
            x = as_float(torch.from_numpy(pixels[rows]).to(device))
            y = torch.full((CHUNK,), class_index, device=device)
            heads = self.network(x.contiguous(memory_format=torch.channels_last), y)
            mean = torch.stack([head.float().mean(dim=1) for head in heads]).mean(dim=0)
            scores[start : start + CHUNK] = mean.cpu().numpy()[: n - start]
        return scores


def calibrate(real: Mapping[Any, Scores], fake: Mapping[Any, Scores]) -> float:
    """The slope a of σ(a · score + b_y), fitted to tell `real` from `fake`; both map a class to its scores.

    Each class has its own offset b_y. All share the slope, so it also holds for a class with few held-out images or
    none. Real and generated images weigh the same within a class. Targets are smoothed after Platt, (n + 1) / (n + 2)
    and 1 / (n + 2); otherwise a would be infinite for scores that do not overlap.

    >>> rng = np.random.default_rng(0)  # of densities N(1, 1) and N(0, 1) the log ratio is x − 1/2: a is 1
    >>> round(calibrate({"a": rng.normal(1, 1, 4000)}, {"a": rng.normal(0, 1, 4000)}), 1)
    1.0
    """
    spread = float(np.std(np.concatenate([*real.values(), *fake.values()]))) or 1.0
    n_real = sum(map(len, real.values()))
    score, target, weight, of_class = [], [], [], []
    for k, label in enumerate(real):
        high, low = (n_real + 1) / (n_real + 2), 1 / (n_real + 2)
        fake_weight = len(real[label]) / len(fake[label])
        for scores, aim, each in ((real[label], high, 1.0), (fake[label], low, fake_weight)):
            score.append(scores / spread)
            target.append(np.full(len(scores), aim))
            weight.append(np.full(len(scores), each))
            of_class.append(np.full(len(scores), k))
    x, t, w, c = (np.concatenate(arrays) for arrays in (score, target, weight, of_class))

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logit = parameters[0] * x + parameters[1 + c]
        residual = w * (expit(logit) - t)
        gradient = np.concatenate([[residual @ x], np.bincount(c, residual, len(real))])
        return float(w @ (np.logaddexp(0, logit) - t * logit)), gradient

    fitted = minimize(loss, np.zeros(1 + len(real)), jac=True, method="L-BFGS-B")
    return float(fitted.x[0]) / spread
