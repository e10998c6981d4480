"""How often the collapse verdict is right: real images as samples (false alarms), and planted collapses.

    make study-collapse        rewrites the tables in docs/science/collapse.md
    make study-collapse ARGS='--other signs=DIR'    also on a folder of other images, one folder a class

Of such a folder one image of each series is taken: of the files whose names begin alike, up to the first `_`.

Needs Debian's dataset-fashion-mnist. Features are computed once and kept below --cache.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.stats import beta
from sklearn.cluster import KMeans
from tables import (
    DOCS,
    Pixels,
    between,
    digit_classes,
    fashion_classes,
    grey_levels,
    pretrained,
    rewrite,
    written,
)

from synthaug.metrics.class_judge import class_judge
from synthaug.metrics.quality import class_quality
from synthaug.metrics.real import RealFeatures

Features = NDArray[np.float32]
OTHERS, SAMPLES, POOL = 60, 400, 2000
FAULTS = (
    "new real images",
    "one image repeated",
    "10% of modes",
    "30% of modes",
    "60% of modes",
    "noise",
    "blurred",
    "averages of two",
    "another class",
    "training copies",
)


class Data:
    """Features of a data set's classes, and of what can be planted that does not depend on the split."""

    def __init__(self, name: str, cache: Path, other: Path | None = None) -> None:
        rng = np.random.default_rng(0)
        if other is not None:
            images, net = one_of_each_series(other), pretrained(cache)
            self.judged = sorted(images, key=lambda c: -len(images[c]))[:4]
            images = {c: x if c in self.judged else x[: OTHERS * 2] for c, x in images.items()}
        elif name == "digits":
            images, net, self.judged = digit_classes(), grey_levels, ["1", "3", "5", "8"]
        else:
            images, net = fashion_classes(500 + 250 + POOL), pretrained(cache)
            self.judged = ["Shirt", "Sandal", "Bag"]
            images = {c: x if c in self.judged else x[: OTHERS * 2] for c, x in images.items()}
        self.real = {c: net(x) for c, x in images.items()}
        channels, side = next(iter(images.values())).shape[1:3]
        self.noise = net(rng.integers(0, 256, (200, channels, side, side), dtype=np.uint8))
        self.another = {"1": "7", "3": "8", "5": "9", "8": "3", "Shirt": "Coat", "Sandal": "Sneaker", "Bag": "Sneaker"}
        if other is not None:
            self.another = dict(zip(self.judged, self.judged[::-1], strict=True))
        self.blurred, self.averages = {}, {}
        for c in self.judged:
            x = images[c][-200:].astype(float)
            self.blurred[c] = net(np.rint(gaussian_filter(x, (0, 0, side / 16, side / 16))).astype(np.uint8))
            self.averages[c] = net(np.rint((x + x[rng.permutation(len(x))]) / 2).astype(np.uint8))


def one_of_each_series(folder: Path) -> dict[str, Pixels]:
    """Class → uint8 [n, 3, 32, 32]."""
    images = {}
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        series = {file.name.split("_")[0]: file for file in sorted(place.iterdir(), reverse=True)}
        read = [np.asarray(Image.open(file).convert("RGB").resize((32, 32))) for file in series.values()]
        images[place.name] = np.stack(read).transpose(0, 3, 1, 2)
    return images


def split(data: Data, c: str, size: int, held: int, seed: int) -> tuple[RealFeatures, Features, Features]:
    """Real features with one class cut to `size`; its training images; and unseen ones."""
    rng = np.random.default_rng([seed, size])
    order = rng.permutation(len(data.real[c]))
    parts = {c: (order[:size], order[size : size + held])}
    for other in data.real:
        if other != c:
            some = rng.permutation(len(data.real[other]))
            parts[other] = (some[:OTHERS], some[OTHERS : OTHERS + 20])
    classes = list(data.real)
    train = {k: data.real[k][rows[0]] for k, rows in parts.items()}
    held_out = {k: data.real[k][rows[1]] for k, rows in parts.items()}
    everything = [np.concatenate([train[k], held_out[k]]) for k in classes]
    labels = np.repeat(np.arange(len(classes)), [len(x) for x in everything])
    judge = class_judge(np.concatenate(everything), labels, rng=rng)
    paths = {k: [f"{k}/{i}" for i in range(len(x))] for k, x in train.items()}
    real = RealFeatures(classes, held_out, train, {}, paths, True, judge)
    return real, train[c], data.real[c][order[size + held :]]


