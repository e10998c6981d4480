"""What an evaluation judges, and where its report goes."""

from __future__ import annotations

import os
from pathlib import Path

from synthaug.config import resolve
from synthaug.data.fetched import local_folder
from synthaug.data.run_data import RunData
from synthaug.errors import SynthaugError
from synthaug.pipelines.auto import with_mirroring
from synthaug.progress import Progress
from synthaug.requests import EvaluateRequest
from synthaug.runs import find
from synthaug.sampling.trained import check_generates


def judged_data(request: EvaluateRequest, progress: Progress) -> RunData:
    """The images of the run, or of the folder of `--data`.

    Raises:
        SynthaugError: there is no such run or folder, or it is bad.
    """
    if request.data is None:
        run = find(request.run, request.runs)
        check_generates(run)
        return RunData.open(run)
    folder = local_folder(request.data, request.cache, progress)
    config = with_mirroring(resolve(flags=request.flags()).config, folder, request.cache, progress)
    target_class = request.target_class if isinstance(request.target_class, str) else list(request.target_class)
    return RunData.of_folder(folder, target_class, config, cache=request.cache, progress=progress)


def report_folder(target: Path) -> Path:
    """The folder of the report. It is checked before the work begins and created at its end."""
    target = target.absolute()
    if target.exists() and not target.is_dir():
        raise SynthaugError(f"{str(target)!r} is a file", "give a folder with --out")
    nearest = next(place for place in (target, *target.parents) if place.exists())
    if not os.access(nearest, os.W_OK):
        raise SynthaugError(
            f"the report cannot be written: {str(nearest)!r} is not writable", "give another folder with --out"
        )
    return target
