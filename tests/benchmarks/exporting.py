"""Export of a trained run, with and without gates, against generating in batches and `save_image`, one by one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from compare import Row, compare, readable
from PIL import Image
from sklearn.datasets import load_digits
from torchvision.utils import save_image

import synthaug
from synthaug.pipelines.export import export
from synthaug.pipelines.fit import fit

IMAGES = 20_000
KIMG = 40
FEW, MANY = 5_000, 100_000
MEASURED = """
import json, resource, sys
from pathlib import Path
from synthaug.pipelines.export import export
run, out, per_class, cache = sys.argv[1:]
export(Path(run), per_class=int(per_class), out=Path(out), synthetic_only=True, allow_short=True, cache=Path(cache))
print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
"""


def train_on_digits(scratch: Path, cache: Path) -> Path:
    """A real run: gates turn real samples away, at real rates."""
    digits = load_digits()
    folder = scratch / "digits"
    for number, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        place = folder / str(label)
        place.mkdir(parents=True, exist_ok=True)
        grey = Image.fromarray((image * 255 / 16).round().astype(np.uint8))
        grey.resize((32, 32), Image.Resampling.BICUBIC).save(place / f"{number}.png")
    flags = {"training.budget": f"{KIMG}kimg"}
    return Path(fit(folder, target_class=["8"], flags=flags, runs=scratch / "runs", cache=cache).run)


def rows(scratch: Path) -> Iterator[Row]:
    cache = scratch / "export-cache"
    run = train_on_digits(scratch, cache)
    sampler = synthaug.load(run)
    per_class = IMAGES // len(sampler.classes)

    def ours(gate: bool) -> None:
        out = scratch / "exported"
        shutil.rmtree(out, ignore_errors=True)
        # Short classes are allowed: how many images pass is not what is measured, and the notes say it.
        export(run, per_class=per_class, out=out, synthetic_only=True, gate=gate, allow_short=True, cache=cache)

    def save_image_loop() -> None:
        for index, label in enumerate(sampler.classes):
            folder = scratch / "saved" / label
            folder.mkdir(parents=True, exist_ok=True)
            number = 0
            while number < per_class:
                y = torch.full((64,), index)
                with torch.no_grad():
                    images = sampler.trained.generate(torch.randn(64, sampler.trained.z_dim), y)
                for image in images[: per_class - number]:
                    save_image(image, folder / f"{number:06d}.png", normalize=True, value_range=(-1, 1))
                    number += 1

    yield compare(
        f"export of {IMAGES:,} images at 32 px without gates, manifest included",
        "generate in batches and save_image",
        2.0,
        lambda: ours(False),
        save_image_loop,
        amount=IMAGES,
        unit="images",
        rounds=2,
        warm=False,
    )
    ours(True)  # trains the agreement classifiers, which stay in the cache
    gated = compare(
        "the same with all gates",
        "the same loop, which has none",
        0.5,
        lambda: ours(True),
        save_image_loop,
        amount=IMAGES,
        unit="images",
        rounds=2,
        warm=False,
    )
    manifest = json.loads((scratch / "exported" / "manifest.json").read_text())
    classes = manifest["export"]["per_class"].values()
    rejected = sum(n for entry in classes for n in entry["rejected"].values())
    written = sum(entry["synthetic"] for entry in classes)
    gated.notes.append(f"{rejected:,} candidates were turned away for {written:,} images")
    memory = {n: peak_memory(run, scratch / f"memory-{n}", n // len(sampler.classes), cache) for n in (FEW, MANY)}
    gated.notes.append(
        f"peak memory: {readable(memory[FEW])} MiB for {FEW:,} images, {readable(memory[MANY])} MiB for {MANY:,}"
    )
    yield gated


def peak_memory(run: Path, out: Path, per_class: int, cache: Path) -> float:
    """MiB of a process that exports with all gates."""
    command = [sys.executable, "-c", MEASURED, str(run), str(out), str(per_class), str(cache)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    shutil.rmtree(out)
    return float(done.stdout.splitlines()[-1])
