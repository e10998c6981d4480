"""The options of families that enlarge images, as a part of the `model` section. Does not import torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from synthaug.config import ModelConfig, Weight


class UpscalerOptions(ModelConfig):
    """What every upscaler has. It enlarges images of `data.resolution` pixels."""

    scale: Literal[2, 4] = Field(2, description="how many times the sides of an image are enlarged")


class SRGANOptions(UpscalerOptions):
    """The options of `srgan`: the size of its network, the weights of its losses."""

    width: int = Field(32, ge=4, le=512, description="channels of every layer")
    blocks: int = Field(4, ge=1, le=64, description="residual blocks, of two convolutions each, for each doubling")
    discriminator_width: int = Field(32, ge=4, le=512, description="channels of the discriminator's first layer")
    pixel: Weight = Field(1.0, description="weight of the L1 distance to the real image")
    content: Weight = Field(0.02, description="weight of the distance in maps of a net trained on ImageNet")
    adversarial: Weight = Field(0.005, description="weight of the discriminator's opinion")
    perceptual_start: float = Field(
        0.7, ge=0, le=1, description="share of the budget from which on `content` and `adversarial` count"
    )
    noise: float = Field(
        0.01, ge=0, le=0.5, description="standard deviation of the noise on reduced images, on the scale of -1 to 1"
    )
