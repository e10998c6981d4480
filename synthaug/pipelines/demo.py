"""`synthaug demo`: fit, export and evaluate on real handwritten digits, two of them made rare."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from synthaug.errors import SynthaugError
from synthaug.pipelines.evaluate import evaluate
from synthaug.pipelines.export import export
from synthaug.pipelines.fit import fit
from synthaug.progress import Progress, shown
from synthaug.results.trained import EvaluateResult

RARE = ("3", "8")
RARE_IMAGES, OTHER_IMAGES, TEST_IMAGES = 12, 90, 70
PER_CLASS = 100
CLASSIFIER, SEEDS = "logistic", 5


def demo(
    out: str | Path | None = None, *, runs: str | Path | None = None, progress: Progress | bool = True
) -> EvaluateResult:
    """Run fit, export and evaluate once, offline, in a few minutes on a CPU.

    Args:
        out: folder of the data, the export and the report (default: `./synthaug-demo`); an earlier demo is replaced.
        runs: folder of the run (default: `out/runs`).

    Raises:
        SynthaugError: `out` holds files that are not an earlier demo's.
    """
    out, reported = Path("synthaug-demo" if out is None else out), shown(progress)
    data = out / "data"
    write_digits(data)
    reported.say(
        f"scikit-learn's handwritten digits, 8 × 8 px: {RARE_IMAGES} training images of {' and of '.join(RARE)}, "
        f"{OTHER_IMAGES} of each other digit, {TEST_IMAGES} of each to test"
    )
    reported.say(
        "this is a short demonstration: a narrow generator, trained for a minute or two; the classifier is logistic "
        f"regression on the features of a pretrained network, with {SEEDS} seeds and one share of synthetic images; "
        "expect a verdict, not good images"
    )
    fitted = fit(data, target_class=RARE, recipe="demo", runs=out / "runs" if runs is None else runs, progress=reported)
    export(fitted.run, per_class=PER_CLASS, out=out / "export", overwrite=True, allow_short=True, progress=reported)
    return evaluate(fitted.run, classifier=CLASSIFIER, seeds=SEEDS, out=out / "report", progress=reported)


def write_digits(folder: Path) -> None:
    """Write `train/` and `test/` with one folder a digit and few images of `RARE`. Replaces an earlier demo's data.

    Raises:
        SynthaugError: `folder` holds other files.
    """
    if folder.exists():
        strangers = [p for p in folder.rglob("*") if p.is_file() and p.suffix != ".png"]
        if strangers or not (folder / "train" / RARE[0]).is_dir():
            raise SynthaugError(
                f"{str(folder)!r} exists and does not hold the data of an earlier demo",
                "choose another folder with --out",
            )
        shutil.rmtree(folder)
    digits = load_digits()
    for label in range(10):
        mine = np.flatnonzero(digits.target == label)
        # neighbours in the file are by one writer, so the test images come from the other end
        train = mine[: RARE_IMAGES if str(label) in RARE else OTHER_IMAGES]
        for split, indices in (("test", mine[-TEST_IMAGES:]), ("train", train)):
            place = folder / split / str(label)
            place.mkdir(parents=True)
            for i in indices:
                levels = np.round(digits.images[i] * (255 / 16)).astype(np.uint8)
                Image.fromarray(levels).save(place / f"{i:04d}.png")
