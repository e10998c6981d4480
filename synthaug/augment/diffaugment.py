"""Differentiable augmentation of the discriminator's images (DiffAugment, 2006.10738).

Real and generated images pass through the same random transforms, so that a discriminator cannot memorise few images.
The generator still learns unaugmented images. Parameters are those of the paper's code; `affine` is ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from synthaug import processes
from synthaug.augment.grid_sample import grid_sample
from synthaug.data.batches import group_of
from synthaug.errors import SynthaugError, suggest

Transform = Callable[[Tensor, torch.Generator], Tensor]


def uniform(x: Tensor, rng: torch.Generator, columns: int = 1) -> Tensor:
    """U(0, 1) of shape [B, columns], drawn on the device of `rng` and moved to that of x.

    The images of a group share their draw, so that they are compared under one augmentation: see
    `synthaug.data.batches.GROUP`.
    """
    group = group_of(len(x))
    drawn = processes.rand(len(x) // group, columns, rng=rng)
    return drawn.repeat_interleave(group, dim=0).to(x.device)


def color(x: Tensor, rng: torch.Generator) -> Tensor:
    """Brightness + U(−.5, .5); saturation × U(0, 2) about the channel mean; contrast × U(.5, 1.5) about the mean."""
    brightness, saturation, contrast = (uniform(x, rng, 3)[:, i, None, None, None] for i in range(3))
    x = x + (brightness - 0.5)
    if x.shape[1] > 1:
        grey = x.mean(dim=1, keepdim=True)
        x = (x - grey) * (2 * saturation) + grey
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    return (x - mean) * (0.5 + contrast) + mean


def translation(x: Tensor, rng: torch.Generator, ratio: float = 0.125) -> Tensor:
    """Shift by up to ± ratio of each side, by whole pixels; the uncovered border is zero."""
    b, _, h, w = x.shape
    limits = torch.tensor([int(h * ratio + 0.5), int(w * ratio + 0.5)], device=x.device)
    shift = torch.floor(uniform(x, rng, 2) * (2 * limits + 1)).long() - limits
    rows = torch.arange(h, device=x.device)[None] + shift[:, :1]
    columns = torch.arange(w, device=x.device)[None] + shift[:, 1:]
    inside = ((rows >= 0) & (rows < h))[:, None, :, None] & ((columns >= 0) & (columns < w))[:, None, None, :]
    pixels = (rows.clamp(0, h - 1)[:, :, None] * w + columns.clamp(0, w - 1)[:, None, :]).view(b, 1, h * w)
    moved = x.flatten(2).gather(2, pixels.expand(-1, x.shape[1], -1)).view_as(x)
    return moved * inside


def cutout(x: Tensor, rng: torch.Generator, ratio: float = 0.5) -> Tensor:
    """Blank a square of `ratio` of the side. At 32 px it leaves boxes in the samples, so it is off by default."""
    _, _, h, w = x.shape
    size = torch.tensor([int(h * ratio + 0.5), int(w * ratio + 0.5)], device=x.device)
    extent = torch.tensor([h, w], device=x.device)
    centre = torch.floor(uniform(x, rng, 2) * (extent + (1 - size % 2))).long()
    top = centre - size // 2
    rows, columns = torch.arange(h, device=x.device)[None], torch.arange(w, device=x.device)[None]
    in_rows = (rows >= top[:, :1]) & (rows < top[:, :1] + size[0])
    in_columns = (columns >= top[:, 1:]) & (columns < top[:, 1:] + size[1])
    return x * ~(in_rows[:, None, :, None] & in_columns[:, None, None, :])


def affine(x: Tensor, rng: torch.Generator, degrees: float = 10.0, scale: float = 0.15, shift: float = 0.125) -> Tensor:
    """Rotate by up to ± degrees, scale by 1 ± scale and shift by ± shift of the side; borders are repeated."""
    angle, zoom, dx, dy = ((2 * uniform(x, rng, 4) - 1)[:, i] for i in range(4))
    angle, zoom = angle * math.radians(degrees), 1 + zoom * scale
    first = torch.stack([angle.cos() * zoom, -angle.sin() * zoom, 2 * shift * dx], dim=1)
    second = torch.stack([angle.sin() * zoom, angle.cos() * zoom, 2 * shift * dy], dim=1)
    grid = F.affine_grid(torch.stack([first, second], dim=1), list(x.shape), align_corners=False)
    return grid_sample(x, grid)


POLICIES: dict[str, Transform] = {"color": color, "translation": translation, "cutout": cutout, "affine": affine}


class DiffAugment:
    """Apply the named policies in turn.

    >>> augment = DiffAugment(["color", "translation"])
    >>> augment(torch.zeros(4, 3, 32, 32), torch.Generator().manual_seed(0)).shape
    torch.Size([4, 3, 32, 32])

    Raises:
        SynthaugError: a policy is unknown.
    """

    def __init__(self, policies: Sequence[str]) -> None:
        for name in policies:
            if name not in POLICIES:
                raise SynthaugError(f"there is no augmentation {name!r} (training.augment)", suggest(name, POLICIES))
        self.transforms = [POLICIES[name] for name in policies]

    def __call__(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """x: float[B, C, H, W] in [−1, 1]; differentiable in x; all random numbers come from `rng`."""
        for transform in self.transforms:
            x = transform(x, rng)
        return x.contiguous(memory_format=torch.channels_last) if self.transforms else x
