"""Truncation: images nearer to the centre of their class, less varied and more typical.

latent ← centre_y + ψ (latent − centre_y), 0 < ψ ≤ 1, as StyleGAN truncates w (1812.04948, appendix B), but towards the
centre of each class, because the mean of all classes looks like none of them. In a family without a mapping network the
latent is z with centre 0, so z ~ N(0, ψ²). BigGAN draws entries of z above a threshold again (1809.11096 §3.1). Here z
is scaled instead: ψ then means the same in all families, image i stays similar, and ψ = 1 changes nothing.
InfoGAN's codes are not moved.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from synthaug.errors import SynthaugError
from synthaug.models.family import Generator
from synthaug.models.inputs import Inputs
from synthaug.sampling.trained import TrainedGenerator

_BATCH = 64
_PAIRS = 80 * _BATCH
"""A centre is the mean over this many noises and their negatives; odd functions of z cancel exactly."""


@dataclass(frozen=True)
class Truncation:
    """A trained generator whose latents are at `psi` times their distance from their class's centre.

    Raises:
        SynthaugError: there is no noise, or the network maps z and its codes together, so that the codes cannot be
            left alone.
    """

    trained: TrainedGenerator
    psi: float
    _centres: dict[int, Tensor] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if not self.trained.network.uses_noise:
            raise SynthaugError("truncation moves noise, and this run's family has none", "leave --truncation out")
        if self.trained.attributes is not None and type(self.trained.network).latents is not Generator.latents:
            raise SynthaugError(
                "truncation would move the conditions of this run, whose family mixes them with the noise",
                "leave --truncation out",
            )
        if self.trained.codes and type(self.trained.network).latents is not Generator.latents:
            raise SynthaugError(
                "truncation would move the codes of this run, whose family mixes them with the noise",
                "leave --truncation out",
            )

    @torch.inference_mode()
    def generate(self, inputs: Inputs) -> Tensor:
        """As `TrainedGenerator.generate`."""
        network, codes = self.trained.network, self.trained.codes
        inputs = codes.encoded(inputs.to(self.trained.device))
        latents = network.latents(inputs)
        centres = torch.stack([self.centre(label) for label in inputs.labels.tolist()])
        moved = torch.lerp(centres, latents, self.psi)
        moved[:, : codes.size] = latents[:, : codes.size]
        return network.synthesise(moved, inputs).float()

    @torch.inference_mode()
    def centre(self, class_index: int) -> Tensor:
        """The mean latent of one class, float32[d]; the same at each call, in each process."""
        if class_index not in self._centres:
            trained, rng = self.trained, torch.Generator().manual_seed(0)
            y = torch.full((_BATCH,), class_index, device=trained.device)
            total = torch.zeros((), dtype=torch.float64)
            for _ in range(_PAIRS // _BATCH):  # batches of 64, whose results do not depend on the number of threads
                z = torch.randn(_BATCH, trained.z_dim, generator=rng).to(trained.device)
                for noise in (z, -z):
                    total = total + trained.network.latents(Inputs(y, noise)).cpu().double().sum(dim=0)
            self._centres[class_index] = (total / (2 * _PAIRS)).float().to(trained.device)
        return self._centres[class_index]
