"""The evaluation's grid of classifiers, against the same arms one after another with a `DataLoader`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from compare import Row, compare
from torch import nn
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler
from torchvision import transforms

from synthaug.classifiers.cnn import SmallCnn
from synthaug.data.cache import LabelledImages
from synthaug.evaluation.arms import ARMS, training_set
from synthaug.evaluation.grid import Grid, Trial
from synthaug.evaluation.trial import run_trials
from synthaug.progress import Silent

IMAGES, CLASSES, STEPS, BATCH = 3000, 10, 100, 64


def random_images(count: int, seed: int) -> LabelledImages:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)
    labels = np.arange(count) % CLASSES
    return LabelledImages(pixels, labels, [f"class{k}" for k in range(CLASSES)], [f"{i}.png" for i in range(count)])


class _Items(Dataset[tuple[torch.Tensor, int]]):
    """In memory already: the peer is spared the decoding."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray, classical: bool) -> None:
        self.pixels, self.labels = pixels, labels
        steps: list[object] = [transforms.ToPILImage()]
        if classical:
            steps.append(transforms.TrivialAugmentWide())
        self.transform = transforms.Compose(
            [*steps, transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.5,) * 3)]
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(torch.from_numpy(self.pixels[index])), int(self.labels[index])


def rows(scratch: Path) -> Iterator[Row]:
    train, pool, test = random_images(IMAGES, 0), random_images(500, 1), random_images(1000, 2)
    groups = np.arange(IMAGES)
    arms = [name for name, kind in ARMS.items() if not kind.smote]
    grid = Grid(
        classifier="cnn", steps=STEPS, device="cpu", train=train, groups=groups, pool=pool,
        val=test.pixels[:0], test=test.pixels, per_seed=500,
    )  # fmt: skip
    trials = [Trial(arm, 0.25 if ARMS[arm].synthetic else 0.0, 0) for arm in arms]

    def one_after_another() -> None:
        for trial in trials:
            data = training_set(trial.arm, train, groups, pool, share=trial.share, seed=0, per_seed=500)
            network = SmallCnn(3, 32, CLASSES)
            optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.02)
            sampler = WeightedRandomSampler(data.draw_weights.tolist(), STEPS * BATCH)
            items = _Items(data.pixels, data.labels, data.augment == "classical")
            weight = None if data.loss_weights is None else torch.tensor(data.loss_weights, dtype=torch.float32)
            for x, y in DataLoader(items, batch_size=BATCH, sampler=sampler, num_workers=2):
                loss = nn.functional.cross_entropy(network(x), y, weight=weight)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            network.eval()
            with torch.no_grad():
                for start in range(0, len(test), 256):
                    network(torch.from_numpy(test.pixels[start : start + 256]).float() / 127.5 - 1)

    yield compare(
        f"evaluation grid: {len(trials)} arms, 1 seed, {STEPS} steps, CNN, 32 px, {IMAGES:,} images",
        "the same arms one after another, fp32, DataLoader with 2 workers",
        3.0,
        lambda: run_trials(grid, trials, Silent()),
        one_after_another,
        amount=len(trials),
        unit="classifiers",
    )
