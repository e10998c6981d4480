"""Is `finetune` a good classifier? Beside the linear probe that users write with torchvision and scikit-learn.

    python tests/studies/pretrained_classifier.py DATA [--side 96] [--full 200] [--seeds 3] --out build/pretrained.jsonl
    python tests/studies/pretrained_classifier.py --table --out build/pretrained.jsonl

DATA has train/ and test/ with a folder for each class. Images become squares of `--side` px. The probe is code of
another hand: torchvision's MobileNetV2 with torchvision's own preprocessing, and scikit-learn's LogisticRegressionCV
with balanced class weights. All other rows draw classes equally often, as the arms `oversample` and `classical` do.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import f1_score
from torchvision.models import MobileNet_V2_Weights, mobilenet_v2

from synthaug.classifiers import make_classifier
from synthaug.features.mobilenet_v2 import weights_file

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]


def squares(folder: Path, side: int) -> tuple[Pixels, Labels]:
    """The whole images, squashed; uint8 [N, 3, side, side]."""
    pixels, labels = [], []
    for label, place in enumerate(sorted(path for path in folder.iterdir() if path.is_dir())):
        for file in sorted(place.iterdir()):
            image = Image.open(file).convert("RGB").resize((side, side), Image.Resampling.LANCZOS)
            pixels.append(np.asarray(image).transpose(2, 0, 1))
            labels.append(label)
    return np.ascontiguousarray(np.stack(pixels)), np.array(labels, np.int64)


def probe(train: Pixels, labels: Labels, test: Pixels) -> Labels:
    """torchvision's net and preprocessing, scikit-learn's classifier."""
    side = max(96, train.shape[-1])
    net = mobilenet_v2()
    net.load_state_dict(torch.load(weights_file(), weights_only=True))
    net.classifier = torch.nn.Identity()
    preset = MobileNet_V2_Weights.IMAGENET1K_V1.transforms(crop_size=side, resize_size=side)

    def features(pixels: Pixels) -> NDArray[np.float32]:
        with torch.inference_mode():
            parts = [net.eval()(preset(torch.from_numpy(pixels[i : i + 32]))) for i in range(0, len(pixels), 32)]
        return torch.cat(parts).numpy()

    rows, unseen = features(train), features(test)
    mean, scale = rows.mean(0), rows.std(0) + 1e-6
    model = LogisticRegressionCV(Cs=[1e-4, 1e-3, 1e-2, 1e-1], cv=3, class_weight="balanced", max_iter=200, tol=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit((rows - mean) / scale, labels)
    found: Labels = model.predict((unseen - mean) / scale)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--side", type=int, default=96)
    parser.add_argument("--full", type=int, default=0, help="steps of finetune-full; 0: left out")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--only", help="one row")
    given = parser.parse_args()
    if given.table:
        print(table([json.loads(line) for line in given.out.read_text().splitlines()]))
        return
    torch.set_num_threads(1)
    (train, labels), (test, truth) = (squares(given.data / part, given.side) for part in ("train", "test"))
    small = squares(given.data / "train", 32)[0], squares(given.data / "test", 32)[0]
    weights = 1 / np.bincount(labels)[labels]
    k = int(labels.max()) + 1

    def record(row: str, seed: int, predict: Callable[[], Labels]) -> None:
        if given.only not in (None, row):
            return
        started = time.process_time()
        found = predict()
        entry = {
            "data": given.data.name, "side": given.side, "row": row, "seed": seed, "n": len(train),
            "accuracy": float((found == truth).mean()), "f1": float(f1_score(truth, found, average="macro")),
            "seconds": round(time.process_time() - started, 2),
        }  # fmt: skip
        with given.out.open("a") as file:
            print(json.dumps(entry), file=file)
        print(entry, flush=True)

    def fitted(name: str, seed: int, images: tuple[Pixels, Pixels], **options: object) -> Callable[[], Labels]:
        def predict() -> Labels:
            made = make_classifier(name)(device="cpu", **shared.get(name, {}))
            made.fit(images[0], labels, weights, num_classes=k, seed=seed, **options)
            found: Labels = made.predict_proba(images[1]).argmax(1)
            return found

        return predict

    shared: dict[str, dict[str, object]] = {}
    record("torchvision + scikit-learn", 0, lambda: probe(train, labels, test))
    for name in ("finetune:mobilenet_v2", "finetune"):
        if given.only is None or given.only.startswith(f"{name}, "):
            shared[name] = {"features": make_classifier(name)(device="cpu").remembered(given.side)}
        for seed in range(given.seeds):
            record(f"{name}, plain", seed, fitted(name, seed, (train, test)))
        for seed in range(given.seeds):
            record(f"{name}, classical", seed, fitted(name, seed, (train, test), augment="classical"))
    record("cnn at 32 px, classical", 0, fitted("cnn", 0, small, augment="classical"))
    if given.full:
        row = f"finetune-full, classical, {given.full} steps"
        record(row, 0, fitted("finetune-full", 0, (train, test), augment="classical", steps=given.full))


def table(entries: list[dict[str, object]]) -> str:
    """A Markdown table: mean over seeds; the first training's seconds, which include the features, and the others'."""
    lines = [
        "| data | images | side | classifier | accuracy | macro-F1 | first training | each further one |",
        "|---|---|---|---|---|---|---|---|",
    ]
    keys = dict.fromkeys((str(e["data"]), int(str(e["side"])), str(e["row"])) for e in entries)
    for data, side, row in keys:
        found = [e for e in entries if (e["data"], e["side"], e["row"]) == (data, side, row)]
        accuracy, f1 = (np.mean([float(str(e[key])) for e in found]) for key in ("accuracy", "f1"))
        seconds = [float(str(e["seconds"])) for e in found]
        further = f"{np.mean(seconds[1:]):.1f} s" if len(seconds) > 1 else ""
        cells = [data, found[0]["n"], side, row, f"{accuracy:.3f}", f"{f1:.3f}", f"{seconds[0]:.0f} s", further]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
