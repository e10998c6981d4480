"""Which classes resemble each other: the remoteness by which families that start from images choose their sources.

python tests/studies/resemblance.py DATA TARGET...

prints a table for docs/images-from-images.md: each target class with the other classes, the nearest first.
"""

from __future__ import annotations

import sys
from pathlib import Path

from synthaug.config import resolve
from synthaug.data.run_data import RunData
from synthaug.features import features_for
from synthaug.progress import Silent
from synthaug.sampling.sources import MOST_CLASSES, NEAR, remoteness_of_classes

SHOWN = 5


def main(folder: Path, targets: list[str]) -> None:
    config = resolve(flags={"data.resolution": 32}).config
    train = RunData.of_folder(folder, targets, config, cache=None, progress=Silent()).images("train", None, Silent())
    net = features_for(config.monitor.features, train, device="cpu", progress=Silent())
    print(f"| class (images) | remoteness of other classes; up to {NEAR:g}: a source |\n|---|---|")
    for label, others in remoteness_of_classes(train, net).items():
        if label in targets:
            nearest = sorted((far, name) for name, far in others.items())[:SHOWN]
            chosen = [name for far, name in nearest if far <= NEAR][:MOST_CLASSES]
            cells = [f"{f'**{name}**' if name in chosen else name} {far:.2f}" for far, name in nearest]
            print(f"| `{label}` ({train.counts()[label]}) | {', '.join(cells)} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
