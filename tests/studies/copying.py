"""How often copies of training images are found: by the copy verdict, by kind, share and class size, and by the gate.

    make study-copying         rewrites the table in docs/science/copying.md

Needs Debian's dataset-fashion-mnist. The features are raw pixels, so that the whole study takes a minute: what is
measured is mostly what the pixel comparison adds, and that uses no features.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta
from tables import digit_classes, fashion_classes, grey_levels, rewrite

from synthaug.metrics.memorisation import memorisation
from synthaug.metrics.pixel_copies import CopyFinder, recompressed

Pixels = NDArray[np.uint8]
SHARES = (0.01, 0.1, 0.5)


def moved(images: Pixels, down: int, right: int) -> Pixels:
    side = images.shape[-1]
    padded = np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2)), "edge")
    return padded[..., 2 - down : 2 - down + side, 2 - right : 2 - right + side].copy()


def copies_of(kind: str, images: Pixels, rng: np.random.Generator) -> Pixels:
    if kind == "flipped":
        return images[..., ::-1].copy()
    if kind == "JPEG 75":
        return recompressed(images)
    if kind == "noise of 4 levels":
        return np.clip(images + rng.normal(0, 4, images.shape), 0, 255).round().astype(np.uint8)
    if kind == "noise of 10 levels":
        return np.clip(images + rng.normal(0, 10, images.shape), 0, 255).round().astype(np.uint8)
    if kind == "moved a pixel":
        return moved(images, 1, 0)
    if kind == "moved, JPEG 75":
        return recompressed(moved(images, 0, -1))
    if kind == "a tenth brighter":
        return np.clip(images * 1.1, 0, 255).round().astype(np.uint8)
    return images


KINDS = (
    "exact",
    "flipped",
    "moved a pixel",
    "JPEG 75",
    "moved, JPEG 75",
    "noise of 4 levels",
    "noise of 10 levels",
    "a tenth brighter",
)


def verdict(
    synthetic: Pixels,
    nearness: NDArray[np.float64],
    *,
    train: Pixels,
    held_out: Pixels,
    of_held_out: NDArray[np.float64],
    seed: int,
) -> str:
    s, t, h, m = (grey_levels(part) for part in (synthetic, train, held_out, train[..., ::-1]))
    rng = np.random.default_rng(seed)
    return memorisation(s, t, h, mirrored=m, pixels=(nearness, of_held_out), rng=rng).verdict


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--new", type=int, default=8, help="splits of each class with new real images only")
    parser.add_argument("--planted", type=int, default=1, help="of them, those with planted copies too")
    a = parser.parse_args()
    rows = []
    for name, sizes in (("digits", (10, 25, 100)), ("fashion", (10, 25, 100, 500))):
        images = digit_classes() if name == "digits" else fashion_classes(500 + 250 + 500)
        for size in sizes:
            gate: dict[str, list[NDArray[np.bool_]]] = defaultdict(list)
            verdicts: dict[tuple[str, float], list[str]] = defaultdict(list)
            samples = set()
            for c in images:
                for seed in range(a.new if size < 500 else max(a.new // 2, 1)):
                    rng = np.random.default_rng([seed, size])
                    x = images[c][rng.permutation(len(images[c]))]
                    held = min(max(10, size // 2), 250)
                    train, held_out, new = x[:size], x[size : size + held], x[size + held :][:500]
                    n = len(new)
                    samples.add(n)
                    finder = CopyFinder(train)
                    of_new, of_held_out = finder.closest(new)[0], finder.closest(held_out)[0]
                    gate["new"].append(of_new < 1)
                    judge = partial(verdict, train=train, held_out=held_out, of_held_out=of_held_out, seed=seed)
                    verdicts["new", 0].append(judge(new, of_new))
                    for kind in KINDS if seed < a.planted else ():
                        planted = copies_of(kind, train[rng.integers(0, size, n // 2)], rng)
                        of_planted = finder.closest(planted)[0]
                        gate[kind].append(of_planted < 1)
                        for share in SHARES:
                            k = max(1, round(share * n)) if share < 0.5 else n // 2
                            mixed = np.concatenate([planted[:k], new[k:]])
                            verdicts[kind, share].append(judge(mixed, np.concatenate([of_planted[:k], of_new[k:]])))
            many = f"{min(samples)}" if len(samples) == 1 else f"{min(samples)} to {max(samples)}"
            for kind in ("new", *KINDS):
                hits = np.concatenate(gate[kind])
                worst = max if kind == "new" else min
                found = f"{hits.mean():.1%} (worst class {worst(h.mean() for h in gate[kind]):.1%})"
                cells = []
                for share in (0,) if kind == "new" else SHARES:
                    v = verdicts[kind, share]
                    sure = sum(one == "copying" for one in v)
                    alarms = sure + sum(one == "suspect" for one in v)
                    bound = beta.ppf(0.95, alarms + 1, len(v) - alarms) if alarms < len(v) else 1
                    if kind == "new":
                        cells.append(f"{alarms / len(v):.0%} (≤ {bound:.0%})")
                    else:
                        cells.append(f"{alarms / len(v):.0%} / {sure / len(v):.0%}")
                cells += [""] * (3 - len(cells))
                rows.append([name, str(size), many, "new real images" if kind == "new" else kind, found, *cells])
            print(name, size, flush=True)
    head = ["data", "size", "samples", "planted", "rejected by pixels", "verdict at 1%", "at 10%", "at 50%"]
    rewrite("copying", head, rows)


if __name__ == "__main__":
    main()
