"""Checkpoints: safetensors and JSON, never pickle, written to a temporary folder and renamed.

checkpoints/kimg000100/
    generator.safetensors   the averaged generator: all that sampling needs
    training.safetensors    all networks, optimisers and regularisers, to go on exactly
    state.json              counters, the best score so far, how the networks were built, and the hashes of both files
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from synthaug.documents.base import in_words
from synthaug.errors import SynthaugError, suggest
from synthaug.files import move, new_folder, regular, sha256, write_json, write_tensors
from synthaug.parsing import ParseError, read_json
from synthaug.runs import Run
from synthaug.training.state import Counters, TrainingState

GENERATOR, TRAINING, STATE = "generator.safetensors", "training.safetensors", "state.json"
ASIDE = "set-aside"
"""Folder in the run for checkpoints that are damaged, or newer than the one that a training goes back to."""
_NAME = re.compile(r"kimg\d{6}")


class StoredState(BaseModel):
    """`state.json` of a checkpoint. `sha256` is of its other files; those of old versions have none."""

    counters: Counters
    architecture: dict[str, Any]
    sha256: dict[str, str] = {}


class DamagedCheckpoint(SynthaugError):
    """A file of a checkpoint is missing, unreadable, or not as it was written."""

    def __init__(self, folder: Path, fault: str) -> None:
        super().__init__(f"the checkpoint {str(folder)!r} is damaged: {fault}", "choose another with --checkpoint")


def name_for(images: int) -> str:
    return f"kimg{images // 1000:06d}"


def names(run: Run) -> list[str]:
    """Complete checkpoints of a run, oldest first."""
    if not run.checkpoints.is_dir():
        return []
    return sorted(p.name for p in run.checkpoints.iterdir() if _NAME.fullmatch(p.name) and (p / STATE).exists())


def save(run: Run, state: TrainingState) -> str:
    """Write one checkpoint and return its name."""
    name = name_for(state.counters.images)
    tensors = {f"{prefix}.{k}": v for prefix, module in state.networks.items() for k, v in module.state_dict().items()}
    for prefix, player in state.players.items():
        entries = player.optimizer.state_dict()["state"].items()
        tensors |= {f"{prefix}_optimizer.{i}.{key}": value for i, entry in entries for key, value in entry.items()}
    with new_folder(run.checkpoints / name, replace=True) as folder:
        write_tensors(folder / GENERATOR, _contiguous(state.average.network.state_dict()))
        write_tensors(folder / TRAINING, _contiguous(tensors))
        hashes = {file: sha256(folder / file) for file in (GENERATOR, TRAINING)}
        stored = {"counters": vars(state.counters), "architecture": dict(state.architecture), "sha256": hashes}
        write_json(folder / STATE, stored)
    return name


def restore(run: Run, name: str, state: TrainingState) -> None:
    """Load a checkpoint into the networks, optimisers, average and counters of `state`.

    If the best checkpoint of that time is gone, this one takes its place until the next score.

    Raises:
        SynthaugError: it is damaged, or of another architecture.
    """
    folder = run.checkpoints / name
    counters, tensors = read_state(folder).counters, load_tensors(folder / TRAINING)
    for prefix, module in state.networks.items():
        load_weights(module, with_prefix(tensors, f"{prefix}."), folder)
    for prefix, player in state.players.items():
        try:
            _restore_optimizer(player.optimizer, with_prefix(tensors, f"{prefix}_optimizer."))
        except (ValueError, IndexError, RuntimeError) as error:
            raise _other_architecture(folder) from error
    load_weights(state.average.network, load_tensors(folder / GENERATOR), folder)
    if counters.best_checkpoint is not None and counters.best_checkpoint not in names(run):
        counters = replace(counters, best_checkpoint=name, best_score=None)
    vars(state.counters).update(vars(counters))


def set_aside(run: Run, name: str) -> Path:
    """Move a checkpoint out of the way without deleting it, and return its new place."""
    place = run.path / ASIDE
    place.mkdir(exist_ok=True)
    target = next(target for k in count(1) if not (target := place / (name if k == 1 else f"{name}-{k}")).exists())
    move(run.checkpoints / name, target)
    return target


def set_damaged_aside(run: Run) -> list[DamagedCheckpoint]:
    """Set the newest checkpoints aside as long as they are damaged, and return what was wrong with them."""
    faults: list[DamagedCheckpoint] = []
    existing = run.checkpoints.iterdir() if run.checkpoints.is_dir() else ()
    for name in sorted((p.name for p in existing if _NAME.fullmatch(p.name)), reverse=True):
        try:
            check_whole(run.checkpoints / name)
            break
        except DamagedCheckpoint as fault:
            set_aside(run, name)
            faults.append(fault)
    return faults


def check_whole(folder: Path) -> None:
    """Read all files of a checkpoint.

    Raises:
        DamagedCheckpoint: one is missing, unreadable, or not as it was written.
    """
    for file in (GENERATOR, TRAINING):
        load_tensors(folder / file)


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split(".", 1)
        # Fused Adam walks raw memory: the moments must have their parameter's strides (channels_last).
        like = parameters[int(index)]
        laid_out = torch.empty_like(like).copy_(tensor) if tensor.shape == like.shape and tensor.ndim else tensor
        state.setdefault(int(index), {})[key] = laid_out
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    # channels_last weights are dense but not contiguous, which safetensors refuses; the loader restores the format
    return {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}


def save_counters(run: Run, name: str, counters: Counters) -> None:
    """Put other counters into a checkpoint, so that a rollback is remembered after a kill."""
    folder = run.checkpoints / name
    write_json(folder / STATE, {**read_state(folder).model_dump(), "counters": vars(counters)})


def images_at(run: Run, name: str) -> int:
    """How many images the discriminator had been shown at a checkpoint."""
    return read_state(run.checkpoints / name).counters.images


def scores_of(run: Run, name: str | None) -> dict[str, Any]:
    """The monitor's row of a checkpoint; empty if it has none."""
    rows = [row for row in run.metrics() if row["kind"] == "monitor" and name_for(round(row["kimg"] * 1000)) == name]
    return rows[-1] if rows else {}


