"""Train torchgan's conditional GAN as its documentation sets it up, and write samples of every class on the way.

    pip install torchgan
    python tests/studies/peer_torchgan.py DATA/train OUT --kimg 160 --every 20

OUT/kimg000020/<class>/*.png and so on: folders that rare_class_quality.py scores as it scores a run of ours.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, RandomSampler
from torchvision import transforms
from torchvision.datasets import ImageFolder

BATCH = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--kimg", type=int, default=160)
    parser.add_argument("--every", type=int, default=20)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--channels", type=int, default=1, choices=(1, 3))
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    os.environ.update(TENSORBOARD_LOGGING="0", CONSOLE_LOGGING="0", VISDOM_LOGGING="0")
    from torchgan.losses import MinimaxDiscriminatorLoss, MinimaxGeneratorLoss
    from torchgan.models import ConditionalGANDiscriminator, ConditionalGANGenerator
    from torchgan.trainer import Trainer

    torch.manual_seed(a.seed)
    steps = [transforms.Grayscale(a.channels)] if a.channels == 1 else []
    half = (0.5,) * a.channels
    steps += [transforms.Resize((32, 32)), transforms.ToTensor(), transforms.Normalize(half, half)]
    data = ImageFolder(str(a.train), transforms.Compose(steps))
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
        sampler = RandomSampler(data, replacement=True, num_samples=a.every * 1000)
        batches = DataLoader(data, batch_size=BATCH, sampler=sampler, num_workers=1, drop_last=True)
        trained = 0.0
        for kimg in range(a.every, a.kimg + 1, a.every):
            begun = time.monotonic()
            for trainer.real_inputs, trainer.labels in batches:
                trainer.train_iter()
            trained += time.monotonic() - begun
            save(trainer.generator, data.classes, a.out / f"kimg{kimg:06d}", a.count)
            print(f"{kimg} kimg, {kimg * 1000 / trained:.0f} images/s", flush=True)


@torch.no_grad()
def save(generator: torch.nn.Module, classes: list[str], out: Path, count: int) -> None:
    generator.eval()
    for index, name in enumerate(classes):
        (out / name).mkdir(parents=True, exist_ok=True)
        images = generator(torch.randn(count, generator.encoding_dims), torch.full((count,), index))
        for number, image in enumerate(((images + 1) * 127.5).round().clamp(0, 255).byte().numpy()):
            Image.fromarray(np.squeeze(image.transpose(1, 2, 0))).save(out / name / f"{number:05d}.png")
    generator.train()


if __name__ == "__main__":
    main()
