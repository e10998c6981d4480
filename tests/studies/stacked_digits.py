"""How many of a thousand modes does a generator find? Three digits in the three colour channels of one image.

    make study-stacked ARGS='--minutes 20'        rewrites the table in docs/science/stacked-digits.md

The usual protocol (Unrolled GAN, 1611.02163 §3.3.1), with scikit-learn's digits for MNIST's: a classifier of single
digits names the mode of each of 26,000 samples; a mode that has a sample is covered, and the Kullback-Leibler
divergence of the samples' modes from the data's, which are uniform, is in nats. A training is a line of `--out`; a
study that was interrupted goes on with the next.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC
from tables import keep, kept, rewrite

from synthaug.config import Config, resolve
from synthaug.data.batches import BalancedBatches
from synthaug.device import has_bf16, resolve_device
from synthaug.models import build_family
from synthaug.models.family import Generator, ImageShape, to_uint8
from synthaug.models.inputs import Inputs
from synthaug.training.game import Game, build_game
from synthaug.training.steps.adversarial import adversarial_step

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]
SUBJECTS: dict[str, tuple[str | None, dict[str, Any]]] = {  # recipe, and what is set beside it
    "mlp": ("mlp", {}),
    "dcgan": (None, {"model.family": "dcgan", "training.augment": []}),
    "default": ("default", {}),
}
MODES, SAMPLES, STACKS = 1000, 26_000, 50_000


class Digits:
    """Single digits at one side, of which a tenth is held out, and the classifier of the others at 8 × 8 px."""

    def __init__(self, side: int) -> None:
        data = load_digits()
        images = [Image.fromarray((x * (255 / 16)).astype(np.uint8)) for x in data.images]
        pixels = np.stack([np.asarray(x.resize((side, side), Image.Resampling.BICUBIC)) for x in images])
        parts = train_test_split(pixels, data.target, test_size=0.1, random_state=0, stratify=data.target)
        self.train, self.held_out, self.train_labels, self.held_out_labels = parts
        self.classifier = SVC(C=10).fit(small(self.train), self.train_labels)
        self.accuracy = float(self.classifier.score(small(self.held_out), self.held_out_labels))

    def modes(self, images: Pixels) -> Labels:
        """The three digits of each image uint8[N, 3, side, side] as a number from 0 to 999, int64[N]."""
        digits = self.classifier.predict(small(images.reshape(-1, *images.shape[2:]))).reshape(-1, 3)
        return digits @ np.array([100, 10, 1])


def small(images: Pixels) -> NDArray[np.float64]:
    """uint8[N, side, side] → means of 8 × 8 equal squares in [0, 1], float64[N, 64]."""
    n, side = len(images), images.shape[-1]
    return images.reshape(n, 8, side // 8, 8, side // 8).mean(axis=(2, 4)).reshape(n, 64) / 255


def stacks(digits: Pixels, count: int, seed: int) -> Pixels:
    """Each channel is a digit drawn at random, uint8[count, 3, side, side]."""
    return digits[np.random.default_rng(seed).integers(0, len(digits), (count, 3))]


def scores(modes: Labels) -> dict[str, float]:
    """Modes covered, and Σ p log(p / (1/1000)) with p the share of each mode."""
    counts = np.bincount(modes, minlength=MODES)
    p = counts[counts > 0] / len(modes)
    return {"modes": len(p), "kl": round(float(np.sum(p * np.log(p * MODES))), 4)}


def config_of(subject: str, side: int, seed: int) -> Config:
    recipe, settings = SUBJECTS[subject]
    return resolve(recipe, flags={**settings, "data.resolution": side, "seed": seed}).config


def game_of(config: Config, images: Pixels, device: torch.device) -> Game:
    """What a step needs, for images of one class: `fit` refuses that, and the networks do not."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        family = build_family(config.model.family, ImageShape(config.data.resolution, 3, 1), config.model)
    labels = torch.zeros(len(images), dtype=torch.int64, device=device)
    pixels = torch.from_numpy(images).to(device)
    batches = BalancedBatches(pixels, labels, torch.ones(1), config.training.batch_size, flip=False)
    precision = "bf16-mixed" if has_bf16(device) else "32-true"
    return build_game(config, family, batches, Fabric(accelerator=device.type, devices=1, precision=precision))


def train(game: Game, seconds: float) -> int:
    """Train so long; returns how many images the discriminator was shown."""
    training, started, step = game.config.training, time.monotonic(), 0
    while (spent := time.monotonic() - started) < seconds:
        game.progress = spent / seconds
        adversarial_step(game, step, game.config.seed)
        step += 1
        images = step * training.batch_size * training.discriminator_steps
        game.state.average.update(game.family.generator, images, training.batch_size)
    return step * training.batch_size * training.discriminator_steps


@torch.no_grad()
def sample(generator: Generator, count: int, device: torch.device) -> Pixels:
    rng = torch.Generator().manual_seed(1)
    sizes = [min(500, count - start) for start in range(0, count, 500)]
    zs = (torch.randn(n, generator.z_dim, generator=rng).to(device) for n in sizes)
    return np.concatenate(
        [to_uint8(generator(Inputs(torch.zeros(len(z), dtype=torch.int64, device=device), z))) for z in zs]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20, help="of training, for each subject")
    parser.add_argument("--subjects", default=",".join(SUBJECTS), help="comma-separated")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--side", type=int, default=16, choices=(16, 32))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, default=Path("build/stacked.jsonl"))
    parser.add_argument("--write", action="store_true", help="the table into docs/science/stacked-digits.md")
    a = parser.parse_args()
    digits, device = Digits(a.side), resolve_device(a.device)
    print(
        f"classifier of single digits: {digits.accuracy:.1%} right of {len(digits.held_out)} held-out ones", flush=True
    )
    a.out.parent.mkdir(parents=True, exist_ok=True)
    rows = kept(a.out)

    def add(key: dict[str, Any], result: dict[str, Any]) -> None:
        rows.append({**key, **result})
        keep(a.out, rows[-1])
        print(rows[-1], flush=True)

    for seed in range(a.seeds):
        for subject in a.subjects.split(","):
            key = {"subject": subject, "side": a.side, "minutes": a.minutes, "seed": seed}
            if any(key.items() <= row.items() for row in rows):
                continue
            game = game_of(config_of(subject, a.side, seed), stacks(digits.train, STACKS, seed), device)
            images = train(game, 60 * a.minutes)
            made = sample(game.state.average.network, SAMPLES, device)
            add(key, {"kimg": round(images / 1000, 1), **scores(digits.modes(made))})

    real = scores(digits.modes(stacks(digits.held_out, SAMPLES, seed=1)))
    head = ["subject", "px", "minutes", "seed", "kimg", "modes of 1000", "KL"]
    table = [["real, held out", str(a.side), "", "", "", str(real["modes"]), f"{real['kl']:.3f}"]]
    table += [
        [r["subject"], *(f"{r[k]:g}" for k in ("side", "minutes", "seed", "kimg", "modes")), f"{r['kl']:.3f}"]
        for r in rows
    ]
    if a.write:
        rewrite("stacked-digits", head, table)
    else:
        print("\n".join(" | ".join(line) for line in [head, *table]))


if __name__ == "__main__":
    main()
