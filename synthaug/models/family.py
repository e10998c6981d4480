"""What every family of networks offers to the training loop and to sampling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synthaug.config import ModelConfig
from synthaug.models.blocks import convolutions


@dataclass(frozen=True)
class ImageShape:
    """What the networks must fit: square images of `resolution` px with `channels` channels in `classes` classes."""

    resolution: int
    channels: int
    classes: int


class Generator(nn.Module):
    """G(z: float[B, z_dim], y: int64[B]) -> float[B, C, H, W] in [-1, 1]."""

    z_dim: int
    condition_strength: Tensor  # scalar buffer in [0, 1]: how much of the class condition counts

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        raise NotImplementedError

    def latents(self, z: Tensor, y: Tensor) -> Tensor:
        """What the image is made from, float[B, d], for z as `forward` takes it: truncation pulls it to its centre.

        z itself, unless a family maps it (StyleGAN's w) or normalises it, so that its length says nothing.
        """
        return z

    def synthesise(self, latents: Tensor, z: Tensor, y: Tensor) -> Tensor:
        """The image of latents, with what else z and y give to it: `synthesise(latents(z, y), z, y)` is `forward`."""
        return self.forward(latents, y)

    def set_progress(self, progress: float) -> None:
        """Take the form that the network has at `progress` in [0, 1] of the training; most never change."""

    def conditional_parameters(self) -> list[Tensor]:
        """What each class gives to each layer that it conditions, float[K, C] a layer, differentiable.

        The class embeddings, unless a family knows better: they may get shorter while the layers that read them get
        stronger, so that every family of ours does.
        """
        return [module.weight for module in self.modules() if isinstance(module, nn.Embedding)]


class Discriminator(nn.Module):
    """D(x: float[B, C, H, W], y: int64[B]) -> list of logits float[B, k], one entry a head."""

    condition_strength: Tensor

    def forward(self, x: Tensor, y: Tensor) -> list[Tensor]:
        raise NotImplementedError

    def set_progress(self, progress: float) -> None:
        """As `Generator.set_progress`."""

    def examine(self, x: Tensor, y: Tensor) -> tuple[list[Tensor], Tensor]:
        """The logits of `forward` and the features float32[B, F] behind them, for auxiliary heads (AC-GAN, InfoGAN).

        A family that implements it can be trained with them; the others are refused.
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
        self.generator.condition_strength.fill_(strength)
        self.discriminator.condition_strength.fill_(strength)

    def set_progress(self, progress: float) -> None:
        """Tell both networks how much of the training is done, in [0, 1]. A new family is as it is at the end, at 1.

        What a network makes of it stands in buffers, so that checkpoints, the average and a resumed run agree.
        """
        self.generator.set_progress(progress)
        self.discriminator.set_progress(progress)


class Builder(Protocol):
    """Makes a family for images of one shape."""

    def __call__(self, shape: ImageShape, config: ModelConfig) -> Family: ...


class DiscriminatorBuilder(Protocol):
    """Gives a family the discriminator that `ModelConfig.discriminator` names."""

    def __call__(self, family: Family, shape: ImageShape, config: ModelConfig) -> Family: ...


def to_uint8(images: Tensor) -> NDArray[np.uint8]:
    """Round float [B, C, H, W] in [-1, 1] to the nearest of 256 grey levels, as for every generated image."""
    levels = images.float().add(1).mul(127.5).round_().clamp_(0, 255)
    array: NDArray[np.uint8] = levels.to(torch.uint8).cpu().numpy()
    return array
