"""Past generated images for the discriminator (1612.07828 §2.3; CycleGAN, 1703.10593, §4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from synthaug import processes
from synthaug.data.batches import as_float
from synthaug.models.family import ImageShape, to_levels


class FakePool(nn.Module):
    """The last `size` fakes of each class, give or take: half of the fakes are swapped for one from the pool.

    A module, so that checkpoints hold it. Images are kept with 256 levels, as a generated image is written.
    """

    images: Tensor  # uint8[K, size, C · H · W]
    filled: Tensor  # int64[K]

    def __init__(self, shape: ImageShape, size: int) -> None:
        super().__init__()
        pixels = shape.channels * shape.resolution**2
        self.register_buffer("images", torch.zeros(shape.classes, size, pixels, dtype=torch.uint8))
        self.register_buffer("filled", torch.zeros(shape.classes, dtype=torch.int64))

    @torch.no_grad()
    def swap(self, fakes: Tensor, labels: Tensor, rng: torch.Generator) -> Tensor:
        """Fakes float[B, C, H, W] for the discriminator, of the same classes; some of them are from earlier steps.

        A class whose pool is not full keeps its fakes and shows them. Later, half of them change places with one
        from the pool.
        """
        size = self.images.shape[1]
        if size == 0:
            return fakes
        shown = processes.gathered(fakes).clone()
        levels = to_levels(shown).flatten(1)
        draws = torch.rand(len(shown), 2, generator=rng).tolist()
        for row, (label, (coin, place)) in enumerate(zip(processes.gathered(labels).tolist(), draws, strict=True)):
            filled = int(self.filled[label])
            if filled < size:
                self.images[label, filled] = levels[row]
                self.filled[label] += 1
            elif coin < 0.5:
                slot = self.images[label, int(place * size)]
                shown[row] = as_float(slot).view_as(shown[row])
                slot.copy_(levels[row])
        return processes.own(shown)
