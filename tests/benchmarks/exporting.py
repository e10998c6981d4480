"""Export of a trained run, with and without gates, against generating in batches and `save_image`, one by one."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from compare import Row, compare
from PIL import Image
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torchvision.utils import save_image

import synthaug
from synthaug.models.blocks import ConditionalBatchNorm2d
from synthaug.models.inputs import Inputs
from synthaug.pipelines.export import export
from synthaug.pipelines.fit import fit
from synthaug.sampling import generate

TESTS = Path(__file__).parents[1]
sys.path.insert(0, str(TESTS))
IMAGES = 20_000
KIMG = 20
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
    """A real run; how well it is trained changes nothing where no gate looks at its images."""
    digits = load_digits()
    folder = scratch / "digits"
    for number, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        place = folder / str(label)
        place.mkdir(parents=True, exist_ok=True)
        grey = Image.fromarray((image * 255 / 16).round().astype(np.uint8))
        grey.resize((32, 32), Image.Resampling.BICUBIC).save(place / f"{number}.png")
    flags = {"training.budget": f"{KIMG}kimg"}
    return Path(fit(folder, target_class=["8"], set=flags, runs=scratch / "runs", cache=cache).run)


def painted_run(scratch: Path, resolution: int) -> Path:
    """A run whose generator paints shapes without end, no two alike, as its real images are."""
    from export_material import CLASSES, make_run, save_images

    root = scratch / f"painted-{resolution}"
    save_images(root / "data", dict.fromkeys(CLASSES, 300), resolution=resolution)
    return make_run(root / "data", root / "runs", **{"data.resolution": resolution, "gate.steps": 600}).path


def save_image_loop(made: Callable[[Inputs], Tensor], z_dim: int, classes: Sequence[str], out: Path) -> None:
    """What one writes without a tool: generate in batches, save one by one."""
    shutil.rmtree(out, ignore_errors=True)
    per_class = IMAGES // len(classes)
    for index, label in enumerate(classes):
        folder = out / label
        folder.mkdir(parents=True)
        number = 0
        while number < per_class:
            with torch.no_grad():
                images = made(Inputs(torch.full((64,), index), torch.randn(64, z_dim)))
            for image in images[: per_class - number]:
                save_image(image, folder / f"{number:06d}.png", normalize=True, value_range=(-1, 1))
                number += 1


def peak_memory(run: Path, out: Path, images: int) -> float:
    """MiB that the process of an export with all gates has at most; its workers keep nothing from chunk to chunk."""
    code = (
        "import runpy, sys; sys.path[:0] = sys.argv[1:3]; from compare import peak_rss; sys.argv[:3] = []; "
        "runpy.run_path(sys.argv[0], run_name='__main__'); print(peak_rss())"
    )
    where = [str(TESTS), str(TESTS / "benchmarks")]
    script = [str(TESTS / "export_material.py"), str(run), str(out), str(images // 3)]
    done = subprocess.run([sys.executable, "-c", code, *where, *script], check=True, capture_output=True, text=True)
    shutil.rmtree(out)
    return int(done.stdout.split()[-1]) / 1024


def memory(scratch: Path) -> Row:
    run = painted_run(scratch, 16)
    few, many = (peak_memory(run, scratch / "out", images) for images in (FEW, MANY))
    return Row(
        f"memory of an export of {MANY:,} images with all gates, painted shapes, 16 px",
        f"of {FEW:,} images",
        0.9,
        few / many,
        few / many,
        few / many,
        f"{many:,.0f} MiB at most",
        f"{few:,.0f} MiB at most",
    )


def trained(scratch: Path) -> Row:
    """Without gates: a trained generator."""
    cache = scratch / "export-cache"
    run = train_on_digits(scratch, cache)
    sampler = synthaug.load(run)
    usual = in_usual_layers(sampler.trained.network)
    out, per_class = scratch / "exported", IMAGES // len(sampler.classes)
    return compare(
        f"export of {IMAGES:,} images at 32 px without gates, manifest included",
        "the same generator in plain layers, in batches, and save_image",
        2.0,
        lambda: export(run, per_class=per_class, out=out, synthetic_only=True, gate=False, overwrite=True, cache=cache),
        lambda: save_image_loop(usual, sampler.trained.z_dim, sampler.classes, scratch / "saved"),
        amount=IMAGES,
        unit="images",
        warm=False,
    )


def gated(scratch: Path) -> Row:
    """With all gates: painted shapes, since a trained generator that repeats itself would be measured, not the tool."""
    from export_material import CLASSES, Painters

    run, cache, out = painted_run(scratch, 32), scratch / "painted-32" / "cache", scratch / "painted"
    usual, generate.load_generator = generate.load_generator, Painters()  # type: ignore[assignment]
    try:
        painter = synthaug.load(run).trained

        def ours() -> None:
            export(run, per_class=IMAGES // 3, out=out, synthetic_only=True, overwrite=True, cache=cache)

        ours()  # trains the agreement classifiers, which stay in the cache
        row = compare(
            f"export of {IMAGES:,} images at 32 px with all gates, painted shapes",
            "the same painter in batches and save_image, no gates",
            0.5,
            ours,
            lambda: save_image_loop(painter.network, painter.z_dim, CLASSES, scratch / "saved"),
            amount=IMAGES,
            unit="images",
            warm=False,
        )
    finally:
        generate.load_generator = usual
    classes = json.loads((out / "manifest.json").read_text())["export"]["per_class"].values()
    rejected = sum(n for entry in classes for n in entry["rejected"].values())
    row.notes.append(f"{rejected:,} candidates were rejected")
    return row


def rows(scratch: Path) -> Iterator[Row]:
    yield trained(scratch)
    yield gated(scratch)
    yield memory(scratch)
