"""Train torchgan's conditional GAN as its documentation sets it up, and write samples of every class on the way.

    pip install torchgan
    python tests/studies/peer_torchgan.py DATA/train OUT --kimg 160 --every 20
    python tests/studies/peer_torchgan.py DATA/train OUT --minutes 10

OUT/kimg000020/<class>/*.png and so on: folders that rare_class_quality.py scores as it scores a run of ours. Minutes
are of training alone; what it takes to write samples does not count.
"""

from __future__ import annotations

import argparse
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, RandomSampler
from torchvision import transforms
from torchvision.datasets import ImageFolder

BATCH = 64


def main() -> None:
    a = arguments(__doc__)
    os.environ.update(TENSORBOARD_LOGGING="0", CONSOLE_LOGGING="0", VISDOM_LOGGING="0")
    from torchgan.losses import MinimaxDiscriminatorLoss, MinimaxGeneratorLoss
    from torchgan.models import ConditionalGANDiscriminator, ConditionalGANGenerator
    from torchgan.trainer import Trainer

    torch.manual_seed(a.seed)
    data = image_folder(a.train, a.channels)
    adam = {"name": torch.optim.Adam, "args": {"lr": 2e-4, "betas": (0.5, 0.999)}}
    common = {"num_classes": len(data.classes)}
    with tempfile.TemporaryDirectory() as scratch:
        trainer = Trainer(
            {
                "generator": {
                    "name": ConditionalGANGenerator,
                    "args": {**common, "out_size": 32, "out_channels": a.channels},
                    "optimizer": adam,
                },
                "discriminator": {
                    "name": ConditionalGANDiscriminator,
                    "args": {**common, "in_size": 32, "in_channels": a.channels},
                    "optimizer": adam,
                },
            },
            [MinimaxGeneratorLoss(), MinimaxDiscriminatorLoss()],
            device=torch.device("cpu"),
            epochs=1,
            sample_size=BATCH,
            checkpoints=f"{scratch}/gan",
            recon=scratch,
        )
        # The trainer's own loop ends an epoch with images that need an older torchvision: its steps are called instead.
        trainer.batch_size = BATCH
        batches = endless(data)

        def step(share: float) -> int:
            trainer.real_inputs, trainer.labels = next(batches)
            trainer.train_iter()
            return BATCH

        generator = trainer.generator
        train(step, a, lambda folder: save(generator, generator.encoding_dims, data.classes, folder, a.count))


def arguments(description: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--kimg", type=float, help="real images to show (160 without --minutes)")
    parser.add_argument("--minutes", type=float, help="of training; whichever budget is spent first")
    parser.add_argument("--every", type=float, default=20, help="kimg between two sets of samples")
    parser.add_argument("--count", type=int, default=500, help="samples a class")
    parser.add_argument("--channels", type=int, default=1, choices=(1, 3))
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def image_folder(folder: Path, channels: int) -> ImageFolder:
    """Images of 32 px in [-1, 1]."""
    grey = [transforms.Grayscale(1)] if channels == 1 else []
    half = (0.5,) * channels
    steps = [*grey, transforms.Resize((32, 32)), transforms.ToTensor(), transforms.Normalize(half, half)]
    return ImageFolder(str(folder), transforms.Compose(steps))


def endless(data: ImageFolder) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches drawn with replacement, by one worker that is started once."""
    sampler = RandomSampler(data, replacement=True, num_samples=10**9)
    return iter(DataLoader(data, batch_size=BATCH, sampler=sampler, num_workers=1))


def train(step: Callable[[float], int], a: argparse.Namespace, write: Callable[[Path], None]) -> None:
    """Step until the budget is spent, and write samples on the way and at the end.

    `step` takes the share of the budget that is spent, 0 to 1, and returns how many real images it showed.
    """
    limit = 60 * a.minutes if a.minutes else math.inf
    total = 1000 * (a.kimg or (math.inf if a.minutes else 160))
    images, spent, due = 0, 0.0, 1000 * a.every
    while images < total and spent < limit:
        begun = time.monotonic()
        images += step(max(images / total, spent / limit))
        spent += time.monotonic() - begun
        ended = images >= total or spent >= limit
        if images >= due or ended:
            write(a.out / f"kimg{round(images / 1000):06d}")
            print(f"{images / 1000:.1f} kimg, {spent:.0f} s, {images / spent:.0f} images/s", flush=True)
            due += 1000 * a.every


@torch.no_grad()
def save(generator: Any, z_dim: int, classes: list[str], out: Path, count: int) -> None:
    """PNGs of each class from `generator(z, y)`, which is put back into training."""
    generator.eval()
    for index, name in enumerate(classes):
        (out / name).mkdir(parents=True, exist_ok=True)
        images = generator(torch.randn(count, z_dim), torch.full((count,), index))
        for number, image in enumerate(((images + 1) * 127.5).round().clamp(0, 255).byte().numpy()):
            Image.fromarray(np.squeeze(image.transpose(1, 2, 0))).save(out / name / f"{number:05d}.png")
    generator.train()


if __name__ == "__main__":
    main()
