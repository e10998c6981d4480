"""Memory and time of a training step in micro-batches: how much less, and how much longer.

python tests/benchmarks/micro_batches.py [--recipe stylegan2] [--side 64] [--batch 32] [--sizes 32 16 8 4] [--steps 2]

Memory is what this process grows by at the peak (Linux), or what is allocated on a GPU. Each size has its own process.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from material import write_images

from synthaug.config import RESOLUTIONS
from synthaug.pipelines.cost import _memory, _reset_peak
from synthaug.pipelines.prepare import fabric_for, game_for, prepare
from synthaug.progress import Silent
from synthaug.requests import FitRequest
from synthaug.training.steps import take_step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="stylegan2")
    parser.add_argument("--side", type=int, default=64, choices=RESOLUTIONS)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 16, 8, 4])
    parser.add_argument("--steps", type=int, default=2)
    a = parser.parse_args()
    if len(a.sizes) == 1:
        print(measured(a.recipe, a.side, a.batch, a.sizes[0], a.steps))
        return
    print("| images at once | memory | a step |\n|---|---|---|", flush=True)
    for size in a.sizes:
        given = ["--recipe", a.recipe, "--side", str(a.side), "--batch", str(a.batch), "--steps", str(a.steps)]
        command = [sys.executable, __file__, *given, "--sizes", str(size)]
        # Otherwise each thread keeps for itself what it has freed, and that is counted, too.
        environment = {**os.environ, "MALLOC_ARENA_MAX": "1"}
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
        print(f"| {size} | {done.stdout.strip()} |", flush=True)


def measured(recipe: str, side: int, batch: int, size: int, steps: int) -> str:
    settings = [f"training.batch_size={batch}", f"training.micro_batch_size={size}"]
    with tempfile.TemporaryDirectory() as scratch:
        data, cache = write_images(Path(scratch) / "data", count=100, side=side), Path(scratch) / "cache"
        request = FitRequest(
            data=data, target_class=["class0"], recipe=recipe, resolution=side, cache=cache, set=settings
        )
        prepared = prepare(request, Silent())
        game = game_for(prepared, prepared.data.images("train", cache, Silent()), fabric_for(prepared))
    before = _reset_peak() or 0
    take_step(game, 0, 0)
    begun = time.perf_counter()
    for number in range(1, steps + 1):
        float(take_step(game, number, 0)["loss_g"])
    seconds = (time.perf_counter() - begun) / steps
    memory = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else (_memory("VmHWM") or 0) - before
    return f"{memory / 1e6:,.0f} MB | {seconds:.1f} s"


if __name__ == "__main__":
    main()