def discard(run: Run, after: str | None) -> None:
    """Delete the checkpoints that are newer than `after`; None: all."""
    for name in names(run):
        if after is None or _kimg(name) > _kimg(after):
            shutil.rmtree(run.checkpoints / name)


def prune(run: Run, best: str | None, keep: int) -> None:
    """Delete all checkpoints but the first, the last, the best and `keep` between, which stay about evenly spaced.

    Whenever there is one too many, that one goes whose neighbours are closest to each other.
    """
    left = names(run)
    while len(between := [k for k in range(1, len(left) - 1) if left[k] != best]) > keep:
        superfluous = min(between, key=lambda k: _kimg(left[k + 1]) - _kimg(left[k - 1]))
        shutil.rmtree(run.checkpoints / left.pop(superfluous), ignore_errors=True)


def _kimg(name: str) -> int:
    return int(name.removeprefix("kimg"))


def read_state(folder: Path) -> StoredState:
    """The counters and the architecture of a checkpoint.

    Raises:
        DamagedCheckpoint: `state.json` is missing or damaged.
    """
    try:
        return StoredState.model_validate(read_json(folder / STATE))
    except ValidationError as error:
        raise DamagedCheckpoint(folder, f"{STATE}: {in_words(error)}") from error
    except ParseError as error:
        raise DamagedCheckpoint(folder, f"{STATE} {error}") from error
    except OSError as error:
        raise DamagedCheckpoint(folder, f"{STATE} cannot be read") from error


def with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, under the rest of their names."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def load_tensors(file: Path, prefix: str = "") -> dict[str, Tensor]:
    """The tensors of a file in a checkpoint: those whose names begin with `prefix`, under the rest of their names.

    Raises:
        DamagedCheckpoint: the file is missing, unreadable, or not as it was written.
    """
    noted = read_state(file.parent).sha256.get(file.name)
    try:
        if noted not in (None, sha256(file)):
            raise DamagedCheckpoint(file.parent, f"{file.name} is not as it was written")
        with safe_open(regular(file), "pt") as opened:
            wanted = [name for name in list(opened.keys()) if name.startswith(prefix)]
            return {name.removeprefix(prefix): opened.get_tensor(name) for name in wanted}
    except (OSError, SafetensorError) as error:
        raise DamagedCheckpoint(file.parent, f"{file.name} cannot be read") from error


def load_weights(module: nn.Module, tensors: Mapping[str, Tensor], folder: Path) -> None:
    try:
        module.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise _other_architecture(folder) from error


def _other_architecture(folder: Path) -> SynthaugError:
    return SynthaugError(
        f"the checkpoint {str(folder)!r} is of another architecture than its run",
        "give the checkpoint's own run, whose config.yaml has the right model section",
    )


def find_own(run: Run, which: str | Path) -> Path:
    """The folder of a checkpoint of the run itself, as `find_checkpoint` finds it.

    Raises:
        SynthaugError: there is no such checkpoint, or it is not in the run's folder.
    """
    found = find_checkpoint(run, which)
    if found.resolve().parent != run.checkpoints.resolve():
        raise SynthaugError(
            f"the checkpoint {str(which)!r} does not belong to the run {run.name!r}",
            f"choose one of its own: last, {', '.join(names(run))}",
        )
    return found


def find_checkpoint(run: Run, which: str | Path) -> Path:
    """The folder of a checkpoint: `best`, `last`, a name such as `kimg000100`, or a folder.

    Raises:
        SynthaugError: there is no such checkpoint.
    """
    available = names(run)
    if not available:
        raise SynthaugError(
            f"the run {str(run.path)!r} has no checkpoint yet",
            f"finish it with: {run.resuming()}",
        )
    if str(which) == "last":
        return run.checkpoints / available[-1]
    if str(which) == "best":
        best = run.status().get("best_checkpoint")
        if best not in available:
            fault = "names no best checkpoint" if best is None else f"names the best checkpoint {best!r}, which is gone"
            raise SynthaugError(
                f"the run {str(run.path)!r} {fault}", f"choose one with --checkpoint: last, {', '.join(available)}"
            )
        return run.checkpoints / str(best)
    if str(which) in available:
        return run.checkpoints / str(which)
    if (Path(which) / STATE).exists():
        return Path(which)
    raise SynthaugError(
        f"there is no checkpoint {str(which)!r} in {str(run.path)!r}", suggest(str(which), ["best", "last", *available])
    )
