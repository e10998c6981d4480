"""What the tests of sampling and export share: painted images, a run of them, and a generator that paints as well.

The generator draws from the distribution that the real images come from, so that gates have good images to judge; it
stands behind `load_generator` as a trained one would. `python tests/export_material.py RUN OUT N` exports with it in a
process of its own, to be killed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from synthaug.config import Config, resolve
from synthaug.data.folder import scan
from synthaug.data.split import split
from synthaug.documents import FitDocument
from synthaug.models import build_family
from synthaug.models.codes import Codes
from synthaug.models.family import Discriminator, ImageShape
from synthaug.models.inputs import Inputs
from synthaug.requests import FitRequest
from synthaug.runs import Run, RunFacts, create, point_latest, write_config
from synthaug.sampling.trained import TrainedGenerator
from synthaug.training import checkpoint
from synthaug.training.ema import Average
from synthaug.training.state import Counters, TrainingState

CLASSES = ["disc", "ring ünd", "stripes"]
Z_DIM = 16


def paint(z: Tensor, y: Tensor, channels: int, resolution: int) -> Tensor:
    """Images float [B, C, R, R] in [-1, 1]: a disc, a ring or stripes, on a background with a soft pattern."""
    axis = torch.linspace(-1, 1, resolution)
    v, u = torch.meshgrid(axis, axis, indexing="ij")
    s = torch.tanh(z)[:, :, None, None]
    x, x2 = u - 0.4 * s[:, 0], v - 0.4 * s[:, 1]
    radius = (x * x + x2 * x2).sqrt()
    size = 0.45 + 0.2 * s[:, 2]
    disc = torch.sigmoid(20 * (size - radius))
    ring = torch.sigmoid(20 * (0.15 - (radius - size).abs()))
    stripes = torch.sigmoid(6 * torch.sin(9 * (x * torch.cos(s[:, 3]) + x2 * torch.sin(s[:, 3])) + 3 * s[:, 2]))
    shape = torch.stack([disc, ring, stripes], 1)[torch.arange(len(z)), y % 3]
    planes = []
    for c in range(channels):
        pattern = 0.25 * torch.sin(4 * u * s[:, 4 + c] + 3 * v * s[:, 7 + c] + 3 * s[:, 10 + c])
        planes.append(-0.6 + pattern + shape * (0.9 + 0.4 * s[:, 13 + c]))
    return torch.stack(planes, 1).clamp(-1, 1)


class Painter(nn.Module):
    """Stands in for a trained network. `mode` plants a fault: `one` image, `noise`, `swapped` classes, or `rough`
    images where z_0 is positive."""

    def __init__(self, channels: int, resolution: int, mode: str = "good", copied: Tensor | None = None) -> None:
        super().__init__()
        self.channels, self.resolution, self.mode = channels, resolution, mode
        self.copied = copied

    def forward(self, inputs: Inputs) -> Tensor:
        z, y = inputs.noise, inputs.labels
        if self.mode == "one":
            z = torch.zeros_like(z) + 1e-3 * z
        if self.mode == "noise":
            rng = torch.Generator().manual_seed(int(z.abs().sum() * 1000))
            return torch.rand(len(z), self.channels, self.resolution, self.resolution, generator=rng) * 2 - 1
        if self.mode == "swapped":
            y = y + 1
        images = paint(z, y, self.channels, self.resolution)
        if self.mode == "rough":
            noise = torch.rand(images.shape[1:], generator=torch.Generator().manual_seed(0)) - 0.5
            images = torch.where((z[:, 0] > 0)[:, None, None, None], (images + noise).clamp(-1, 1), images)
        return images


class Mortal(Painter):
    """Kills its process at the second chunk that it paints there, once: then the file `mark` exists."""

    def __init__(self, channels: int, resolution: int, mark: Path) -> None:
        super().__init__(channels, resolution)
        self.mark, self.chunks = mark, 0

    def forward(self, inputs: Inputs) -> Tensor:
        self.chunks += 1
        if self.chunks == 2 and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(inputs)


class Smoothness(Discriminator):
    """Stands in for a discriminator that sees what is `rough`: −`scale` times the mean step between neighbours."""

    def __init__(self, scale: float = 10.0, heads: int = 1) -> None:
        super().__init__()
        self.scale, self.heads = scale, heads

    def forward(self, x: Tensor, y: Tensor) -> list[Tensor]:
        return [-self.scale * x.diff(dim=3).abs().mean(dim=(1, 2, 3))[:, None]] * self.heads


def save_images(
    root: Path,
    counts: Mapping[str, int],
    *,
    channels: int = 3,
    resolution: int = 16,
    write: Callable[[Image.Image, Path, int], Path] | None = None,
) -> None:
    """Real images, `root/<class>/<number>.png`; `write` saves one in another form and returns its path."""
    for index, (label, count) in enumerate(counts.items()):
        (root / label).mkdir(parents=True)
        z = torch.randn(count, Z_DIM, generator=torch.Generator().manual_seed(100 + index))
        images = paint(z, torch.full((count,), index), channels, resolution)
        for number, array in enumerate(((images + 1) * 127.5).round().to(torch.uint8).numpy()):
            image = Image.fromarray(array[0] if channels == 1 else array.transpose(1, 2, 0))
            if write is None:
                image.save(root / label / f"{number:04d}.png")
            else:
                write(image, root / label / f"{number:04d}", number)


class Means(nn.Module):
    """Mean colour of each quarter: 12 features."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(x, 2).flatten(1)


