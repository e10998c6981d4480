"""What a reader of an export sees: images of the generator, written as `export` writes them, and read again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthaug.config import Fit
from synthaug.data.cache import LabelledImages
from synthaug.data.decode import OVERSAMPLE, quiet_decoding, resize
from synthaug.data.run_data import RunData
from synthaug.exporters.folder import as_read
from synthaug.exporters.looks import LookCount, Looks, Tables, counted, plain_look
from synthaug.exporters.real import read
from synthaug.progress import Progress
from synthaug.sampling.upscaling import TrainedUpscaler
from synthaug.seeds import look_draw

_THREADS = 4


@dataclass(frozen=True)
class AsExported:
    """The looks that `export --size native` draws from: those of the real training images of each class."""

    looks: Mapping[str, Sequence[LookCount]]
    tables: Tables
    fit: Fit
    resolution: int
    upscaler: TrainedUpscaler | None = None

    @classmethod
    def of(
        cls, data: RunData, labels: Sequence[str], progress: Progress, upscaler: TrainedUpscaler | None = None
    ) -> AsExported:
        """Read the looks of the training images of some classes.

        Raises:
            SynthaugError: an image is missing, or has changed since the run was trained.
        """
        tables: Tables = {}
        found: dict[str, list[LookCount]] = {}
        rows = [row for row in data.split.of("train") if row.label in labels]
        resolution = data.config.data.resolution
        with progress.task("sizes and formats of real images", len(rows), "images") as task:
            for label in labels:
                own = [row for row in rows if row.label == label]
                images = read(data.folder.resolve(), own, tables, task, _THREADS)
                looks = [image.look for image in images] or [plain_look(resolution, data.channels)]
                found[label] = counted(looks)
        return cls(found, tables, data.config.data.fit, resolution, upscaler)

    def read_back(
        self, images: LabelledImages, numbers: NDArray[np.int64], side: int, *, seed: int, progress: Progress
    ) -> LabelledImages:
        """Write images of the generator's size as an export of this seed does, and read them as real images are read.

        Args:
            images: uint8 [N, C, R, R].
            numbers: [N], of each image in its class; with `seed`, they draw the looks.
            side: S of the result, uint8 [N, C, S, S].
        """
        channels = images.pixels.shape[1]
        pixels = np.empty((len(images), channels, side, side), np.uint8)
        available = {label: Looks(looks, self.fit, self.resolution) for label, looks in self.looks.items()}

        with progress.task("images as exported", len(images), "images") as task, quiet_decoding():
            for row, (image, index) in enumerate(zip(images.pixels, images.labels.tolist(), strict=True)):
                looks = available[images.classes[index]]
                look = looks.looks[looks.choose(image, look_draw(seed, index, int(numbers[row])))]
                seen = as_read(
                    image, look, self.fit, self.tables, name=images.paths[row], at_least=OVERSAMPLE * side,
                    upscaler=self.upscaler,
                )  # fmt: skip
                pixels[row] = resize(seen, side, channels, self.fit)
                task.advance()
        return LabelledImages(pixels, images.labels, images.classes, images.paths)
