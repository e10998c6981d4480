"""Where a training step's time goes: `make profile` writes a trace for chrome://tracing or Perfetto and a table.

python tests/benchmarks/profile_step.py [--resolution 32] [--recipe default] [--out build/profile]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch
from material import write_images
from torch.profiler import ProfilerActivity, profile, record_function, schedule

from synthaug.config import RESOLUTIONS
from synthaug.pipelines.prepare import fabric_for, game_for, prepare
from synthaug.progress import Silent
from synthaug.requests import FitRequest
from synthaug.training.steps import take_step

WARM_UP, STEPS = 6, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resolution", type=int, default=32, choices=RESOLUTIONS)
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--out", type=Path, default=Path("build/profile"))
    a = parser.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        data = write_images(Path(scratch) / "data", count=1000, side=a.resolution)
        cache = Path(scratch) / "cache"
        request = FitRequest(data=data, target_class=["class0"], recipe=a.recipe, resolution=a.resolution, cache=cache)
        prepared = prepare(request, Silent())
        images = prepared.data.images("train", cache, Silent())
        game = game_for(prepared, images, fabric_for(prepared))
    batch = prepared.config.training.batch_size
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])
    plan = schedule(wait=0, warmup=WARM_UP, active=STEPS)
    with profile(activities=activities, schedule=plan, record_shapes=True) as profiler:
        for step in range(WARM_UP + STEPS):
            with record_function("draw, generate, discriminate, update"):
                take_step(game, step, 0)
                game.state.average.update(game.family.generator, (step + 1) * batch, batch)
            profiler.step()
    begun = time.perf_counter()
    for step in range(STEPS):
        take_step(game, step, 0)
    seconds = (time.perf_counter() - begun) / STEPS
    profiler.export_chrome_trace(str(a.out / "trace.json"))
    by = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
    table = profiler.key_averages().table(sort_by=by, row_limit=25, max_name_column_width=60)
    heading = (
        f"{a.recipe}, {a.resolution} px, batch {batch}: {seconds * 1000:.1f} ms a step, {batch / seconds:.0f} images/s"
    )
    (a.out / "table.txt").write_text(f"{heading}\n{table}\n", encoding="utf-8")
    print(heading)
    print(table)
    print(f"written: {a.out / 'table.txt'}, {a.out / 'trace.json'}")


if __name__ == "__main__":
    main()
