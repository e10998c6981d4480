"""Random images in class folders: the speed of a loop does not depend on what is in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from synthaug.data.cache import LabelledImages, load_images
from synthaug.data.folder import scan


def write_images(
    root: Path, *, count: int, classes: int = 10, side: int = 32, channels: int = 3, seed: int = 0
) -> Path:
    """Write `count` PNGs of blurred noise (so that they compress like pictures) into `classes` folders of `root`."""
    rng = np.random.default_rng(seed)
    for label in range(classes):
        (root / f"class{label}").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((side, side))
        image = coarse if channels == 3 else coarse.convert("L")
        image.save(root / f"class{number % classes}" / f"{number:06d}.png")
    return root


def read_images(folder: Path, cache: Path) -> LabelledImages:
    """Scan a folder and load it as 32 px colour images, as a training does."""
    found = scan(folder, cache=cache)
    return load_images(found.root, found.images, found.classes, resolution=32, channels=3, fit="pad", cache=cache)
