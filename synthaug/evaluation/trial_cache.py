"""Finished trials on disk. An interrupted evaluation continues from them, and its numbers are bit for bit the same.

Each grid has a folder, named by a hash of everything that determines its predictions; each trial has a file. A trial
whose file cannot be read is trained again.
"""

from __future__ import annotations

import inspect
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from synthaug.classifiers import CLASSIFIERS, entry, is_file, weights_of
from synthaug.classifiers.user_file import file_sha256
from synthaug.data.store import keep_latest
from synthaug.device import resolve_device
from synthaug.evaluation.grid import Grid, Outcome, Trial
from synthaug.files import digest, replacing, sha256
from synthaug.version import __version__

FOLDER = "trials"
ASSEMBLY = 4
"""Changes when training sets or features are made in another way from the same images and settings."""
GRIDS = 24
"""Grids to keep, the most recently used; each generator is one. 35 trials take a few megabytes."""


def key(grid: Grid) -> str:
    """Hash of everything that determines a grid's predictions: images, settings, classifier, versions, device.

    The text of a user's file is hashed, but not its imports.
    """
    name, weights = grid.classifier, weights_of(grid.classifier)
    code = file_sha256(Path(name)) if is_file(name) else _code_sha256(name)
    settings = [
        __version__, ASSEMBLY, torch.__version__, np.__version__, name, code, sha256(weights) if weights else None,
        grid.steps,
        str(resolve_device(grid.device)), grid.per_seed, list(grid.targets), grid.train.classes, grid.flip,
    ]  # fmt: skip
    arrays = [
        grid.train.pixels, grid.train.labels, grid.groups, grid.pool.pixels, grid.pool.labels, grid.val, grid.test,
    ]  # fmt: skip
    if grid.down_up is not None:
        arrays += [grid.down_up.pixels, grid.down_up.labels]
    if grid.combinations is not None:
        arrays.append(grid.combinations)
    return digest(settings, *arrays)[:32]


def _code_sha256(name: str) -> str:
    """Hash of the module of a table entry: a plug-in's code may change while its name stays."""
    with suppress(OSError, TypeError):
        return sha256(Path(inspect.getfile(CLASSIFIERS.get(entry(name)))))
    return ""


class TrialCache:
    """The finished trials of one grid; `root` is the evaluation's folder."""

    def __init__(self, root: Path, grid: Grid) -> None:
        self.folder = root / FOLDER / key(grid)

    def find(self, trial: Trial) -> Outcome | None:
        """The outcome of an earlier call; None if there is none or its file is damaged."""
        try:
            with np.load(self._file(trial), allow_pickle=False) as stored:
                penalty = float(stored["penalty"])
                return Outcome(stored["val"], stored["test"], None if np.isnan(penalty) else penalty)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def store(self, trial: Trial, outcome: Outcome) -> None:
        """Store an outcome. If that fails, the next call trains again."""
        penalty = np.float64(np.nan if outcome.penalty is None else outcome.penalty)
        with suppress(OSError), replacing(self._file(trial)) as temporary, temporary.open("wb") as file:
            np.savez(file, val=outcome.val, test=outcome.test, penalty=penalty)

    def tidy(self) -> None:
        """Remove all but the most recently used grids."""
        with suppress(OSError):
            self.folder.touch()
            keep_latest(self.folder.parent, GRIDS)

    def _file(self, trial: Trial) -> Path:
        return self.folder / f"{digest([trial.arm, trial.share, trial.seed, trial.real, trial.times])[:24]}.npz"
