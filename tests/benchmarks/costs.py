"""What a thousand images of training cost, and a classifier: the constants of the cost model in docs/scale.md.

    OMP_NUM_THREADS=1 python tests/benchmarks/costs.py
    OMP_NUM_THREADS=1 python tests/benchmarks/costs.py --recipes default stylegan2 --sizes 64

Seconds are those of the processor, so that other work does not count: of one core with one thread. They come from the
few steps on noise that `synthaug fit --dry-run` takes. Operations do not depend on the machine. Classifiers take a
tenth of the usual steps, on noise.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from material import write_images

from synthaug.classifiers import make_classifier
from synthaug.errors import SynthaugError
from synthaug.pipelines import cost
from synthaug.pipelines.plan_fit import plan_fit
from synthaug.progress import Silent
from synthaug.requests import FitRequest

RECIPES = (
    "mlp", "default", "wgan", "acgan", "infogan", "lapgan", "progressive", "biggan", "fastgan", "stylegan2", "r3gan",
    "translator", "cyclegan", "cut", "dagan",
)  # fmt: skip
SIZES = (32, 64, 128)
KIMG = 1
FEW_STEPS, USUAL_STEPS = 60, 600


def row(recipe: str, size: int, data: Path, cache: Path) -> str:
    request = FitRequest(
        data=data, target_class=["class0"], recipe=recipe, resolution=size, budget=f"{KIMG}kimg", cache=cache,
        precision="32-true",
    )  # fmt: skip
    try:
        plan = plan_fit(request, Silent())
    except SynthaugError as error:
        return f"| `{recipe}` | {size} | {error.message} | | | |"
    guess = plan.guess_for_gpu
    if guess is None:
        return f"| `{recipe}` | {size} | {plan.estimated_seconds:.3g} | | | |"
    return (
        f"| `{recipe}` | {size} | {guess.gigaflops_per_image:.3g} | {plan.estimated_seconds:.3g} "
        f"| {guess.seconds:.2g} | {(guess.memory_megabytes or 0) / 1000:.2g} |"
    )


def classifier_row(name: str, size: int) -> str:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (400, 3, size, size), dtype=np.uint8)
    begun = time.process_time()
    make_classifier(name)(device="cpu").fit(
        pixels, np.arange(400) % 10, np.ones(400), num_classes=10, loss_weights=None, steps=FEW_STEPS, seed=0,
        augment="classical",
    )  # fmt: skip
    return f"| `{name}` | {size} | {USUAL_STEPS / FEW_STEPS * (time.process_time() - begun):.3g} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="*", default=list(RECIPES))
    parser.add_argument("--classifiers", nargs="*", default=["cnn"])
    parser.add_argument("--sizes", nargs="*", type=int, default=list(SIZES))
    a = parser.parse_args()
    torch.set_num_threads(1)
    cost.time = SimpleNamespace(monotonic=time.process_time)  # type: ignore[assignment]
    print("| recipe | px | GFLOP an image | seconds a kimg, one core | a guess for a GPU | its memory, GB |")
    print("|---|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as scratch:
        for size in a.sizes:
            data = write_images(Path(scratch) / f"data{size}", count=400, side=size)
            for recipe in a.recipes:
                print(row(recipe, size, data, Path(scratch) / "cache"), flush=True)
    print(f"| classifier | px | seconds of {USUAL_STEPS} steps, one core |\n|---|---:|---:|")
    for name in a.classifiers:
        for size in a.sizes:
            print(classifier_row(name, size), flush=True)


if __name__ == "__main__":
    main()
