"""Reading: batches from the cache, and the first start on a large folder, against `ImageFolder` and `DataLoader`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from compare import Row, compare
from material import read_images, write_images
from training import BATCH, loader

from synthaug.data.batches import BalancedBatches, class_probabilities

MANY = 50_000


def epoch(folder: Path) -> None:
    for _ in loader(folder):
        pass


def rows(scratch: Path) -> Iterator[Row]:
    folder, cache = write_images(scratch / "reading", count=MANY), scratch / "reading-cache"

    def start() -> None:
        read_images(folder, cache)

    def first_start() -> None:
        shutil.rmtree(cache, ignore_errors=True)
        start()

    yield compare(
        f"first start on {MANY:,} images: scan and cache",
        "one epoch of ImageFolder + DataLoader, 2 workers",
        1.0,
        first_start,
        lambda: epoch(folder),
        amount=MANY,
        unit="images",
        rounds=2,
        warm=False,
    )
    yield compare(
        "the second start",
        "the same epoch",
        5.0,
        start,
        lambda: epoch(folder),
        amount=MANY,
        unit="images",
        rounds=2,
        warm=False,
    )
    images = read_images(folder, cache)
    batches = BalancedBatches(
        torch.from_numpy(images.pixels),
        torch.from_numpy(images.labels),
        class_probabilities([1] * len(images.classes), balance=1.0),
        BATCH,
        flip=False,
    )
    rng = torch.Generator().manual_seed(0)

    def draw() -> None:
        for _ in range(MANY // BATCH):
            batches.draw(rng)

    yield compare(
        "reading, steady state",
        "ImageFolder + DataLoader, 2 workers, same transforms",
        20.0,
        draw,
        lambda: epoch(folder),
        amount=MANY,
        unit="images",
        rounds=2,
        warm=False,
    )
