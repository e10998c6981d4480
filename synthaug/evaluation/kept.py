"""Finished trials on disk, so that an evaluation that was interrupted goes on where it was, bit for bit.

A folder a grid, named by the hash of everything that decides what its trials predict; a file a trial. What stands
there was written in full (see `files.replacing`), and what cannot be read is trained again.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import shutil
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

import synthaug
from synthaug.classifiers import CLASSIFIERS, is_file
from synthaug.classifiers.user_file import file_sha256
from synthaug.device import resolve_device
from synthaug.files import replacing

if TYPE_CHECKING:
    from synthaug.evaluation.trial import Grid, Outcome, Trial

FOLDER = "trials"
GRIDS = 6
"""Folders that stay, the least recently used going first; an evaluation of 35 trials takes a few megabytes."""


def key(grid: Grid) -> str:
    """Hash of all that decides what the trials of a grid predict: images, settings, classifier, versions, device.

    Of a file of the user's the text counts, not what it imports.
    """
    name = grid.classifier
    code = file_sha256(Path(name)) if is_file(name) else _code_sha256(name)
    settings = [
        synthaug.__version__, torch.__version__, np.__version__, name, code, grid.steps,
        str(resolve_device(grid.device)), grid.per_seed, list(grid.targets), grid.train.classes,
    ]  # fmt: skip
    digest = hashlib.sha256(json.dumps(settings).encode())
    arrays = (
        grid.train.pixels, grid.train.labels, grid.groups, grid.pool.pixels, grid.pool.labels, grid.val, grid.test,
    )  # fmt: skip
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:32]


def _code_sha256(name: str) -> str:
    """The source of an entry of the table: a plug-in may change while its name stays."""
    with suppress(OSError, TypeError):
        return hashlib.sha256(inspect.getsource(CLASSIFIERS.get(name)).encode()).hexdigest()
    return ""


class KeptTrials:
    """The finished trials of one grid.

    Args:
        root: of the evaluations' trials; a folder for each grid is made inside it.
        grid: whose trials they are.
    """

    def __init__(self, root: Path, grid: Grid) -> None:
        self.folder = root / FOLDER / key(grid)

    def find(self, trial: Trial) -> Outcome | None:
        """The outcome of an earlier call; None where there is none, or its file is damaged."""
        from synthaug.evaluation.trial import Outcome

        try:
            with np.load(self._file(trial), allow_pickle=False) as stored:
                penalty = float(stored["penalty"])
                return Outcome(stored["val"], stored["test"], None if np.isnan(penalty) else penalty)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None

    def keep(self, trial: Trial, outcome: Outcome) -> None:
        """Store an outcome; where that is not possible the next call trains again."""
        penalty = np.float64(np.nan if outcome.penalty is None else outcome.penalty)
        with suppress(OSError), replacing(self._file(trial)) as temporary, temporary.open("wb") as file:
            np.savez(file, val=outcome.val, test=outcome.test, penalty=penalty)

    def tidy(self) -> None:
        """Remove the folders of grids that were not used for longest."""
        with suppress(OSError):
            self.folder.touch()
            grids = sorted(self.folder.parent.iterdir(), key=lambda place: place.stat().st_mtime, reverse=True)
            for old in grids[GRIDS:]:
                shutil.rmtree(old, ignore_errors=True)

    def _file(self, trial: Trial) -> Path:
        name = json.dumps([trial.arm, trial.share, trial.seed, trial.real])
        return self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.npz"
