"""Checks that do not import torch, so that a wrong option is reported in a tenth of a second."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from synthaug.errors import SynthaugError, suggest

if TYPE_CHECKING:
    from synthaug.requests import FitRequest


def folder(path: Path | str, option: str) -> None:
    """Check that `path`, given as `option`, is a folder, or a URL of a protocol that can be read.

    Raises:
        SynthaugError: it is missing, or a file; or a package is missing.
    """
    if isinstance(path, str):
        from synthaug.storage import Storage

        Storage.open(path)
        return
    if path.is_dir():
        return
    if path.exists():
        raise SynthaugError(
            f"{option} {str(path)!r} is a file", "give the folder that holds one folder of images per class"
        )
    hint = _similar(path) or "give a folder of images, one folder per class"
    raise SynthaugError(f"{option}: there is no folder {str(path)!r}", hint)


def _similar(path: Path) -> str | None:
    """A hint with a folder of a similar name in the same place."""
    try:
        known = [p.name for p in path.parent.iterdir() if p.is_dir()]
    except OSError:
        return None
    hint = suggest(path.name, known)
    return hint.split(" choices")[0] if hint.startswith("did you mean") else None


def new_folder(path: Path | None, overwrite: bool, option: str = "--out") -> None:
    """Check that `path` can become a folder.

    Raises:
        SynthaugError: there is a file, or a folder that is not empty.
    """
    if path is None:
        return
    if path.exists() and not path.is_dir():
        raise SynthaugError(f"{option} {str(path)!r} is a file", "give a folder that does not exist yet")
    above = next((p for p in path.absolute().parents if p.exists()), None)
    if above is not None and not above.is_dir():
        raise SynthaugError(
            f"{option} {str(path)!r}: {str(above)!r} is a file", "give a folder that does not exist yet"
        )
    if path.is_dir() and not overwrite and any(path.iterdir()):
        raise SynthaugError(
            f"{option} {str(path)!r} is not empty", "give a new folder, or --overwrite to replace this one"
        )


def runs_folder(path: Path | None) -> None:
    """Check that the folder of runs is a folder, or can become one.

    Raises:
        SynthaugError: there is a file.
    """
    from synthaug.runs import default_root

    root = default_root() if path is None else path
    there = next((p for p in (root, *root.absolute().parents) if p.exists()), None)
    if there is not None and not there.is_dir():
        raise SynthaugError(
            f"--runs {str(root)!r}: {str(there)!r} is a file", "give a folder, or one that does not exist yet"
        )


def choice(value: str, choices: Sequence[str], option: str) -> None:
    """Check that `value` is one of `choices`.

    Raises:
        SynthaugError: it is not; the hint lists them.
    """
    if value not in choices:
        raise SynthaugError(f"{option} {value!r} is not known", suggest(value, choices))


def run(reference: str | None, runs: Path | None, *classes: str | None) -> None:
    """Check that there is such a run, and that it has these classes; None is ignored.

    Raises:
        SynthaugError: there is no such run, or it has no such class.
    """
    from synthaug.runs import find

    found = find(reference, runs)
    for name in classes:
        if name is not None and name not in (known := found.facts().classes):
            raise SynthaugError(f"the run {found.name!r} has no class {name!r}", suggest(name, known))


def configuration(request: FitRequest) -> None:
    """Check the names and values of a training's configuration.

    Raises:
        SynthaugError: all faults that can be found without the images.
    """
    from synthaug.config import resolve
    from synthaug.pipelines.config_checks import check_names

    check_names(resolve(request.recipe, request.config, request.settings(), request.flags()).config)
