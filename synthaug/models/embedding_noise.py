"""Noise on a generator's class embeddings while it trains: more, the rarer the class (NoisyTwins, 2304.05866, §4).

The generator sees a rare class as one fixed vector and a few images, and soon memorises them. With noise on the vector,
its neighbourhood must give images of the class, too. The paper also has a loss that keeps the styles of two neighbours
alike. It needs a mapping network and large batches, and is left out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from synthaug import processes
from synthaug.models.class_embedding import classes_of
from synthaug.models.family import Generator

BETA = 0.99


def deviations(counts: Tensor, sigma: float) -> Tensor:
    """σ (1 − β) ÷ (1 − β^n), float[K], of classes of n images: σ over their effective number (1901.05555, eq. 2).

    >>> deviations(torch.tensor([1, 25, 500]), 1.0)
    tensor([1.0000, 0.0450, 0.0101])
    """
    return sigma * (1 - BETA) / (1 - BETA ** counts.clamp(min=1).float())


class EmbeddingNoise:
    """Adds N(0, σ_y²) to each entry of what a generator's embeddings give for a class y.

    It acts on this generator, not on copies made before, and only after `rng` is set.

    Args:
        generator: each of its `nn.Embedding`s embeds classes.
        counts: int64[K], training images a class.
        sigma: standard deviation for a class of one image; that of a new embedding is 1.
    """

    def __init__(self, generator: Generator, counts: Tensor, sigma: float) -> None:
        self.rng: torch.Generator | None = None
        self._deviations = deviations(counts, sigma)
        for module in generator.modules():
            if isinstance(module, nn.Embedding):
                module.register_forward_hook(self._perturb)

    def _perturb(self, module: nn.Module, inputs: tuple[Tensor], embedded: Tensor) -> Tensor:
        if self.rng is None:
            return embedded
        noise = processes.randn(*embedded.shape, rng=self.rng)
        deviation = self._deviations[classes_of(inputs[0]).cpu()][:, None]
        return embedded + (deviation * noise).to(embedded)
