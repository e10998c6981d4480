"""What watches the training of an upscaler: held-out images, reduced and enlarged again, beside bicubic ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synthaug import processes
from synthaug.config import MonitorConfig
from synthaug.data.batches import as_float
from synthaug.data.cache import LabelledImages
from synthaug.documents import UpscalingScores
from synthaug.features import FeatureNet
from synthaug.grid import grid
from synthaug.metrics.restoration import psnr, ssim
from synthaug.models.family import Generator, to_uint8
from synthaug.models.inputs import Inputs
from synthaug.training.monitor import save_png
from synthaug.upscalers.resampling import doubled, halved

MOST = 200
"""Held-out images that are scored."""
_BATCH = 16
Pixels = NDArray[np.uint8]


class UpscalingMonitor:
    """Scores an upscaler on held-out images against bicubic interpolation.

    The score that picks the checkpoint is

        (root mean squared error ÷ that of bicubic) × (feature distance ÷ that of bicubic)

    Lower is better, and bicubic interpolation has 1.

    Args:
        held_out: real images of the size that the upscaler makes.
        scale: of the upscaler.
        features: the judge.
    """

    def __init__(
        self, held_out: LabelledImages, scale: int, config: MonitorConfig, features: FeatureNet, device: torch.device
    ) -> None:
        self._features, self._device, self._columns = features, device, config.grid_columns
        step = max(1, len(held_out) // MOST)
        self._real = np.ascontiguousarray(held_out.pixels[::step][:MOST])
        self._real_features = features(self._real)
        low = as_float(torch.from_numpy(self._real))
        for _ in range(scale.bit_length() - 1):
            low = halved(low)
        self._low = as_float(torch.from_numpy(to_uint8(low)))
        bicubic = self._low
        for _ in range(scale.bit_length() - 1):
            bicubic = doubled(bicubic)
        self._bicubic = to_uint8(bicubic)
        self._of_bicubic = self._compare(self._bicubic)
        self.latest = ""

    def _compare(self, made: Pixels) -> tuple[float, float, float]:
        """Mean PSNR, SSIM and feature distance to the real images. Equal images count as 100 dB."""
        distances = np.linalg.norm(self._features(made) - self._real_features, axis=1)
        decibels = np.minimum(psnr(made, self._real), 100)
        return float(decibels.mean()), float(ssim(made, self._real).mean()), float(distances.mean())

    @torch.inference_mode()
    def _enlarge(self, upscaler: Generator, low: Tensor) -> Pixels:
        labels = torch.zeros(_BATCH, dtype=torch.int64)
        batches = (low[start : start + _BATCH].to(self._device) for start in range(0, len(low), _BATCH))
        return np.concatenate([to_uint8(upscaler(Inputs(labels[: len(x)], None, x))) for x in batches])

    def score(self, upscaler: Generator) -> dict[str, Any]:
        """The fields of `UpscalingScores` under `upscaling`, and `score`, from the first process."""
        return processes.first(lambda: self._scores(upscaler))

    def _scores(self, upscaler: Generator) -> dict[str, Any]:
        decibels, similarity, distance = self._compare(self._enlarge(upscaler, self._low))
        before, similarity_before, distance_before = self._of_bicubic
        scores = UpscalingScores(
            psnr=round(decibels, 4), ssim=round(similarity, 5), distance=round(distance, 5),
            bicubic_psnr=round(before, 4), bicubic_ssim=round(similarity_before, 5),
            bicubic_distance=round(distance_before, 5), images=len(self._real),
        )  # fmt: skip
        self.latest = f"PSNR {decibels:.2f} dB (bicubic {before:.2f})"
        ratio = 10 ** ((before - decibels) / 20) * distance / max(distance_before, 1e-9)
        return {"upscaling": scores.model_dump(), "score": round(ratio, 6)}

    def save_grid(self, upscaler: Generator, file: Path) -> None:
        """Draw four rows: reduced, enlarged by bicubic interpolation, by the upscaler, and real."""
        processes.first(lambda: self._write_grid(upscaler, file))

    def _write_grid(self, upscaler: Generator, file: Path) -> None:
        few = slice(0, None, max(1, len(self._real) // self._columns))
        side = self._real.shape[2] // self._low.shape[2]
        rows = {
            "reduced": to_uint8(self._low[few]).repeat(side, axis=2).repeat(side, axis=3),
            "bicubic": self._bicubic[few],
            "upscaler": self._enlarge(upscaler, self._low[few]),
            "real": self._real[few],
        }
        save_png(grid([row[: self._columns] for row in rows.values()], self._columns, list(rows)), file)
