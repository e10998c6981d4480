"""Penalties on the discriminator (R1, R2, gradient penalty, consistency, LeCam) and on the generator."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synthaug import processes
from synthaug.augment.diffaugment import translation
from synthaug.data.batches import group_of
from synthaug.models.family import Generator
from synthaug.models.inputs import Inputs

Logits = list[Tensor]


@dataclass(frozen=True)
class DiscriminatorBatch:
    """What the discriminator's penalties see of one step.

    `discriminate` maps x float[B, C, H, W] to logits under the step's labels, which are repeated where x has a multiple
    of B rows. `discriminate_augmented` augments x first, as the step does. `real` and `fake` are float[B, C, H, W]
    before augmentation, `fake` without the generator's graph. Where they require gradients (see
    `Regularizer.differentiates`), the logits were computed from them.
    """

    discriminate: Callable[[Tensor], Logits]
    discriminate_augmented: Callable[[Tensor], Logits]
    real: Tensor
    fake: Tensor
    real_logits: Logits
    fake_logits: Logits
    rng: torch.Generator  # the step's; penalties take their random numbers from it


class Regularizer(nn.Module):
    """A penalty on the discriminator: every `interval` steps its loss gets weight × interval × penalty.

    State that lasts longer than a step is a buffer, so that checkpoints hold it.
    """

    interval: int = 1
    whole_batch: bool = False  # whether it compares all images of a batch with each other
    second_order: bool = False  # whether it differentiates a gradient of the discriminator
    differentiates: Literal["real", "fake"] | None = None  # images by which it differentiates the step's own logits

    def forward(self, batch: DiscriminatorBatch) -> Tensor:
        """Return a scalar."""
        raise NotImplementedError


@dataclass(frozen=True)
class GeneratorBatch:
    """What the generator's penalties see of one step."""

    generator: Generator
    inputs: Inputs  # neighbours share their class: synthaug.data.batches.GROUP
    fake: Tensor  # G(inputs) before augmentation, float[B, C, H, W], with its graph


class GeneratorRegularizer(nn.Module):
    """A penalty on the generator: every `interval` steps its loss gets weight × interval × penalty."""

    interval: int = 1
    whole_batch: bool = False  # as for `Regularizer`

    def forward(self, batch: GeneratorBatch) -> Tensor:
        """Return a scalar."""
        raise NotImplementedError


def _input_gradient(logits: Logits, x: Tensor) -> Tensor:
    """∇ₓ of the sum of all logits, float32 of x's shape, differentiable once more."""
    (gradient,) = torch.autograd.grad(torch.stack([head.sum() for head in logits]).sum(), x, create_graph=True)
    return gradient.float()


def _half_squared_norm(discriminate: Callable[[Tensor], Logits], x: Tensor, logits: Logits) -> Tensor:
    """½ E[‖∇ₓ D(x)‖²], by the step's logits where these were computed from x, else by another pass."""
    if not x.requires_grad:
        x = x.detach().requires_grad_(True)
        logits = discriminate(x)
    return 0.5 * _input_gradient(logits, x).square().sum(dim=(1, 2, 3)).mean()


class R1(Regularizer):
    """½ E[‖∇ₓ D(x)‖²] on real images (1801.04406, eq. 9), computed lazily (1912.04958 §3.1)."""

    interval = 4
    second_order = True
    differentiates = "real"

    def forward(self, batch: DiscriminatorBatch) -> Tensor:
        return _half_squared_norm(batch.discriminate_augmented, batch.real, batch.real_logits)


class R2(Regularizer):
    """½ E[‖∇ₓ D(x)‖²] on generated images (1801.04406, eq. 10), as lazily as R1."""

    interval = 4
    second_order = True
    differentiates = "fake"

    def forward(self, batch: DiscriminatorBatch) -> Tensor:
        return _half_squared_norm(batch.discriminate_augmented, batch.fake, batch.fake_logits)


