"""Noise on a generator's class embeddings while it trains: more, the rarer the class (NoisyTwins, 2304.05866, §4).

A rare class gives the generator one fixed vector and a few images, and the pair is soon learnt by heart. With noise on
the vector its surroundings must give images of the class too. The paper's second half, a loss that keeps the styles of
two such neighbours alike, needs a mapping network and large batches and is not here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

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

    It acts on this generator alone, not on a copy that was made before, and only from where `rng` is set.

    Args:
        generator: every `nn.Embedding` in it is one of classes.
        counts: int64[K], training images a class.
        sigma: standard deviation for a class of one image, where an embedding begins with 1.
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
        noise = torch.randn(embedded.shape, generator=self.rng)
        deviation = self._deviations[inputs[0].cpu()][:, None]
        return embedded + (deviation * noise).to(embedded)