def save_net(path: Path) -> None:
    """A feature net of the user, which takes no time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch recommends torch.export instead
        torch.jit.script(Means()).save(str(path))


def source_type(path: Path) -> str | None:
    """The `DigitalSourceType` that a file carries, or None."""
    match = re.search(rb"DigitalSourceType[^\"'<>]*(?:=\s*[\"']|>)\s*([^\"'<>\s]+)", path.read_bytes())
    return match[1].decode("utf-8", "replace") if match else None


def make_run(data: Path, runs: Path, *, data_url: str | None = None, **flags: Any) -> Run:
    """A run of `data` whose only checkpoint is an untrained small network, as `fit` would have written it."""
    settings = {
        "data.resolution": 16,
        "data.min_images_for_val": 20,
        "model.width": 8,
        "model.discriminator_width": 8,
        "model.z_dim": Z_DIM,
        "gate.steps": 24,
        **flags,
    }
    resolved = resolve(flags=settings)
    config: Config = resolved.config
    scanned = scan(data, cache=runs.parent / "cache")
    run = create(runs, "test")
    split(scanned, config.data, config.seed).write(run.split_file)
    targets = [min(scanned.counts, key=lambda label: scanned.counts[label])]
    facts = RunFacts(
        data=data,
        data_url=data_url,
        fingerprint=scanned.fingerprint,
        classes=scanned.classes,
        targets=targets,
        channels=scanned.channels,
    )
    write_config(run, resolved, facts)
    shape = ImageShape(config.data.resolution, scanned.channels, len(scanned.classes))
    torch.manual_seed(0)
    family = build_family(config.model.family, shape, config.model)
    architecture = {"family": config.model.family, "shape": vars(shape) if hasattr(shape, "__dict__") else list(shape)}
    networks: dict[str, torch.nn.Module] = {"discriminator": family.discriminator}
    state = TrainingState(networks, {}, Average(family.generator, 1.0), architecture, Counters(images=1000))
    name = checkpoint.save(run, state)
    run.set_status(state="finished", best_checkpoint=name)
    point_latest(run)
    return run


@dataclass
class Painters:
    """A `load_generator` that gives painters, or `network`."""

    mode: str = "good"
    network: Painter | None = None

    def __call__(
        self, run: Run, which: str | Path = "best", device: str = "auto", sources: str | None = None,
        inputs: Any = None, *, cache: Path | None = None, plan: Any = None,
    ) -> TrainedGenerator:  # fmt: skip
        assert sources is inputs is None, "painters start from noise"
        facts, config = run.facts(), run.config()
        mode = self.mode
        return TrainedGenerator(
            run=run,
            network=self.network or Painter(facts.channels, config.data.resolution, mode),  # type: ignore[arg-type]
            classes=facts.classes,
            targets=facts.targets,
            channels=facts.channels,
            resolution=config.data.resolution,
            z_dim=Z_DIM,
            seed=config.seed,
            kimg=1.0,
            sha256=hashlib.sha256(mode.encode()).hexdigest(),
            checkpoint="kimg000001",
            device=torch.device("cpu"),
            codes=Codes(),
        )


def fit_by_painter(request: FitRequest, progress: object) -> FitDocument:
    """A `run_fit` that leaves a run without training."""
    runs = request.runs or Path(request.data).parent / "runs"
    run = make_run(Path(request.data), runs, **{"data.test_fraction": 0.0, "seed": request.seed or 0})
    return FitDocument(
        run=str(run.path), kimg=1.0, seconds=1.0, images_per_second=1.0, best_checkpoint="kimg000001",
        targets=run.facts().targets, split={}, monitor={},
    )  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    """Relative path → bytes of every file below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def metadata(out: Path, side: str = "train") -> list[dict[str, Any]]:
    lines = (out / side / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def pixels(count: int, label_index: int, seed: int, resolution: int = 16, channels: int = 3) -> np.ndarray:
    """uint8 [count, C, R, R] of one class, unlike those of any other seed."""
    z = torch.randn(count, Z_DIM, generator=torch.Generator().manual_seed(seed))
    images = paint(z, torch.full((count,), label_index), channels, resolution)
    return ((images + 1) * 127.5).round().to(torch.uint8).numpy()


if __name__ == "__main__":
    from synthaug.pipelines.export import export
    from synthaug.sampling import generate

    generate.load_generator = Painters()
    torch.set_num_threads(1)
    export(
        sys.argv[1],
        out=Path(sys.argv[2]),
        per_class=int(sys.argv[3]),
        gate="--no-gate" not in sys.argv,
        with_heldout=True,
        device="cpu",
        cache=Path(sys.argv[1]).parent.parent / "cache",
    )
