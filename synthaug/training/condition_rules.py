"""What a step does with attributes: hide some, and find wrong ones for real images (GAN-CLS, 1605.05396 §4.2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from synthaug import processes
from synthaug.data.batches import group_of


@dataclass(frozen=True)
class ConditionRules:
    """Args:
    blocks: which entry of a vector belongs to which column: 1 or 0, float[A, columns].
    dropout: the share of columns to hide.
    """

    blocks: Tensor
    dropout: float

    def hidden(self, attributes: Tensor, rng: torch.Generator) -> Tensor:
        """Attributes float[B, A] without those of some columns, drawn for each image."""
        kept = processes.rand(len(attributes), self.blocks.shape[1], rng=rng) >= self.dropout
        return attributes * (kept.to(attributes) @ self.blocks.T)

    def wrong(self, told: Tensor, shown: Tensor) -> tuple[Tensor, Tensor]:
        """What is untrue of each image: the attributes of its neighbour, which is of the same class.

        So the discriminator must look at the attributes. Where one of the two has no value, or it is hidden, nothing is
        untrue.

        Args:
            told: classes and all attributes of a batch, float[B, 1 + A].
            shown: the same with some hidden.

        Returns:
            What is untrue, float[B, 1 + A], and whether it differs from `shown`, bool[B].
        """
        group = group_of(len(told))
        neighbours = told.view(-1, group, told.shape[1]).roll(1, dims=1).reshape_as(told)[:, 1:]
        mine = shown[:, 1:]
        both = (mine.abs() @ self.blocks > 0) & (neighbours.abs() @ self.blocks > 0)
        others = torch.where(both.to(mine) @ self.blocks.T > 0, neighbours, mine)
        return torch.cat([shown[:, :1], others], dim=1), (others != mine).any(dim=1)
