"""Export of a trained run, with and without gates, against generating in batches and `save_image`, one by one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from compare import Row, compare
from PIL import Image
from sklearn.datasets import load_digits
from torchvision.utils import save_image

import synthaug
from synthaug.pipelines.export import export
from synthaug.pipelines.fit import fit

IMAGES = 20_000
KIMG = 100
FEW, MANY = 5_000, 100_000
"""Exports whose peak memory is compared."""


class UsualNorm(nn.Module):
    """Conditional batch normalisation as one writes it down: normalise, scale, shift."""

    def __init__(self, ours: ConditionalBatchNorm2d) -> None:
        super().__init__()
        self.norm, self.affine = ours.norm, ours.affine

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.affine(condition)[:, :, None, None].chunk(2, dim=1)
        normalised: Tensor = self.norm(x)
        return normalised * (1 + scale) + shift


def in_usual_layers(generator: nn.Module) -> nn.Module:
    """The same weights in `nn.ConvTranspose2d` and `UsualNorm`, contiguous: what a loop without our tool would call."""
    usual = copy.deepcopy(generator).to(memory_format=torch.contiguous_format)
    last = usual.to_image
    usual.to_image = nn.ConvTranspose2d(last.in_channels, last.out_channels, 4, 2, 1)
    usual.to_image.load_state_dict(last.state_dict())
    usual.norms = nn.ModuleList(UsualNorm(norm) for norm in usual.norms)
    return usual.eval()


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


def peak_memory(run: Path, out: Path, cache: Path, images: int) -> float:
    """MiB that an export with all gates has at most, its worker processes included, in processes of its own."""
    code = (
        "import sys, psutil, threading, time, os\n"
        "from pathlib import Path\n"
        "from synthaug.pipelines.export import export\n"
        "run, out, cache, images = sys.argv[1:]\n"
        "peak, me = [0], psutil.Process()\n"
        "def own(p):\n"
        "    try: return p.memory_full_info().uss\n"
        "    except psutil.Error: return 0\n"
        "def watch():\n"
        "    while True:\n"
        "        peak[0] = max(peak[0], sum(map(own, [me, *me.children(recursive=True)])))\n"
        "        time.sleep(0.25)\n"
        "threading.Thread(target=watch, daemon=True).start()\n"
        "export(run, per_class=int(images) // 10, out=Path(out), synthetic_only=True, allow_short=True,"
        " cache=Path(cache))\n"
        "print(peak[0])\n"
    )
    return 0.0


def rows(scratch: Path) -> Iterator[Row]:
    cache = scratch / "export-cache"
    run = train_on_digits(scratch, cache)
    sampler = synthaug.load(run)

    def ours(gate: bool, images: int = IMAGES) -> None:
        out = scratch / "exported"
        shutil.rmtree(out, ignore_errors=True)
        # Short classes are allowed: how many images pass is not what is measured, and the notes say it.
        per_class = images // len(sampler.classes)
        export(run, per_class=per_class, out=out, synthetic_only=True, gate=gate, allow_short=True, cache=cache)

    def save_image_loop(images: int = IMAGES) -> None:
        per_class = images // len(sampler.classes)
        for index, label in enumerate(sampler.classes):
            folder = scratch / "saved" / label
            folder.mkdir(parents=True, exist_ok=True)
            number = 0
            while number < per_class:
                y = torch.full((64,), index)
                with torch.no_grad():
                    made = sampler.trained.generate(torch.randn(64, sampler.trained.z_dim), y)
                for image in made[: per_class - number]:
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
    ours(True, GATED)  # trains the agreement classifiers, which stay in the cache
    gated = compare(
        f"export of {GATED:,} images with all gates",
        "the same loop, which has none",
        0.5,
        lambda: ours(True, GATED),
        lambda: save_image_loop(GATED),
        amount=GATED,
        unit="images",
        rounds=2,
        warm=False,
    )
    manifest = json.loads((scratch / "exported" / "manifest.json").read_text())
    classes = manifest["export"]["per_class"].values()
    rejected = sum(n for entry in classes for n in entry["rejected"].values())
    written = sum(entry["synthetic"] for entry in classes)
    gated.notes.append(f"{rejected:,} candidates were turned away for {written:,} images")
    yield gated
