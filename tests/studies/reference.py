"""Our arms beside what users write with other libraries: imbalanced-learn's SMOTE, and torchvision's training recipe.

    python tests/studies/reference.py DATA… --out build/reference.jsonl [--seeds 3] [--write]

DATA as for controls.py: NAME=FOLDER,TARGET+TARGET,SIDE. Both sides have the same training, validation and test images.
The first half has the same features (EfficientNet-Lite0), the second the same net (`cnn`, 600 steps of 64 images). The
rest is code of another hand: scikit-learn's pipelines; torchvision's transforms with a plain torch loop and settings of
its references/classification: SGD with momentum, warm-up and cosine decay, and in the recipe label smoothing,
RandomResizedCrop, mirror images, TrivialAugmentWide and random erasing. Its sampler draws classes equally often; its
learning rate is the better of two on val. A training is a line of `--out`; an interrupted study goes on from there.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from controls import PAGE, STEPS, Set
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.pipeline import make_pipeline
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler
from tables import between, keep, kept, written
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler
from torchvision.transforms import v2

from synthaug.classifiers.cnn import SmallCnn
from synthaug.evaluation.grid import Trial
from synthaug.evaluation.trial import run_trials
from synthaug.features import load_features
from synthaug.progress import Silent
from synthaug.tasks import Workers

Labels = NDArray[np.int64]
Predict = Callable[[Set, int], Labels]
BATCH = 64
PENALTIES = [1e-4, 1e-3, 1e-2, 1e-1, 1.0]
RATES = (0.03, 0.1)
SCALED = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5], [0.5])])


def ours(classifier: str, arm: str) -> Predict:
    def predict(given: Set, seed: int) -> Labels:
        trial = Trial(arm, 0.0, seed)
        found = run_trials(replace(given.grid, classifier=classifier), [trial], Silent(), Workers(1))[trial]
        return found.test.argmax(1)

    return predict


def pipeline(*sampler: Any, **options: Any) -> Predict:
    """imbalanced-learn and scikit-learn; the penalty is chosen by cross-validation."""

    def predict(given: Set, seed: int) -> Labels:
        net = load_features("efficientnet_lite0", device="cpu")
        rows, unseen = (
            np.concatenate([net(np.array(part)) for part in np.array_split(pixels, 1 + len(pixels) // 64)])
            for pixels in (given.grid.train.pixels, given.grid.test)
        )
        steps = [StandardScaler(), *(kind(random_state=seed) for kind in sampler)]
        model = make_pipeline(*steps, LogisticRegression(max_iter=300, tol=1e-3, **options))
        search = GridSearchCV(model, {"logisticregression__C": PENALTIES}, scoring="f1_macro", cv=3)
        found: Labels = search.fit(rows, given.grid.train.labels).predict(unseen)
        return found

    return predict


def torchvision(*, recipe: bool) -> Predict:
    def predict(given: Set, seed: int) -> Labels:
        nets = [trained(given, seed, rate, recipe=recipe) for rate in RATES]
        on_val = [f1_score(given.val_labels, answers(net, given.grid.val), average="macro") for net in nets]
        return answers(nets[int(np.argmax(on_val))], given.grid.test)

    return predict


def trained(given: Set, seed: int, rate: float, *, recipe: bool) -> nn.Module:
    """A plain loop over a DataLoader."""
    torch.manual_seed(seed)
    train = given.grid.train
    side, labels = train.pixels.shape[2], torch.from_numpy(train.labels)
    change = v2.Compose(
        [
            v2.RandomResizedCrop(side, antialias=True), v2.RandomHorizontalFlip(), v2.TrivialAugmentWide(),
            SCALED, v2.RandomErasing(p=0.1),
        ] if recipe else [SCALED]
    )  # fmt: skip
    loader = DataLoader(
        TensorDataset(torch.from_numpy(np.array(train.pixels)), labels),
        batch_size=BATCH,
        sampler=WeightedRandomSampler((1 / labels.bincount()[labels]).tolist(), STEPS * BATCH),
        collate_fn=lambda rows: (torch.stack([change(image) for image, _ in rows]), torch.stack([y for _, y in rows])),
    )
    net = SmallCnn(train.pixels.shape[1], side, len(train.classes))
    optimiser = torch.optim.SGD(net.parameters(), rate, momentum=0.9, weight_decay=1e-4, nesterov=True)
    warm_up = torch.optim.lr_scheduler.LinearLR(optimiser, 0.01, total_iters=STEPS // 10)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS - STEPS // 10)
    schedule = torch.optim.lr_scheduler.SequentialLR(optimiser, [warm_up, cosine], [STEPS // 10])
    loss = nn.CrossEntropyLoss(label_smoothing=0.1 if recipe else 0.0)
    for images, targets in loader:
        optimiser.zero_grad()
        loss(net(images), targets).backward()
        optimiser.step()
        schedule.step()
    return net.eval()


def answers(net: nn.Module, pixels: NDArray[np.uint8]) -> Labels:
    with torch.inference_mode():
        rows: Tensor = torch.cat([net(SCALED(part)) for part in torch.from_numpy(np.array(pixels)).split(256)])
    return rows.argmax(1).numpy()


METHODS: dict[str, Predict] = {
    "`logistic`, `real`": ours("logistic", "real"),
    "scikit-learn: LogisticRegression": pipeline(),
    "`logistic`, `class-weights`": ours("logistic", "class-weights"),
    'scikit-learn: class_weight="balanced"': pipeline(class_weight="balanced"),
    "`logistic`, `oversample`": ours("logistic", "oversample"),
    "imbalanced-learn: RandomOverSampler": pipeline(RandomOverSampler),
    "`logistic`, `smote`": ours("logistic", "smote"),
    "imbalanced-learn: SMOTE": pipeline(SMOTE),
    "`cnn`, `oversample`": ours("cnn", "oversample"),
    "torch loop, balanced sampler": torchvision(recipe=False),
    "`cnn`, `classical`": ours("cnn", "classical"),
    "torch loop, torchvision's recipe": torchvision(recipe=True),
}
HEAD = ["set", "method", "F1 of the rare classes", "macro-F1", "seconds"]


def line(given: Set, method: str, mine: list[dict[str, Any]]) -> list[str]:
    """Means over seeds, ± the standard deviation over seeds where there are several."""
    truth, targets = given.held_out.labels, list(given.grid.targets)
    rare = [f1_score(truth, row["predicted"], labels=targets, average="macro") for row in mine]
    macro = [f1_score(truth, row["predicted"], average="macro") for row in mine]
    scores = [f"{np.mean(f1):.3f}" + (f" ± {np.std(f1, ddof=1):.3f}" if len(f1) > 1 else "") for f1 in (rare, macro)]
    return [given.name, method, *scores, f"{np.mean([row['seconds'] for row in mine]):.0f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", metavar="NAME=FOLDER,TARGET+TARGET,SIDE")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--group-by", default=r"([^_/.]+)[_.][^/]*$", help="regular expression of the group in a path")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", default="", help="only those whose name contains this text")
    parser.add_argument("--write", action="store_true", help=f"rewrite the table of {PAGE.name}")
    a = parser.parse_args()
    torch.set_num_threads(1)
    a.out.parent.mkdir(parents=True, exist_ok=True)
    rows = kept(a.out)
    sets = [Set.read(given, a.group_by) for given in a.data]
    for seed in range(a.seeds):
        for method, predict in METHODS.items():
            for given in sets:
                key = {"set": given.name, "method": method, "seed": seed}
                if a.methods not in method or any(key.items() <= row.items() for row in rows):
                    continue
                started = time.process_time()
                predicted = predict(given, seed).tolist()
                rows.append({**key, "seconds": time.process_time() - started, "predicted": predicted})
                keep(a.out, rows[-1])
    lines = [
        line(given, method, mine) for given in sets for method in METHODS
        if (mine := [row for row in rows if (row["set"], row["method"]) == (given.name, method)])
    ]  # fmt: skip
    print(written(HEAD, lines))
    if a.write:
        between(PAGE, "reference", written(HEAD, lines))


if __name__ == "__main__":
    main()
