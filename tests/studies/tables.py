"""What the studies share: real images, cached features, and tables that rewrite themselves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from make_folders import FASHION, fashion
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

from synthaug.features import load_features
from synthaug.metrics.spread import proportion_range

Pixels = NDArray[np.uint8]
DOCS = Path(__file__).parents[2] / "docs/science"


def fashion_classes(per_class: int) -> dict[str, Pixels]:
    """The first images of each class in a fixed random order, uint8 [n, 1, 32, 32]."""
    images, labels, _ = fashion()
    rng, of = np.random.default_rng(0), np.array(labels)
    rows = {name: rng.permutation(np.flatnonzero(of == name))[:per_class] for name in FASHION}
    return {
        name: np.stack([np.asarray(Image.fromarray(images[i]).resize((32, 32), Image.Resampling.BICUBIC)) for i in r])[
            :, None
        ]
        for name, r in rows.items()
    }


def digit_classes() -> dict[str, Pixels]:
    """uint8 [n, 1, 8, 8], about 180 of each."""
    data = load_digits()
    return {str(k): (data.images[data.target == k] * 15).astype(np.uint8)[:, None] for k in range(10)}


def grey_levels(pixels: Pixels) -> NDArray[np.float32]:
    """The pixels themselves as features."""
    return pixels.reshape(len(pixels), -1).astype(np.float32) / 15


def pretrained(cache: Path) -> Callable[[Pixels], NDArray[np.float32]]:
    """EfficientNet-Lite0; what was asked once is kept in a file."""
    net = load_features("efficientnet_lite0")
    cache.mkdir(parents=True, exist_ok=True)

    def features(pixels: Pixels) -> NDArray[np.float32]:
        file = cache / f"{hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()[:24]}.npy"
        if not file.exists():
            parts = [net(np.ascontiguousarray(pixels[k : k + 256])) for k in range(0, len(pixels), 256)]
            np.save(file, np.concatenate(parts))
        found: NDArray[np.float32] = np.load(file)
        return found

    return features


def kept(file: Path) -> list[dict[str, Any]]:
    """What a study has finished, a line each; it goes on from there."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


def keep(file: Path, row: dict[str, Any]) -> None:
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(row) + "\n")


def rate(hits: int, count: int) -> str:
    """A rate with its 95% interval (Clopper & Pearson, Biometrika 26, 1934)."""
    found = proportion_range(hits / count, count)
    return f"{found.mean:.1%} ({found.low:.1%} to {found.high:.1%})"


def rewrite(name: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Put a table between the two markers of docs/science/NAME.md."""
    table = written(head, rows)
    between(DOCS / f"{name}.md", "table", table)
    print(table)


def written(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *rows])


def between(file: Path, name: str, text: str) -> None:
    """Put `text` between the markers of this name on a page."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, rest = file.read_text(encoding="utf-8").split(begin, 1)
    file.write_text(f"{before}{begin}\n{text}\n{end}{rest.split(end, 1)[1]}", encoding="utf-8")
