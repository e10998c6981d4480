"""What the discriminator of a run thinks of images, and how much that says about images it has never seen.

A score is the mean of the discriminator's logits over its heads and places. What a difference of scores means depends
on the objective: only logistic losses train logits that are log-odds, and those are too sure of images that they were
trained on. So σ(a · score + b) is fitted to held-out real images against generated ones, as MH-GAN does (1811.11357):
then a · score is a log density ratio up to a constant, whatever the objective, and however far the averaged generator
has moved from the one that the discriminator was trained against.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from synthaug.features.base import hash_weights
from synthaug.models.family import Discriminator
from synthaug.models.inputs import CHUNK

Scores = NDArray[np.float64]


class Critic:
    """A trained discriminator in evaluation mode, on its device."""

    def __init__(self, network: Discriminator) -> None:
        self.network = network
        self.sha256 = hash_weights(network.state_dict())

    @torch.inference_mode()
    def scores(self, pixels: NDArray[np.uint8], class_index: int) -> Scores:
        """The score [n] of each of the images uint8 [n, C, H, W] as one of a class: higher is more like a real one.

        Always in full chunks, the last one filled with the images from the first on: a discriminator with a minibatch
        statistic sees groups of neighbours, and no group may be smaller than in training.
        """
        n = len(pixels)
        scores = np.empty(n)
        for start in range(0, n, CHUNK):
            rows = np.arange(start, start + CHUNK) % n
            x = torch.from_numpy(pixels[rows]).to(self._device).float().div_(127.5).sub_(1)
            y = torch.full((CHUNK,), class_index, device=self._device)
            heads = self.network(x.contiguous(memory_format=torch.channels_last), y)
            mean = torch.stack([head.float().mean(dim=1) for head in heads]).mean(dim=0)
            scores[start : start + CHUNK] = mean.cpu().numpy()[: n - start]
        return scores

    @property
    def _device(self) -> torch.device:
        return self.network.condition_strength.device


def calibrate(real: Mapping[Any, Scores], fake: Mapping[Any, Scores]) -> float:
    """The slope a of σ(a · score + b_y), fitted to tell `real` from `fake`: class → scores, in both.

    Each class has an offset of its own and all have one slope, so that a class with few held-out images, or with none,
    borrows what its scores mean. Real and generated images weigh the same within a class. Targets are Platt's
    smoothed ones, (n + 1) / (n + 2) and 1 / (n + 2), without which scores that do not overlap would make a infinite.

    >>> rng = np.random.default_rng(0)  # of densities N(1, 1) and N(0, 1) the log ratio is x − 1/2: a is 1
    >>> round(calibrate({"a": rng.normal(1, 1, 4000)}, {"a": rng.normal(0, 1, 4000)}), 1)
    1.0
    """
    spread = float(np.std(np.concatenate([*real.values(), *fake.values()]))) or 1.0
    n_real = sum(map(len, real.values()))
    score, target, weight, of_class = [], [], [], []
    for k, label in enumerate(real):
        for scores, each, is_real in (
            (real[label], 1.0, True),
            (fake[label], len(real[label]) / len(fake[label]), False),
        ):
            score.append(scores / spread)
            target.append(np.full(len(scores), (n_real + 1) / (n_real + 2) if is_real else 1 / (n_real + 2)))
            weight.append(np.full(len(scores), each))
            of_class.append(np.full(len(scores), k))
    x, t, w, c = (np.concatenate(parts) for parts in (score, target, weight, of_class))

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logit = parameters[0] * x + parameters[1 + c]
        residual = w * (expit(logit) - t)
        gradient = np.concatenate([[residual @ x], np.bincount(c, residual, len(real))])
        return float(w @ (np.logaddexp(0, logit) - t * logit)), gradient

    fitted = minimize(loss, np.zeros(1 + len(real)), jac=True, method="L-BFGS-B")
    return float(fitted.x[0]) / spread
