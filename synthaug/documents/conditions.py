"""Conditions beside the class: how their columns become numbers, and what images are told."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field, model_validator

from synthaug.documents.base import Document

PRETRAINED = {"wordllama": 256}
"""Encoders of texts that are not trained along, and how many numbers they give."""
TextEncoder = Literal["words", "wordllama"]


class Condition(Document):
    """A column of a metadata table that a generator is told, fitted to the training images."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    kind: Literal["number", "category", "text"]
    values: tuple[str, ...] = Field((), description="the categories, or the words and pairs of words of a text")
    encoder: TextEncoder = Field("words", description="of a text: its words and pairs, or a pretrained encoder")
    mean: float = Field(0.0, allow_inf_nan=False, description="of a number")
    deviation: float = Field(1.0, gt=0, allow_inf_nan=False, description="standard deviation of a number")

    @model_validator(mode="after")
    def _has_values(self) -> Condition:
        if (self.kind == "number") == bool(self.values) or len({*self.values}) < len(self.values):
            raise ValueError(f"{self.name} is a {self.kind} with {len(self.values)} values, or with one twice")
        return self

    @property
    def size(self) -> int:
        """Its entries in the vector of attributes."""
        return 2 if self.kind == "number" else PRETRAINED.get(self.encoder, len(self.values))


class CombinationPlan(Document):
    """A combination of conditions, of the images of a class."""

    values: dict[str, str] = Field(description="column → value, or range of numbers")
    real: int
    wanted: int = Field(0, description="synthetic images that were planned")


class ConditionPlan(Document):
    """What synthetic images of a run with conditions are told."""

    where: dict[str, str] = Field(default_factory=dict, description="column → value of all images")
    combinations: dict[str, list[CombinationPlan]] = Field(
        default_factory=dict, description="class → its combinations, with `--balance`"
    )
