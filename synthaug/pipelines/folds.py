"""`evaluate --folds K`: for each fold, `fit` trains a generator on the other folds with the run's configuration."""

from __future__ import annotations

from pathlib import Path

from synthaug.config import Config
from synthaug.data.run_data import RunData
from synthaug.data.split import check_trainable, split
from synthaug.pipelines.more_runs import Wanted, scan_of, train_more
from synthaug.progress import Progress
from synthaug.runs import Run

FOLDER = "folds"
"""Inside the run: the runs of its folds."""


def fold_data(run: Run, folds: int, *, device: str, cache: Path | None, progress: Progress) -> list[RunData]:
    """Train the generators that are not trained yet. Each image of the run's data is a test image of one fold.

    Args:
        run: the folds have its configuration, targets and data; its generator is not used.
        folds: how many.
        device: where generators train.
        cache: where decoded images are kept.
        progress: where to report.

    Raises:
        SynthaugError: the data has changed or cannot be divided into folds, or the run started from another run.
        RunFailed: a fold's training diverged.
        Interrupted: the same evaluation continues from there.
    """
    may_know = "which may have seen the test images of a fold"
    scanned = scan_of(run, because=may_know, option="--folds", cache=cache, progress=progress)
    configs = [_config(run.config(), folds, fold) for fold in range(folds)]
    for config in configs:  # all of them, before hours are spent on the first
        check_trainable(scanned, split(scanned, config.data, config.split_seed, progress))
    if any(image.split is not None for image in scanned.images):
        progress.warn("the folder's train, val and test are ignored: every image is a test image of one fold")
    wanted = [
        Wanted(config, f"fold{number}of{folds}", f"fold {number} of {folds}")
        for number, config in enumerate(configs, 1)
    ]
    made = train_more(run, wanted, FOLDER, device=device, cache=cache, progress=progress)
    return [RunData.open(fold) for fold in made]


def _config(config: Config, folds: int, fold: int) -> Config:
    tree = config.model_dump()
    tree["data"] |= {"folds": folds, "fold": fold}
    return Config.model_validate(tree)
