"""Mirrored training images for the arms with classical changes: what the generator may do to images, its control does.

A generator that trained with `training.flip` shows mirrored images to the classifier. Without mirrored real images in
the control, a set of mirrored copies would count as help.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from synthaug.evaluation.arms import TrainingSet


def with_mirrors(data: TrainingSet) -> TrainingSet:
    """Each image beside its mirror image; each of the two is drawn half as often as the image was.

    The two stand next to each other, so that arms stay paired draw by draw (`Classifier.fit`).
    """
    pixels = np.repeat(data.pixels, 2, axis=0)
    pixels[1::2] = data.pixels[..., ::-1]
    return replace(
        data, pixels=pixels, labels=np.repeat(data.labels, 2), draw_weights=np.repeat(data.draw_weights / 2, 2),
        groups=np.repeat(data.groups, 2),
    )  # fmt: skip
