"""Digests of trainings, an export and an evaluation, to show that a change of structure changed no bit.

Kernels differ between processors in the last bit, so compare two commits on one machine:

    python tests/pinned.py > before.json    # at the one
    python tests/pinned.py > after.json     # at the other; then diff the two
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from sklearn.datasets import load_digits

import synthaug

RECIPES = ("default", "lapgan", "progressive", "projected", "infogan")
OTHERS: dict[str, tuple[str | None, tuple[str, ...]]] = {
    "mlp": ("mlp", ()),
    "biggan": ("biggan", ()),
    "fastgan": ("fastgan", ()),
    "stylegan2": ("stylegan2", ()),
    "r3gan": ("r3gan", ()),
    "wgan": ("wgan", ()),
    "acgan": ("acgan", ()),
    "consistency": ("default", ("training.regularizers={consistency: 10.0}",)),
    "lecam": ("default", ("training.regularizers={lecam: 0.3}",)),
    "mode-seeking": ("default", ("training.regularizers={mode-seeking: 1.0}",)),
    "r1": ("default", ("training.regularizers={r1: 1.0}", "training.objective=non-saturating")),
    "conditional-spectral": ("default", ("training.regularizers={conditional-spectral: 0.01}",)),
    "ada": ("default", ("training.ada=true", "training.ada_kimg=5")),
    "fade-in": ("default", ("training.fade_end=0.5",)),
    "embedding-noise": ("default", ("training.embedding_noise=0.5",)),
    "relativistic": ("default", ("training.objective=relativistic",)),
    "lapgan-relativistic": ("lapgan", ("training.objective=relativistic", "training.regularizers={r1: 0.1}")),
    "critic": ("default", ("training.discriminator_steps=2", "training.flip=true")),
}
SMALL = (
    "training.budget=2kimg",
    "model.width=8",
    "model.discriminator_width=8",
    "training.batch_size=16",
    "monitor.samples_per_class=8",
    "monitor.every_kimg=1",
    "gate.steps=20",
    "gate.agreement=false",  # nothing passes it after so short a training
)


def write_digits(root: Path) -> Path:
    data = load_digits()
    for label, count in ((0, 70), (1, 70), (2, 12)):
        (root / str(label)).mkdir(parents=True)
        for i in np.flatnonzero(data.target == label)[:count]:
            Image.fromarray((data.images[i] * 255 / 16).astype(np.uint8)).save(root / str(label) / f"{i:04d}.png")
    return root


def digest(*parts: bytes) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()[:16]


def train(data: Path, place: Path, recipe: str | None, sets: tuple[str, ...]) -> Path:
    side = {"lapgan": 32, "progressive": 16, "projected": 32}.get(recipe or "", 16)
    document = synthaug.fit(
        data,
        target_class="2",
        recipe=recipe,
        set=(f"data.resolution={side}", *SMALL, *sets),
        runs=place / "runs",
        device="cpu",
        cache=place / "cache",
    )
    return Path(document.run)


def weights(run: Path) -> str:
    """Of all networks, optimisers and averages at the end, and of what was measured on the way."""
    last = sorted((run / "checkpoints").iterdir())[-1]
    parts = []
    for file in ("generator.safetensors", "training.safetensors"):
        tensors = load_file(last / file)
        parts += [name.encode() + tensor.contiguous().view(torch.uint8).numpy().tobytes() if tensor.ndim else
                  name.encode() + repr(tensor.item()).encode() for name, tensor in sorted(tensors.items())]  # fmt: skip
    return digest(*parts, *(json.dumps(row, sort_keys=True).encode() for row in measured(run)))


def measured(run: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{k: v for k, v in row.items() if k != "images_per_second"} for row in rows]


def exported(run: Path, place: Path, **options: Any) -> str:
    """Of every pixel and of the metadata of an export."""
    out = place / f"export-{len(list(place.iterdir()))}"
    synthaug.export(run, per_class=80, out=out, allow_short=True, device="cpu", cache=place / "cache", **options)
    pixels = [path.read_bytes() for path in sorted(out.rglob("*.png"))]
    rows = (out / "train" / "metadata.jsonl").read_bytes()
    return digest(*pixels, rows)


def judged(run: Path, place: Path) -> dict[str, str]:
    """The numbers of an evaluation and of a check."""
    document = synthaug.evaluate(
        run, seeds=2, steps=20, shares=[0.25], arms=["oversample", "synthetic", "classical", "synthetic+classical"],
        out=place / "report", device="cpu", cache=place / "cache", jobs=1,
    )  # fmt: skip
    numbers = document.model_dump(mode="json", include={"arms", "split"})
    contrasts = document.verdict.model_dump(mode="json")["contrasts"]
    scores = {
        name: (c.collapse, c.memorisation, c.score("kid").interval, c.score("coverage").value, c.score("dcr").interval)
        for name, c in document.quality.per_class.items()
    }
    check = synthaug.check(run, count=64, device="cpu", cache=place / "cache")
    of_check = {
        name: (c.collapse, c.score("kid").interval, *(c.score(n).value for n in ("vendi_ratio", "c_t", "detect_auc")))
        for name, c in check.per_class.items()
    }
    return {
        "evaluate": digest(json.dumps([numbers, contrasts], sort_keys=True, default=str).encode()),
        "quality": digest(repr(scores).encode()),
        "check": digest(repr(of_check).encode()),
    }


def measure(names: list[str]) -> dict[str, str]:
    """Name → digest: of each recipe's weights, and, of the default's, an export, an evaluation and a check."""
    torch.set_num_threads(1)
    known: dict[str, tuple[str | None, tuple[str, ...]]] = {name: (name, ()) for name in RECIPES} | OTHERS
    found: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        data = write_digits(place / "data")
        for name in names:
            recipe, sets = known[name]
            try:
                run = train(data, place, recipe, sets)
            except synthaug.SynthaugError as error:
                found[name] = f"error: {error}"
                continue
            found[name] = weights(run)
            if name == "default":
                found["export"] = exported(run, place)
                found["export, truncated and selected"] = exported(run, place, truncation=0.7, select="top-k")
                found |= judged(run, place)
            print(name, found[name], file=sys.stderr)
    return found


if __name__ == "__main__":
    print(json.dumps(measure([*RECIPES, *OTHERS]), indent=2))
