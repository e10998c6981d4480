"""What is the best use of synthetic images? Ways of mixing them in, against classical augmentation at equal steps.

    python tests/studies/make_folders.py fashion DATA --rare Shirt=25 --rare Pullover=25 --rare Ankle-boot=25 \
        --head 300 --test 500
    synthaug fit DATA/train --target-class Shirt --target-class Pullover --target-class Ankle-boot \
        --budget 160kimg --runs RUNS
    python tests/studies/using_synthetic.py RUNS/00000-… --judge JUDGE [--seeds 0,1,2] [--ways control,share-25]

JUDGE is a folder of real images, one folder a class: for exploring, images that are neither in DATA/train nor in
DATA/test; for confirming, DATA/test, once. What DATA/train and DATA/test share with it is left out. The classifier is
the product's `cnn` (600 steps of 64, AdamW, cosine), its classical augmentation is on in every way, and real images are
drawn by class in equal parts. A way's gain is the mean F1 of the target classes minus the control's, paired by seed,
with the interval that `evaluate` gives.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import oracle
import torch
from material import Trained
from ways import WAYS, fit

from synthaug.classifiers.steps import predict
from synthaug.data.cache import LabelledImages
from synthaug.evaluation.statistics import contrast, f1_table, resample_groups


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--judge", type=Path, required=True)
    parser.add_argument(
        "--never", type=Path, nargs="*", default=[], help="folders whose images the judge must not hold"
    )
    parser.add_argument("--most", type=int, default=500, help="images of a class that judge")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--ways", default=",".join(WAYS))
    a = parser.parse_args()
    m = Trained(a.run).material()
    k, side, channels = len(m.real.classes), m.real.pixels.shape[2], m.real.pixels.shape[1]

    def folder(path: Path) -> LabelledImages:
        return oracle.pixels(path, channels, classes=m.real.classes, resolution=side)

    judge = folder(a.judge)
    seen = {image.tobytes() for images in (m.real, *map(folder, a.never)) for image in images.pixels}
    fresh = np.array([image.tobytes() not in seen for image in judge.pixels])
    order = np.random.default_rng(0).permutation(np.flatnonzero(fresh))
    judge = judge.subset(np.sort(np.concatenate([order[judge.labels[order] == c][: a.most] for c in range(k)])))
    print(f"{a.run}: {len(m.real)} real, {len(m.pool)} synthetic; judged on {judge.counts()}", flush=True)
    seeds, groups = [int(s) for s in a.seeds.split(",")], np.arange(len(judge))
    sizes = np.bincount(judge.labels, minlength=k)
    times = resample_groups(len(judge), np.random.default_rng(0))
    control = None
    for name in dict.fromkeys(["control", *a.ways.split(",")]):
        plan = WAYS[name](m)
        predicted = [predict(fit(plan, seed, k), judge.pixels).argmax(1) for seed in seeds]
        table = f1_table(judge.labels, predicted, groups, k, times)
        control = control or table
        of_targets, of_all = (contrast(table, control, c, sizes) for c in (m.targets, list(range(k))))
        level = table.seeds[:, m.targets].mean()
        print(
            f"{name:22s} F1 of targets {level:.3f}  gain {of_targets.mean:+.3f} "
            f"({of_targets.low:+.3f} to {of_targets.high:+.3f})  macro {of_all.mean:+.3f}",
            flush=True,
        )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
