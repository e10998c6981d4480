"""How fast each stage is on this machine: `make bench`, or `make bench ARGS="--resolution 64"`.

Random images stand in for real ones: the speed does not depend on what is in them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import synthaug
from synthaug.classifiers import CLASSIFIERS
from synthaug.data.cache import load_folder
from synthaug.features import load_features
from synthaug.pipelines.fit import fit
from synthaug.pipelines.plan_fit import plan_fit

CLASSES = 5
IMAGES = 200  # per class


def write_images(root: Path, resolution: int) -> None:
    rng = np.random.default_rng(0)
    for label in range(CLASSES):
        folder = root / f"class{label}"
        folder.mkdir(parents=True)
        for number in range(IMAGES):
            pixels = rng.integers(0, 256, (resolution, resolution, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")


def rate(amount: float, work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return amount / (time.perf_counter() - begun)


def stages(place: Path, resolution: int) -> Iterator[tuple[str, float, str]]:
    """Name, rate and unit of each stage, in the order in which a run meets them."""
    data, cache = place / "data", place / "cache"
    write_images(data, resolution)
    total = CLASSES * IMAGES
    yield "inspect", rate(total, lambda: synthaug.inspect(data, cache=cache)), "images/s"
    load = partial(load_folder, data, None, resolution=resolution, channels=3, fit="pad", cache=cache)
    yield "decode", rate(total, load), "images/s"
    images = load()
    flags = {"training.budget": "1kimg", "data.resolution": resolution}
    plan = plan_fit(data, target_class="class0", flags=flags, cache=cache)
    yield "train", 1000 / plan.estimated_seconds, "images/s"
    small = {**flags, "training.budget": "0.1kimg"}
    made = fit(data, target_class="class0", flags=small, runs=place / "runs", cache=cache)
    sampler = synthaug.load(made.run)
    sampler.sample("class0", 64)
    yield "generate", rate(512, lambda: sampler.sample("class0", 512)), "images/s"
    judge = load_features("efficientnet_lite0")
    judge(images.pixels[:128])
    yield "features", rate(512, lambda: judge(images.pixels[:512])), "images/s"
    classifier = CLASSIFIERS.get("cnn")()
    weights = np.ones(len(images.labels))
    train = partial(classifier.fit, images.pixels, images.labels, weights, num_classes=CLASSES, steps=50)
    yield "classify", rate(50, train), "steps/s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--resolution", type=int, default=32, choices=(16, 32, 64, 128))
    resolution = parser.parse_args().resolution
    print(f"{resolution} px, 3 channels, {torch.get_num_threads()} threads, cuda {torch.cuda.is_available()}")
    with tempfile.TemporaryDirectory() as place:
        for name, value, unit in stages(Path(place), resolution):
            print(f"{name:<10} {value:>10,.0f} {unit}", flush=True)


if __name__ == "__main__":
    main()
