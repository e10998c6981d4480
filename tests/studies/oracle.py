"""An oracle for generated images: a small CNN trained on real images that are neither in train/ nor in test/."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from synthaug.classifiers import CLASSIFIERS
from synthaug.data.cache import LabelledImages, load_images
from synthaug.data.folder import scan


def pixels(
    folder: Path, channels: int, *, classes: Sequence[str] | None = None, resolution: int = 32
) -> LabelledImages:
    """All subjects and all real images go this way: padded to one size."""
    found = scan(folder)
    return load_images(
        found.root, found.images, classes or found.classes, resolution=resolution, channels=channels, fit="pad"
    )


def unseen(folder: Path, train: LabelledImages, test: LabelledImages) -> LabelledImages:
    """The real images of a folder that neither set holds, of the classes that are trained on, labelled as there."""
    real = pixels(folder, train.pixels.shape[1])
    real = real.subset(np.isin([real.classes[k] for k in real.labels], train.classes))
    known = {image.tobytes() for images in (train, test) for image in images.pixels}
    real = real.subset(np.array([image.tobytes() not in known for image in real.pixels]))
    labels = np.array([train.classes.index(real.classes[k]) for k in real.labels])
    return LabelledImages(real.pixels, labels, train.classes, real.paths)


def train_oracle(real: LabelledImages, *, steps: int = 1200, augment: str = "none") -> Any:
    """The fitted classifier, whose labels are those of `real`; every class weighs alike."""
    weights = (1 / np.bincount(real.labels, minlength=len(real.classes)).clip(1))[real.labels]
    return CLASSIFIERS.get("cnn")().fit(
        real.pixels,
        real.labels,
        weights,
        num_classes=len(real.classes),
        loss_weights=None,
        steps=steps,
        seed=0,
        augment=augment,
    )