def plant(fault: str, data: Data, c: str, train: Features, unseen: Features, rng: np.random.Generator) -> Features:
    if fault == "new real images":
        return unseen[:SAMPLES]
    if fault == "one image repeated":
        return np.repeat(unseen[:1], 200, axis=0)
    if fault.endswith("of modes"):
        clusters = KMeans(10, n_init=1, random_state=0).fit(unseen).labels_
        kept = rng.permutation(10)[: int(fault.split("%")[0]) // 10]
        return unseen[np.isin(clusters, kept)][:SAMPLES]
    if fault == "noise":
        return data.noise
    if fault == "blurred":
        return data.blurred[c]
    if fault == "averages of two":
        return data.averages[c]
    if fault == "another class":
        return data.real[data.another[c]][:SAMPLES]
    return train[rng.integers(0, len(train), 300)]


def percent(hits: int, n: int) -> str:
    return f"{hits / n:.0%}" if n else "–"


def false_alarms(hits: int, n: int) -> str:
    """With the upper end of a one-sided 95% interval (Clopper & Pearson 1934)."""
    return f"{percent(hits, n)} (≤ {beta.ppf(0.95, hits + 1, n - hits) if hits < n else 1:.0%})"


def detected(hits: int, n: int) -> str:
    """With the lower end of a one-sided 95% interval: 3 of 3 are at least 37%."""
    return f"{percent(hits, n)} (≥ {beta.ppf(0.05, hits, n - hits + 1) if hits else 0:.0%})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path("/tmp/synthaug-study"))
    parser.add_argument("--healthy", type=int, default=10, help="splits of each class with new real images")
    parser.add_argument("--faulty", type=int, default=2, help="of them, those with planted faults too")
    parser.add_argument("--other", metavar="NAME=DIR", help="only this folder: the table of another data set")
    a = parser.parse_args()
    rows, tried, wrong = [], 0, 0
    name, _, other = (a.other or "").partition("=")
    sets = [("digits", (10, 25, 100)), ("fashion", (10, 25, 100, 500))] if a.other is None else [(name, (10, 25))]
    for name, sizes in sets:
        data = Data(name, a.cache, Path(other) if other else None)
        for size in sizes:
            start, found = time.perf_counter(), defaultdict(list)
            healthy, faulty = (max(a.healthy // 2, 1), max(a.faulty - 1, 1)) if size == 500 else (a.healthy, a.faulty)
            for c in data.judged:
                for seed in range(healthy):
                    real, train, unseen = split(data, c, size, min(max(10, size // 2), 250), seed)
                    for fault in FAULTS if seed < faulty else FAULTS[:1]:
                        rng = np.random.default_rng([seed, FAULTS.index(fault)])
                        images = plant(fault, data, c, train, unseen, rng)
                        if len(images) >= 2:
                            found[fault].append(class_quality(c, images, real, rng=rng))
            for fault in FAULTS:
                q = found[fault]
                n = len(q)
                verdicts = [percent(sum(x.collapse == v for x in q), n) for v in ("collapsed", "thinning")]
                alarms = sum(x.collapse in ("collapsed", "thinning") for x in q)
                seen = (false_alarms if fault == FAULTS[0] else detected)(alarms, n)
                if fault == FAULTS[0]:
                    tried, wrong = tried + n, wrong + alarms
                kids = [x.score("kid") for x in q]
                kid = sum(bool(k.interval and k.floor and k.interval.low > k.floor.high) for k in kids)
                copies = sum(x.memorisation in ("suspect", "copying") for x in q)
                few = sum(x.collapse == "insufficient data" for x in q)
                rows.append(
                    [name, str(size), fault, str(n), seen, *verdicts, *(percent(v, n) for v in (few, kid, copies))]
                )
            print(name, size, f"{time.perf_counter() - start:.0f} s", rows[-len(FAULTS) :], flush=True)
    head = [
        "data",
        "size",
        "planted",
        "trials",
        "variety: detected",
        "collapsed",
        "thinning",
        "too few",
        "KID",
        "copies",
    ]
    rows.append(["all", "all", FAULTS[0], str(tried), false_alarms(wrong, tried), *[""] * 5])
    if a.other is None:
        rewrite("collapse", head, rows)
    else:
        between(DOCS / "collapse.md", "other", written(head, rows))


if __name__ == "__main__":
    main()
