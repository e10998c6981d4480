"""How good are ungated images of rare classes? KID against held-out real images, and what an oracle calls them.

    python tests/studies/make_folders.py fashion DATA --rare Shirt=25 --rare Pullover=25 --rare Ankle-boot=25 \
        --head 300 --test 500
    python tests/studies/make_folders.py fashion ORACLE --head 3000 --test 500 --seed 7
    synthaug fit DATA --target-class Shirt --target-class Pullover --target-class Ankle-boot \
        --budget 160kimg --runs RUNS
    python tests/studies/rare_class_quality.py --data DATA --oracle ORACLE/train --rare Shirt,Pullover,Ankle-boot \
        RUNS/00000-… OTHER_TOOLS_FOLDER …

A subject is a run of ours, sampled without gates from its last checkpoint, or a folder with one folder of images a
class, such as another tool made. All go the same way: one resize, one feature net, the first 500 images a class.
The oracle is a small CNN trained on real images that are neither in the training folder nor in the test folder.
For the sprites: make_folders.py crossfire ORACLE --natural, then --oracle ORACLE --channels 3 --augment classical.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from oracle import pixels, train_oracle, unseen

from synthaug import load
from synthaug.features import load_features
from synthaug.metrics.fidelity import kid_unbiased


def checkpoints(subject: Path) -> list[str]:
    return sorted(str(p) for p in (subject / "checkpoints").iterdir()) if (subject / "checkpoints").is_dir() else [""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("subjects", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="holds train/ and test/")
    parser.add_argument("--oracle", type=Path, required=True, help="real images, one folder a class")
    parser.add_argument("--rare", required=True, help="comma-separated")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--augment", default="none", choices=("none", "classical"), help="for the oracle's images")
    parser.add_argument("--checkpoint", default="last", help="of a run; `each` scores all that it keeps")
    a = parser.parse_args()
    rare = a.rare.split(",")
    train, test = (pixels(a.data / side, a.channels) for side in ("train", "test"))
    judge = load_features("efficientnet_lite0")
    real_images = unseen(a.oracle, train, test)
    print(f"oracle: {len(real_images)} real images that neither train/ nor test/ holds", flush=True)
    oracle = train_oracle(real_images, steps=a.steps, augment=a.augment)
    predicted = oracle.predict_proba(test.pixels).argmax(1)
    print(
        "oracle on test:",
        {c: round(float((predicted[test.labels == k] == k).mean()), 3) for k, c in enumerate(test.classes)},
    )
    real = {c: judge(test.of_class(c)) for c in rare}
    for c in rare:
        print(f"real train against real test, {c}: KID {kid_unbiased(real[c], judge(train.of_class(c))):.3f}")
    each = [(s, c) for s in a.subjects for c in (checkpoints(s) if a.checkpoint == "each" else [a.checkpoint])]
    for subject, checkpoint in each:
        if (subject / "config.yaml").exists():
            sampler = load(subject, checkpoint=checkpoint)
            images: dict[str, NDArray[np.uint8]] = {c: sampler.sample(c, a.count) for c in rare}
        else:
            folder = pixels(subject, a.channels)
            images = {c: folder.of_class(c)[: a.count] for c in rare}
        row = {
            c: {
                "kid": round(kid_unbiased(real[c], judge(x)), 3),
                "own_label": round(float((oracle.predict_proba(x).argmax(1) == train.classes.index(c)).mean()), 3),
            }
            for c, x in images.items()
        }
        mean = {key: round(float(np.mean([r[key] for r in row.values()])), 3) for key in ("kid", "own_label")}
        print(subject, checkpoint, json.dumps({"mean": mean, **row}), flush=True)


if __name__ == "__main__":
    main()
