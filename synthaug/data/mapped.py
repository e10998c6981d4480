"""Batches of images that stay in the memory map of the cache: worker threads gather them ahead of the steps.

A step knows early which rows the next one will draw. `MappedPixels.expect` starts to gather them, and the step that
asks for these rows finds them. Rows that nobody expected are gathered at once. So images are the same ones either way.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

WORKERS = 4
"""Threads that gather; several, because each may wait for the disk."""


class MappedPixels:
    """Stands for a tensor uint8[N, C, H, W] on `device` of which only the rows that are asked for are there.

    Args:
        pixels: usually a memory map, uint8[N, C, H, W].
        device: where the rows are wanted.
    """

    def __init__(self, pixels: NDArray[np.uint8], device: torch.device) -> None:
        self._pixels, self._device = pixels, device
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="gather")
        self._expected: dict[bytes, tuple[Tensor, list[Future[None]]]] = {}

    def expect(self, rows: Tensor) -> None:
        """Start to gather these rows, int64[B], for a later `[rows]`."""
        self._expected[_key(rows)] = self._gather(rows)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """These rows, uint8[B, C, H, W] on the device."""
        key = _key(rows)
        found, parts = self._expected.pop(key) if key in self._expected else self._gather(rows)
        for part in parts:
            part.result()
        return found.to(self._device, non_blocking=True)

    def _gather(self, rows: Tensor) -> tuple[Tensor, list[Future[None]]]:
        wanted = rows.cpu().numpy()
        # Pinned memory is copied to a GPU while the step goes on.
        shape = (len(wanted), *self._pixels.shape[1:])
        gathered = torch.empty(shape, dtype=torch.uint8, pin_memory=self._device.type == "cuda")
        parts = np.array_split(np.arange(len(wanted)), min(WORKERS, len(wanted)))
        array = gathered.numpy()
        return gathered, [self._workers.submit(self._copy, wanted[p], array[p[0] : p[-1] + 1]) for p in parts]

    def _copy(self, rows: NDArray[np.int64], into: NDArray[np.uint8]) -> None:
        # Any other mode copies twice.
        np.take(self._pixels, rows, axis=0, out=into, mode="clip")


def _key(rows: Tensor) -> bytes:
    return rows.cpu().numpy().tobytes()
