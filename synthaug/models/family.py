"""What a family of networks offers to training and sampling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synthaug import processes
from synthaug.config import ModelConfig
from synthaug.data.batches import as_float
from synthaug.models.blocks import convolutions
from synthaug.models.inputs import Inputs


@dataclass(frozen=True)
class ImageShape:
    """What the networks must fit: square images of `resolution` px with `channels` channels in `classes` classes.

    `attributes`: how many numbers describe an image beside its class; see `synthaug.data.conditions`.
    """

    resolution: int
    channels: int
    classes: int
    attributes: int = 0


class _Conditional(nn.Module):
    """A network that is conditioned on classes."""

    condition_strength: Tensor
    """How much of the class condition counts: a scalar buffer in [0, 1], saved with the weights."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("condition_strength", torch.ones(()))

    def set_progress(self, progress: float) -> None:
        """Change to the form for `progress` in [0, 1] of the training; most networks never change."""


class Generator(_Conditional):
    """G(inputs) -> float[B, C, H, W] in [-1, 1].

    `starts_from_images`: whether `Inputs.sources` are needed. `uses_noise`: whether z has an effect.
    """

    z_dim: int
    starts_from_images: ClassVar[bool] = False
    uses_noise: ClassVar[bool] = True

    def forward(self, inputs: Inputs) -> Tensor:
        raise NotImplementedError

    def own_noise(self, inputs: Inputs) -> Tensor:
        """The z with which an image would be made that differs from its source as little as possible, float[B, z_dim].

        It is that of the inputs, unless a family finds the z of an image.
        """
        return inputs.noise

    def latents(self, inputs: Inputs) -> Tensor:
        """The latents that an image is made from, float[B, d]; truncation moves them towards their class's centre.

        They are z, unless a family maps z (StyleGAN's w) or normalises it, so that its length has no effect.
        """
        return inputs.noise

    def synthesise(self, latents: Tensor, inputs: Inputs) -> Tensor:
        """The images of given latents; `synthesise(latents(inputs), inputs)` equals `forward(inputs)`."""
        return self.forward(inputs._replace(z=latents))

    def conditional_parameters(self) -> list[Tensor]:
        """What each class adds to each conditional layer: one float[K, C] a layer, differentiable.

        By default the class embeddings. A penalty on them can be met by shorter embeddings and larger weights in the
        layers that read them, so every family here overrides this.
        """
        return [module.weight for module in self.modules() if isinstance(module, nn.Embedding)]


class Discriminator(_Conditional):
    """D(x: float[B, C, H, W], y) -> list of logits float[B, k], one entry a head.

    y is `Inputs.condition`: int64[B], or float[B, 1 + A] with attributes.

    `judges_pairs`: whether it learned pairs of a source and an image, so that a single image means nothing to it.
    """

    judges_pairs: ClassVar[bool] = False

    def forward(self, x: Tensor, y: Tensor) -> list[Tensor]:
        raise NotImplementedError

    def examine(self, x: Tensor, y: Tensor) -> tuple[list[Tensor], Tensor]:
        """The logits of `forward` and the features float32[B, F] behind them, for auxiliary heads (AC-GAN, InfoGAN).

        A family without this method cannot be trained with auxiliary heads.
        """
        raise NotImplementedError

    def layers(self) -> list[nn.Module]:
        """The layers that can be frozen, the one next to the image first (FreezeD, 2002.10964)."""
        return convolutions(self)


@dataclass
class Family:
    """Networks that are trained together, and how.

    `players` names the networks that each optimiser trains. `exported` is the network that is averaged and sampled.
    `step` is an entry of `synthaug.training.steps.STEPS`: the game that they play.
    """

    networks: dict[str, nn.Module]
    players: dict[str, tuple[str, ...]]
    exported: str
    step: str

    @classmethod
    def pair(cls, generator: Generator, discriminator: Discriminator, step: str = "adversarial") -> Family:
        """A generator against a discriminator, each with its own optimiser."""
        networks: dict[str, nn.Module] = {"generator": generator, "discriminator": discriminator}
        return cls(networks, {name: (name,) for name in networks}, "generator", step)

    @property
    def generator(self) -> Generator:
        return cast(Generator, self.networks["generator"])

    @property
    def discriminator(self) -> Discriminator:
        return cast(Discriminator, self.networks["discriminator"])

    @property
    def exported_network(self) -> Generator:
        return cast(Generator, self.networks[self.exported])

    def set_condition_strength(self, strength: float) -> None:
        """Fade the class condition in: 0 trains unconditionally, 1 conditions in full (2201.06578)."""
        for network in self._conditional():
            network.condition_strength.fill_(strength)

    def set_progress(self, progress: float) -> None:
        """Set the share of the training that is done, in [0, 1]; a new family has the form for 1.

        Networks keep what depends on it in buffers, so that checkpoints, the average and a resumed run agree.
        """
        for network in self._conditional():
            network.set_progress(progress)

    def _conditional(self) -> list[_Conditional]:
        return [network for network in self.networks.values() if isinstance(network, _Conditional)]


class Builder(Protocol):
    """Makes a family for images of one shape."""

    def __call__(self, shape: ImageShape, config: ModelConfig) -> Family: ...


class DiscriminatorBuilder(Protocol):
    """Gives a family the discriminator that `ModelConfig.discriminator` names."""

    def __call__(self, family: Family, shape: ImageShape, config: ModelConfig) -> Family: ...


def to_levels(images: Tensor) -> Tensor:
    """Round float [B, C, H, W] in [-1, 1] to the nearest of 256 grey levels, uint8."""
    return images.float().add(1).mul(127.5).round_().clamp_(0, 255).to(torch.uint8)


def to_uint8(images: Tensor) -> NDArray[np.uint8]:
    """`to_levels` as an array, as for every generated image."""
    array: NDArray[np.uint8] = to_levels(images).cpu().numpy()
    return array


def noised(images: Tensor, deviation: float, rng: torch.Generator) -> Tensor:
    """Images float32 [B, C, H, W] with normal noise, and with 256 levels as if they had been written.

    The gradient passes through the rounding, but not where noise leaves [-1, 1].
    """
    noisy = (images + deviation * processes.randn(*images.shape, rng=rng).to(images.device)).clamp(-1, 1)
    levels: Tensor = noisy + (as_float(to_levels(noisy)) - noisy).detach()
    return levels
