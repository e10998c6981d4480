"""What the page shows besides the numbers of the document: images, the training log, the settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from synthaug.data.cache import LabelledImages
from synthaug.evaluation.images import Origins


@dataclass
class ReportMaterial:
    """Empty or None parts are left out of the page.

    `real` are training images, `synthetic` gated ones, `generator` ungated ones. `origins` is what `synthetic` was
    made from, if it was made from images. `pairs` holds (synthetic pixels
    uint8 [C,H,W], nearest training image's pixels [C,H,W], label, feature distance), `suspects` (test image, the image
    that it looks like, label, nearness). `tested` are test images
    as classifiers saw them, path → uint8 [C,H,W]. `training` are the rows of `metrics.jsonl`, `settings` the resolved
    configuration under dotted keys.
    """

    real: LabelledImages | None = None
    synthetic: LabelledImages | None = None
    generator: LabelledImages | None = None
    origins: Origins | None = None
    pairs: list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], str, float]] = field(default_factory=list)
    suspects: list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], str, float]] = field(default_factory=list)
    tested: dict[str, npt.NDArray[np.uint8]] = field(default_factory=dict)
    training: list[dict[str, Any]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
