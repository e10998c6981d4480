"""The options of families that start from images, as a part of the `model` section. Does not import torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from synthaug.config import ModelConfig

Mode = Literal["both", "translate", "vary"]


class SourceOptions(ModelConfig):
    """Which real training images a family starts from."""

    source_classes: list[str] = Field(
        default_factory=list, description="classes whose images are translated; []: those that resemble the target most"
    )
    mode: Mode = Field(
        "both", description="translate: images of other classes become the class; vary: its own images; both: by turns"
    )
    draws_per_source: int = Field(50, ge=1, description="the most images of a class that start from one real image")


class TranslatorOptions(SourceOptions):
    """The options of `translator`: weights of its losses beside the adversarial one."""

    z_dim: int = Field(16, ge=2, le=1024, description="entries of the noise vector z, the style")
    width: int = Field(
        32, ge=4, le=512, description="channels at full resolution; coarser maps have up to 4 times as many"
    )
    discriminator_width: int = Field(48, ge=4, le=512, description="the same for the discriminator")
    reconstruction: float = Field(10.0, ge=0, description="L1 distance of an image to itself, made with its own style")
    cycle: float = Field(5.0, ge=0, description="L1 distance after the way to another class and back")
    style: float = Field(1.0, ge=0, description="L1 distance of z to the style that is found in the image made with it")
    diversity: float = Field(1.0, ge=0, description="for differences between two z, fading to 0 over the training")
