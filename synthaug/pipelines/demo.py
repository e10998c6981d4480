"""`synthaug demo`: fit, export and evaluate on real handwritten digits, two of them made rare."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from synthaug.errors import Interrupted, SynthaugError, shell_command
from synthaug.files import new_folder
from synthaug.parsing import read_json
from synthaug.pipelines.evaluate import evaluate
from synthaug.pipelines.export import export
from synthaug.pipelines.fit import fit
from synthaug.progress import Progress, shown
from synthaug.results.trained import EvaluateResult
from synthaug.runs import all_runs

RARE = ("3", "8")
RARE_IMAGES, OTHER_IMAGES, TEST_IMAGES = 12, 90, 70
PER_CLASS = 100
CLASSIFIER, SEEDS = "logistic", 5


def demo(
    out: str | Path | None = None, *, runs: str | Path | None = None, progress: Progress | bool = True
) -> EvaluateResult:
    """Run fit, export and evaluate once, offline, in minutes on a CPU. After an interruption, the second call goes on.

    Args:
        out: folder of the data, the export and the report (default: `./synthaug-demo`); a finished demo is replaced.
        runs: folder of the run (default: `out/runs`).

    Raises:
        SynthaugError: `out` holds files that are not an earlier demo's.
        Interrupted: SIGINT or SIGTERM during the training; the state was saved.
    """
    again = f"continue with: {shell_command('demo', out=out, runs=runs)}"
    out, reported = Path("synthaug-demo" if out is None else out), shown(progress)
    runs, data = out / "runs" if runs is None else Path(runs), out / "data"
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
    try:
        trained = _trained(data, runs, out / "report" / "report.json", reported)
        export(trained, per_class=PER_CLASS, out=out / "export", overwrite=True, allow_short=True, progress=reported)
        return evaluate(trained, classifier=CLASSIFIER, seeds=SEEDS, out=out / "report", progress=reported)
    except Interrupted as stop:
        raise Interrupted(stop.message, again, stop.exit_status) from stop


def _trained(data: Path, runs: Path, report: Path, progress: Progress) -> str:
    """The latest run, if an interruption left it without its `report`; else a new one, or an unfinished one goes on."""
    begun = all_runs(runs)
    finished = [run for run in begun if run.status().get("state") == "finished" and run.facts().data == data.resolve()]
    if finished and not (report.is_file() and Path(read_json(report)["run"]).name == finished[-1].name):
        progress.say(f"fit: {finished[-1].name} is trained")
        return str(finished[-1].path)
    resume = "auto" if begun else None
    return str(fit(data, target_class=RARE, recipe="demo", runs=runs, resume=resume, progress=progress).run)


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
    digits = load_digits()
    with new_folder(folder, replace=True) as whole:
        for label in range(10):
            mine = np.flatnonzero(digits.target == label)
            # neighbours in the file are by one writer, so the test images come from the other end
            train = mine[: RARE_IMAGES if str(label) in RARE else OTHER_IMAGES]
            for split, indices in (("test", mine[-TEST_IMAGES:]), ("train", train)):
                place = whole / split / str(label)
                place.mkdir(parents=True)
                for i in indices:
                    levels = np.round(digits.images[i] * (255 / 16)).astype(np.uint8)
                    Image.fromarray(levels).save(place / f"{i:04d}.png")
