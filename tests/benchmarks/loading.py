"""The loader's share of a training step: how long steps wait for images, from memory and from the memory map.

python tests/benchmarks/loading.py [--sides 64 128 256] [--recipe default] [--steps 5] [--images 600]

"cold": the file was dropped from the system's cache before, so that every image is read from the disk. With `--steps 0`
only how many images a second the threads gather, without a training: the fastest GPU that they can feed.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from material import write_images

from synthaug.config import RESOLUTIONS
from synthaug.data.batches import BalancedBatches
from synthaug.data.mapped import MappedPixels
from synthaug.pipelines.prepare import fabric_for, game_for, prepare
from synthaug.progress import Silent
from synthaug.requests import FitRequest
from synthaug.training.steps import STEPS

WARM_UP = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[64, 128, 256], choices=RESOLUTIONS)
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--images", type=int, default=600)
    a = parser.parse_args()
    if a.steps == 0:
        for side in a.sides:
            print(f"{side} px: {gathered(side, a.images):,.0f} images/s", flush=True)
        return
    print("| side | images | a step | waits for images | share |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        for side in a.sides:
            data = write_images(Path(scratch) / str(side), count=a.images, side=side)
            for where in ("in memory", "memory map", "memory map, cold"):
                step, wait = measured(data, side, a.recipe, a.steps, Path(scratch) / "cache", where)
                print(
                    f"| {side} px | {where} | {step * 1000:,.0f} ms | {wait * 1000:.2f} ms | {wait / step:.2%} |",
                    flush=True,
                )


def measured(data: Path, side: int, recipe: str, steps: int, cache: Path, where: str) -> tuple[float, float]:
    """Seconds of a step, and of its waiting for images."""
    settings = [f"data.on_device={'true' if where == 'in memory' else 'false'}"]
    request = FitRequest(data=data, target_class=["class0"], recipe=recipe, resolution=side, cache=cache, set=settings)
    prepared = prepare(request, Silent())
    prepared.data.images("train", cache, Silent())
    if where.endswith("cold"):
        drop(cache)
    game = game_for(prepared, prepared.data.images("train", cache, Silent()), fabric_for(prepared))
    play, waited, take = STEPS.get(game.family.step), [0.0], BalancedBatches.take

    def timed(self: BalancedBatches, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        begun = time.perf_counter()
        taken = take(self, rows)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        waited[0] += time.perf_counter() - begun
        return taken

    for number in range(WARM_UP):
        play(game, number, 0)
    BalancedBatches.take = timed  # type: ignore[method-assign]
    begun = time.perf_counter()
    for number in range(WARM_UP, WARM_UP + steps):
        float(play(game, number, 0)["loss_g"])
    seconds = time.perf_counter() - begun
    BalancedBatches.take = take  # type: ignore[method-assign]
    return seconds / steps, waited[0] / steps


def gathered(side: int, images: int, batch: int = 32, times: int = 50) -> float:
    """Images a second from a memory map that is in the system's cache, in batches."""
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "pixels.npy"
        np.save(file, np.ones((images, 3, side, side), np.uint8))
        pixels = MappedPixels(np.load(file, mmap_mode="c"), torch.device("cpu"))
        rng = torch.Generator().manual_seed(0)
        began = time.perf_counter()
        for _ in range(times):
            pixels[torch.randint(images, (batch,), generator=rng)]
    return batch * times / (time.perf_counter() - began)


def drop(cache: Path) -> None:
    """Drop the decoded images from the system's cache, where it can be asked to (Linux)."""
    for file in cache.rglob("*.npy"):
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


if __name__ == "__main__":
    main()
