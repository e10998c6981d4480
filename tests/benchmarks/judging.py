"""PRDC against PyPI's `prdc` in time and memory, KID and FID against torchmetrics, and a whole `check`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
import torch
from compare import Row, compare, peak_rss, seconds
from material import write_images
from numpy.typing import NDArray
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from synthaug.metrics import fidelity
from synthaug.pipelines.check import check

IMAGES, WIDTH = 10_000, 1280
ROUNDS = 2
TORCHMETRICS_IMAGES = 5000
CHECKED = 5000
LIMIT = 180.0
Features = NDArray[np.float32]


def features(count: int, seed: int) -> Features:
    """Like pooled activations: no number below zero. Made in place: no larger peak precedes."""
    out = np.random.default_rng(seed).standard_normal((count, WIDTH), dtype=np.float32)
    out += np.float32(0.02 * seed)
    return np.maximum(out, 0, out=out)


class _AsGiven(torch.nn.Module):
    """In place of torchmetrics' Inception: the features are there already."""

    num_features = WIDTH

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def _measured(who: str) -> None:
    """In a process of its own: seconds, peak memory above that of the features and the imports, and the scores."""
    real, fake = features(IMAGES, 0), features(IMAGES, 1)
    if who == "prdc":
        from prdc import compute_prdc

        def score() -> dict[str, float]:
            return {name: float(value) for name, value in compute_prdc(real, fake, 5).items()}
    else:

        def score() -> dict[str, float]:
            found = fidelity.prdc(real, fake)
            return {name: getattr(found, name) for name in ("precision", "recall", "density", "coverage")}

    _ = real[:64] @ fake[:64].T  # the linear algebra library's threads and buffers are there before
    before = peak_rss()
    scores: dict[str, float] = {}
    took = seconds(lambda: scores.update(score()))
    print(json.dumps({"seconds": took, "megabytes": (peak_rss() - before) / 1024, **scores}))


def _in_child(who: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, __file__, who], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _prdc() -> Iterator[Row]:
    pairs = [(_in_child("ours"), _in_child("prdc")) for _ in range(ROUNDS)]
    ours, theirs = pairs[-1]
    names = ("precision", "recall", "density", "coverage")
    gap = max(abs(ours[name] - theirs[name]) for name in names)
    note = f"the four scores differ by {gap:.1g} at most"
    for key, what, target, unit in (
        ("seconds", "time", 3.0, "s"),
        ("megabytes", "peak memory", 5.0, "MB more than the features"),
    ):
        ratios = [b[key] / a[key] for a, b in pairs]
        yield Row(
            f"PRDC, {IMAGES:,} against {IMAGES:,} features of {WIDTH:,}, {what}",
            "PyPI's prdc on the same float32 features",
            target,
            median(ratios),
            min(ratios),
            max(ratios),
            f"{median(a[key] for a, _ in pairs):,.1f} {unit}",
            f"{median(b[key] for _, b in pairs):,.1f} {unit}",
            [note] if key == "seconds" else [],
        )


def _torchmetrics() -> Iterator[Row]:
    real, fake = features(TORCHMETRICS_IMAGES, 0), features(TORCHMETRICS_IMAGES, 1)
    found: dict[str, float] = {}

    def kid() -> None:
        found["our KID"] = fidelity.kid(real, fake, rng=np.random.default_rng(0)).mean

    def their_kid() -> None:
        metric = KernelInceptionDistance(feature=_AsGiven(), subsets=100, subset_size=1000)
        metric.update(torch.from_numpy(real), real=True)
        metric.update(torch.from_numpy(fake), real=False)
        found["KID"] = float(metric.compute()[0])

    def fid() -> None:
        found["our FID"] = fidelity.fid(real, fake)

    def their_fid() -> None:
        metric = FrechetInceptionDistance(feature=_AsGiven()).set_dtype(torch.float64)
        metric.update(torch.from_numpy(real).double(), real=True)
        metric.update(torch.from_numpy(fake).double(), real=False)
        found["FID"] = float(metric.compute())

    for name, ours, theirs in (("KID", kid, their_kid), ("FID", fid, their_fid)):
        row = compare(
            f"{name} of {TORCHMETRICS_IMAGES:,} and {TORCHMETRICS_IMAGES:,} features of {WIDTH:,}",
            "torchmetrics given the same features",
            1.0,
            ours,
            theirs,
            amount=1,
            unit="scores",
        )
        row.notes.append(f"ours {found[f'our {name}']:.6g}, theirs {found[name]:.6g}")
        if name == "KID":
            row.notes.append("both average over 100 random subsets of 1,000 images, but draw different ones")
        yield row


def _check(scratch: Path) -> Iterator[Row]:
    real, synthetic, cache = scratch / "judged-real", scratch / "judged-synthetic", scratch / "judged-cache"
    write_images(real / "train", count=CHECKED * 4 // 5)
    write_images(real / "test", count=CHECKED // 5, seed=1)
    write_images(synthetic, count=CHECKED, seed=2)

    def judge() -> None:
        check(synthetic, reference=real, cache=cache)

    first = seconds(judge)
    taken = [seconds(judge) for _ in range(ROUNDS)]
    yield Row(
        f"check of {CHECKED:,} synthetic against {CHECKED:,} real images, 32 px, features of the real ones kept",
        "three minutes",
        1.0,
        LIMIT / median(taken),
        LIMIT / max(taken),
        LIMIT / min(taken),
        f"{median(taken):.0f} s",
        f"{LIMIT:.0f} s",
        [f"{first:.0f} s the first time, when nothing is in the cache"],
    )


def rows(scratch: Path) -> Iterator[Row]:
    yield from _prdc()
    yield from _torchmetrics()
    yield from _check(scratch)


if __name__ == "__main__":
    _measured(sys.argv[1])
