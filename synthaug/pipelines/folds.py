"""`evaluate --folds K`: for each fold, `fit` trains a generator on the other folds with the run's configuration.

Their runs are in `folds/` inside the run. Finished ones are used again, an interrupted one continues from its
checkpoint.
"""

from __future__ import annotations

from pathlib import Path

from synthaug import runs as run_directories
from synthaug.config import Config, leaves
from synthaug.data.folder import scan
from synthaug.data.run_data import RunData
from synthaug.data.split import check_trainable, split
from synthaug.errors import Interrupted, RunFailed, SynthaugError
from synthaug.pipelines.fit import fit
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
    whole = RunData.open(run)
    if (start := run.facts().started_from) is not None:
        raise SynthaugError(
            f"the run {run.name!r} started from {str(start.run)!r}, which may have seen the test images of a fold",
            "train a run without --from, or evaluate without --folds",
        )
    configs = [_config(whole.config, folds, fold) for fold in range(folds)]
    scanned = scan(whole.folder, group_by=whole.config.data.group_by, cache=cache, progress=progress)
    if scanned.fingerprint != whole.fingerprint:
        raise SynthaugError(
            f"the images in {str(whole.folder)!r} are not those that {run.name!r} was trained on",
            "put them back, or train a new run on the present ones",
        )
    for config in configs:  # all of them, before hours are spent on the first
        check_trainable(scanned, split(scanned, config.data, config.seed))
    if any(image.split is not None for image in scanned.images):
        progress.warn("the folder's train, val and test are ignored: every image is a test image of one fold")
    root = run.path / FOLDER
    found = []
    for number, config in enumerate(configs, 1):
        fold = _finished(root, config, whole.targets, scanned.fingerprint)
        if fold is None:
            progress.say(f"fold {number} of {folds}: training its generator on the images of the other folds")
            try:
                made = fit(
                    whole.folder, target_class=whole.targets, set=leaves(config.model_dump(mode="json")),
                    name=f"fold{number}of{folds}", runs=root, resume="auto", device=device, cache=cache,
                    progress=progress,
                )  # fmt: skip
            except Interrupted as stop:
                raise Interrupted(
                    f"fold {number} of {folds}: {stop.message}",
                    f"continue with: synthaug evaluate {run.path} --folds {folds}",
                    stop.exit_status,
                ) from stop
            except RunFailed as failed:
                raise RunFailed(f"fold {number} of {folds}: {failed.message}", failed.hint) from failed
            fold = Run(Path(made.run))
        found.append(RunData.open(fold))
    return found


def _config(config: Config, folds: int, fold: int) -> Config:
    tree = config.model_dump()
    tree["data"] |= {"folds": folds, "fold": fold}
    return Config.model_validate(tree)


def _finished(root: Path, config: Config, targets: list[str], fingerprint: str) -> Run | None:
    for run in reversed(run_directories.all_runs(root)):
        try:
            facts = run.facts()
            equal = (run.config(), facts.targets, facts.fingerprint) == (config, targets, fingerprint)
            if equal and run.status().get("state") == "finished":
                return run
        except SynthaugError:
            continue  # a crash left it before its first status
    return None
