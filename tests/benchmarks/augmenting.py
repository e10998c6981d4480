"""DiffAugment on a batch, forwards and backwards, against the same transforms of kornia."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from compare import Row, compare

from synthaug.augment.diffaugment import DiffAugment

BATCH, ROUNDS = 64, 40


def rows(scratch: Path) -> Iterator[Row]:
    import kornia.augmentation as k

    theirs_by_policy = {
        "color": lambda: [
            k.RandomBrightness((0.5, 1.5), p=1.0, clip_output=False),
            k.RandomSaturation((0.0, 2.0), p=1.0),
            k.RandomContrast((0.5, 1.5), p=1.0, clip_output=False),
        ],
        "translation": lambda: [k.RandomAffine(0.0, translate=(0.125, 0.125), p=1.0, resample="nearest")],
        "cutout": lambda: [k.RandomErasing((0.25, 0.25), (1.0, 1.0), p=1.0)],
        "affine": lambda: [
            k.RandomAffine(10.0, (0.125, 0.125), (0.85, 1.15), p=1.0, padding_mode="border", align_corners=False)
        ],
    }
    batch = torch.rand(BATCH, 3, 32, 32, requires_grad=True)
    for name, policies in (
        ("color, translation, cutout (the paper's)", ["color", "translation", "cutout"]),
        ("color, affine (the default)", ["color", "affine"]),
    ):
        rng, ours = torch.Generator().manual_seed(0), DiffAugment(policies)
        theirs = torch.nn.Sequential(*[layer for policy in policies for layer in theirs_by_policy[policy]()])

        def run_ours(augment: DiffAugment = ours, rng: torch.Generator = rng) -> None:
            for _ in range(ROUNDS):
                augment(batch, rng).sum().backward()

        def run_theirs(augment: torch.nn.Module = theirs) -> None:
            for _ in range(ROUNDS):
                augment(batch).sum().backward()

        yield compare(
            f"DiffAugment: {name}, batch {BATCH}, 32 px, with gradient",
            "the equivalent of kornia",
            1.5,
            run_ours,
            run_theirs,
            amount=BATCH * ROUNDS,
            unit="images",
            rounds=5,
        )
