"""CUT, contrastive unpaired translation (2007.15651): one generator, which keeps what stands where.

Each patch of a fake must resemble the patch of the source at its place more than other patches of that source, in the
features of the generator's own encoder. There is no way back, so nothing can be hidden for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from synthaug.models.family import Family, ImageShape
from synthaug.translators.blocks import PatchDiscriminator
from synthaug.translators.options import CUTOptions
from synthaug.translators.resnet import ResnetGenerator

TEMPERATURE = 0.07
DIM = 256


class PatchHeads(nn.Module):
    """A small network for each layer of the encoder: its features at a place → a unit vector, float[B, S, 256]."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Sequential(nn.Linear(c, DIM), nn.ReLU(), nn.Linear(DIM, DIM)) for c in channels)

    def forward(self, maps: Sequence[Tensor], places: Sequence[Tensor]) -> list[Tensor]:
        """Vectors of the features of each layer, float[B, C, H, W], at its places, int64[S]."""
        found = []
        for layer, features, chosen in zip(self.layers, maps, places, strict=True):
            patches = features.flatten(2).transpose(1, 2)[:, chosen]
            found.append(F.normalize(layer(patches).float(), dim=2))
        return found


def some_places(maps: Sequence[Tensor], count: int, rng: torch.Generator) -> list[Tensor]:
    """Different places of each map, int64[S]: `count`, or all where a map has fewer."""
    sizes = [features.shape[2] * features.shape[3] for features in maps]
    return [torch.randperm(size, generator=rng)[:count].to(maps[0].device) for size in sizes]


def patch_nce(fake: Tensor, source: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Cross-entropy of finding each fake patch's source among all patches of that image (eq. 3).

    Args:
        fake: unit vectors float[B, S, D], which get the gradient.
        source: those of the sources at the same places.
    """
    similarity = fake @ source.detach().transpose(1, 2) / temperature
    own = torch.arange(similarity.shape[1], device=fake.device).expand(len(fake), -1)
    return F.cross_entropy(similarity.flatten(0, 1), own.flatten())


def build(shape: ImageShape, config: CUTOptions) -> Family:
    generator = ResnetGenerator(shape, config)
    return Family(
        networks={
            "generator": generator,
            "discriminator": PatchDiscriminator(shape, config.discriminator_width),
            "patch_heads": PatchHeads([shape.channels, *generator.widths]),
        },
        players={"generator": ("generator", "patch_heads"), "discriminator": ("discriminator",)},
        exported="generator",
        step="cut",
    )
