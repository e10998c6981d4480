"""Opens trained upscalers, and enlarges images with them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from synthaug.data.batches import as_float
from synthaug.device import resolve_device
from synthaug.documents import UpscalerReference, UpscalingScores
from synthaug.errors import SynthaugError
from synthaug.files import sha256
from synthaug.models.family import to_uint8
from synthaug.runs import Run
from synthaug.sampling.trained import family_of, for_use
from synthaug.training.checkpoint import find_checkpoint, load_tensors, load_weights, scores_of
from synthaug.upscalers.options import UpscalerOptions
from synthaug.upscalers.srgan import Upscaler


@dataclass(frozen=True)
class TrainedUpscaler:
    """An averaged upscaler in evaluation mode.

    `resolution` is the side of the images that it was trained to enlarge; `scores` are those of its checkpoint.
    """

    run: Run
    network: Upscaler
    channels: int
    resolution: int
    scale: int
    checkpoint: str
    sha256: str
    scores: UpscalingScores | None
    device: torch.device

    @torch.inference_mode()
    def enlarge(self, pixels: NDArray[np.uint8], times: int | None = None) -> NDArray[np.uint8]:
        """An image uint8 [C, H, W] at `times` its sides, a power of two up to `scale` (None: `scale`).

        Images are enlarged one by one: kernels round differently at other batch sizes.
        """
        low = as_float(torch.from_numpy(pixels)[None].to(self.device))
        image: NDArray[np.uint8] = to_uint8(self.network.enlarge(low, times)[-1])[0]
        return image

    def towards(self, pixels: NDArray[np.uint8], factor: float) -> NDArray[np.uint8]:
        """An image uint8 [C, H, W] enlarged `factor` times or a little more: by the next power of two up to `scale`."""
        times = min(self.scale, 2 ** math.ceil(math.log2(max(factor, 1.0))))
        return pixels if times == 1 else self.enlarge(pixels, times)

    def reference(self) -> UpscalerReference:
        """What a manifest stores of it. It is used where it beats bicubic interpolation."""
        assert self.scores is not None
        return UpscalerReference(
            name=self.run.name, path=str(self.run.path.resolve()), checkpoint=self.checkpoint,
            checkpoint_sha256=self.sha256, scale=self.scale, used=self.scores.better, scores=self.scores,
        )  # fmt: skip


def load_upscaler(run: Run, which: str | Path = "best", device: str = "auto") -> TrainedUpscaler:
    """Load the averaged upscaler of a checkpoint: `best`, `last`, a name such as `kimg000100`, or a folder.

    Raises:
        SynthaugError: the run is no upscaler, or has no such checkpoint.
    """
    config, facts = run.config(), run.facts()
    if not isinstance(config.model, UpscalerOptions):
        raise SynthaugError(
            f"the run {run.name!r} is no upscaler: its family is {config.model.family}",
            "train one with synthaug fit DATA --family srgan --scale 2",
        )
    folder = find_checkpoint(run, which)
    network = cast(Upscaler, family_of(run, folder).generator)
    load_weights(network, load_tensors(folder / "generator.safetensors"), folder)
    scores = scores_of(run, folder.name).get("upscaling")
    target = resolve_device(device)
    return TrainedUpscaler(
        run=run,
        network=for_use(network, target),
        channels=facts.channels,
        resolution=config.data.resolution,
        scale=config.model.scale,
        checkpoint=folder.name,
        sha256=sha256(folder / "generator.safetensors"),
        scores=None if scores is None else UpscalingScores.model_validate(scores),
        device=target,
    )