class GradientPenalty(Regularizer):
    """E[(‖∇ₓ̂ D(x̂)‖ − 1)²] at random points x̂ between real and generated images (1704.00028, eq. 3)."""

    second_order = True

    def forward(self, batch: DiscriminatorBatch) -> Tensor:
        share = processes.rand(len(batch.real), 1, 1, 1, rng=batch.rng).to(batch.real.device)
        between = torch.lerp(batch.real.detach(), batch.fake.detach(), share).requires_grad_(True)
        gradient = _input_gradient(batch.discriminate_augmented(between), between)
        # the small number keeps the root's own derivative finite where the gradient vanishes
        norm = (gradient.square().sum(dim=(1, 2, 3)) + 1e-12).sqrt()
        return (norm - 1).square().mean()


class Consistency(Regularizer):
    """E[(D(x) − D(T(x)))²] on real images, T a shift by up to an eighth of the side (CR-GAN, 1910.12027, eq. 3).

    The paper's T also mirrors. Here it does not: a mirrored letter is another class.
    """

    def forward(self, batch: DiscriminatorBatch) -> Tensor:
        # one pass for both: under spectral norm they must meet the same weights
        real = batch.real.detach()
        logits = batch.discriminate(torch.cat([real, translation(real, batch.rng)]))
        pairs = [head.chunk(2) for head in logits]
        return torch.stack([(before - after).square().mean() for before, after in pairs]).mean()


class LeCam(Regularizer):
    """E[relu(D(x) − α_F)²] + E[relu(α_R − D(G(z)))²] with moving averages α of the logits (2104.03310, eq. 5).

    It pulls real and fake logits towards each other's averages, which restrains a discriminator that has memorised a
    small data set. It starts after `start` calls, when the averages have settled.
    """

    whole_batch = True
    decay = 0.99
    start = 1000

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("average_real", torch.zeros(()))
        self.register_buffer("average_fake", torch.zeros(()))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    average_real: Tensor
    average_fake: Tensor
    steps: Tensor

    def forward(self, batch: DiscriminatorBatch) -> Tensor:
        real_all, fake_all = (
            torch.cat([x.float().flatten() for x in logits]) for logits in (batch.real_logits, batch.fake_logits)
        )
        with torch.no_grad():
            decay = self.decay if self.steps > 0 else 0.0
            self.average_real.lerp_(processes.mean(real_all.mean()), 1 - decay)
            self.average_fake.lerp_(processes.mean(fake_all.mean()), 1 - decay)
            self.steps += 1
        active = (self.steps > self.start).float()
        penalty = (
            F.relu(real_all - self.average_fake).square().mean() + F.relu(self.average_real - fake_all).square().mean()
        )
        return active * penalty


class ConditionalSpectral(GeneratorRegularizer):
    """Σ_y σ_max²(Γ_y), averaged over the generator's conditional parameters (gSR, 2208.09932, eq. 5).

    Γ_y folds the vector that class y gives to a layer into a near-square matrix. When a rare class collapses, one
    singular value grows far above the others. Penalising it keeps the class's channels independent.
    """

    interval = 4

    def forward(self, batch: GeneratorBatch) -> Tensor:
        return torch.stack([self._spectral(p.float()) for p in batch.generator.conditional_parameters()]).mean()

    def _spectral(self, vectors: Tensor) -> Tensor:
        """vectors: float[K, C], a row a class."""
        classes, size = vectors.shape
        rows = next(r for r in range(math.isqrt(size), 0, -1) if size % r == 0)
        sigma: Tensor = torch.linalg.matrix_norm(vectors.view(classes, rows, size // rows), ord=2)
        return sigma.square().sum()


class ModeSeeking(GeneratorRegularizer):
    """mean‖z₁ − z₂‖₁ ÷ mean‖G(z₁, y) − G(z₂, y)‖₁ over pairs of one class (MSGAN, 1903.05628, eq. 4, turned over).

    It is cheap. It is large when the images of a class are alike for any noise: conditional generators collapse
    in this way.
    """

    whole_batch = True

    def forward(self, batch: GeneratorBatch) -> Tensor:
        labels, group = batch.inputs.labels, group_of(len(batch.fake))
        within = torch.arange(1, len(labels), device=labels.device) % group != 0  # else pairs across processes are lost
        first = torch.nonzero((labels[1:] == labels[:-1]) & within).squeeze(1)
        if len(first) == 0:
            return batch.fake.new_zeros(())
        images, noise = (
            processes.mean((x[first] - x[first + 1]).float().abs().mean()) for x in (batch.fake, batch.inputs.noise)
        )
        return noise / (images + 1e-5)
