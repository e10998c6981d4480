"""Would another net have chosen the same checkpoint? The monitor of a finished run, repeated with other nets.

    synthaug fit DATA --budget 120kimg --set training.keep_checkpoints=100 --set monitor.every_kimg=5 --runs RUNS
    python tests/studies/judges.py RUNS/00000-… [RUNS/00001-… …] [--val DIR --test DIR]

Each kept checkpoint is scored by the monitor as in training (same samples, same val images) with EfficientNet-Lite0,
MobileNetV2 and `own`. EfficientNet-Lite0 also takes the test images in place of val, to see what other images change.
A run that was trained on all images of its folder needs other folders for both.
Printed are, for each pair, Spearman's rank correlation of pooled KID and of the score over the checkpoints; and for
each net the checkpoint that it chooses, with its rank by MobileNetV2.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch
from scipy.stats import spearmanr

from synthaug.data.layout import SplitName
from synthaug.data.roles import real_test_images, scan_readable
from synthaug.data.run_data import RunData
from synthaug.features import features_for
from synthaug.progress import Silent
from synthaug.runs import Run
from synthaug.sampling.trained import load_generator
from synthaug.training.checkpoint import names
from synthaug.training.monitor import Monitor

JUDGES = {
    "EfficientNet-Lite0": ("efficientnet_lite0", "val"),
    "MobileNetV2": ("mobilenet_v2", "val"),
    "own": ("own", "val"),
    "EfficientNet-Lite0 on test": ("efficientnet_lite0", "test"),
}
PAIRS = [
    ("EfficientNet-Lite0", "MobileNetV2"),
    ("EfficientNet-Lite0", "own"),
    ("MobileNetV2", "own"),
    ("EfficientNet-Lite0", "EfficientNet-Lite0 on test"),
]


def scores(run: Run, folders: dict[SplitName, Path | None]) -> dict[str, dict[str, list[float]]]:
    """Judge → `kid` and `score` of each checkpoint, in the order of the training."""
    data, sides = RunData.open(run), ("train", "val", "test")
    images = {side: data.images(side, None, Silent()) for side in sides if folders.get(side) is None}
    for side, folder in folders.items():
        if folder is not None:
            found = scan_readable(folder, cache=None, progress=Silent())
            images[side] = data.load(found.root, real_test_images(found), None, Silent())
    device = torch.device("cpu")
    out: dict[str, dict[str, list[float]]] = {}
    for judge, (net, side) in JUDGES.items():
        features = features_for(net, images["train"], folder=run.path, seed=data.config.seed, device="cpu")
        first = load_generator(run, names(run)[0], "cpu", cache=None)
        monitor = Monitor(
            images["train"], images[side], data.targets, data.config.monitor, features, first.z_dim, data.config.seed,
            device,
        )  # fmt: skip
        rows = [monitor.score(load_generator(run, name, "cpu", cache=None).network) for name in names(run)]
        out[judge] = {
            "kid": [float(row["pooled"]["kid"]) for row in rows],
            "score": [float(row["score"]) for row in rows],
        }
        print(f"{run.name}: {judge}", file=sys.stderr)
    return out


def rank(values: list[float], chosen: int) -> int:
    """1 for the lowest."""
    return 1 + sum(value < values[chosen] for value in values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--val", type=Path, help="an image folder in place of the run's validation images")
    parser.add_argument("--test", type=Path, help="an image folder in place of its test images")
    parser.add_argument("--out", type=Path, help="keep the scores as JSON")
    given = parser.parse_args()
    torch.set_num_threads(1)
    kept, correlations, choices = {}, [], []
    for path in given.runs:
        run = Run(path)
        kept[path.name] = found = scores(run, {"val": given.val, "test": given.test})
        checkpoints = names(run)
        for a, b in PAIRS:
            both = [spearmanr(found[a][key], found[b][key]).statistic for key in ("kid", "score")]
            correlations.append(f"| {path.name} | {len(checkpoints)} | {a} / {b} | {both[0]:.2f} | {both[1]:.2f} |")
        other = found["MobileNetV2"]["score"]
        for judge, values in found.items():
            chosen = values["score"].index(min(values["score"]))
            place = f"{rank(other, chosen)} of {len(other)}"
            excess = f"{other[chosen] / min(other) - 1:+.0%}"
            choices.append(f"| {path.name} | {judge} | {checkpoints[chosen]} | {place} | {excess} |")
    print("| run | checkpoints | nets | pooled KID | score |\n|---|---|---|---|---|")
    print("\n".join(correlations))
    print("\n| run | chosen by | checkpoint | rank by MobileNetV2 | score above MobileNetV2's best |")
    print("|---|---|---|---|---|")
    print("\n".join(choices))
    if given.out is not None:
        given.out.write_text(json.dumps(kept, indent=1))


if __name__ == "__main__":
    main()
