"""What a monitor can score in no time: a generator that paints real images, and features that are the pixels."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits

from synthaug.data.cache import LabelledImages
from synthaug.models.family import Generator
from synthaug.models.inputs import Inputs


class Painter(Generator):
    """Paints real images of the class, of which there are as many in each; `repeat` gives one for all noise."""

    def __init__(self, images: LabelledImages, repeat: bool = False) -> None:
        super().__init__()
        real = np.stack([images.of_class(k) for k in range(len(images.classes))])
        self.z_dim, self._real, self._repeat = 4, torch.from_numpy(real).float() / 127.5 - 1, repeat

    def forward(self, inputs: Inputs) -> torch.Tensor:
        z = inputs.noise
        which = (
            torch.zeros(len(z), dtype=torch.int64)
            if self._repeat
            else (z[:, 0].abs() * 1000).long() % self._real.shape[1]
        )
        return self._real[inputs.labels, which]


class Flat:
    """Features that are the pixels themselves: fast, and enough to see a collapse."""

    name, sha256, dim, identity = "flat", "", 64, "flat@"

    def __call__(self, pixels: np.ndarray, *, batch_size: int | None = None) -> np.ndarray:
        return pixels.reshape(len(pixels), -1).astype(np.float32) / 255


def digits(start: int, count: int) -> LabelledImages:
    """That many images of 0 and of 1, from the `start`-th on."""
    data = load_digits()
    chosen = np.concatenate([np.flatnonzero(data.target == k)[start : start + count] for k in range(2)])
    pixels = (data.images[chosen] * 15).astype(np.uint8)[:, None]
    return LabelledImages(pixels, data.target[chosen].astype(np.int64), ["0", "1"], [str(i) for i in chosen])
