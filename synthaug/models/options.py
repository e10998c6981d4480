"""The options that only some families have, as a part of the `model` section. Does not import torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from synthaug.config import ModelConfig


class BigGANOptions(ModelConfig):
    """The options of `biggan`."""

    attention: Literal[0, 8, 12, 16, 24, 32, 48, 64] = Field(
        0, description="side in pixels of the feature maps with self-attention; 0: no attention"
    )


class CodeOptions(ModelConfig):
    """The options of families whose discriminator implements `examine`: the first entries of z can be InfoGAN codes."""

    categorical_codes: list[Annotated[int, Field(ge=2, le=100)]] = Field(
        default_factory=list, description="InfoGAN: the number of values of each categorical code"
    )
    continuous_codes: int = Field(0, ge=0, le=64, description="InfoGAN: the number of continuous codes in [-1, 1]")

    @model_validator(mode="after")
    def _codes_fit_into_z(self) -> CodeOptions:
        size = sum(self.categorical_codes) + self.continuous_codes
        if size >= self.z_dim:
            raise ValueError(f"the codes take {size} entries of z, which has z_dim = {self.z_dim}, and leave no noise")
        return self
