"""Checkpoints: safetensors and JSON, never pickle, written to a temporary folder and renamed.

checkpoints/kimg000100/
    generator.safetensors   the averaged generator: all that sampling needs
    training.safetensors    all networks, optimisers and regularisers, to go on exactly
    state.json              counters, the best score so far, and how the networks were built
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from synthaug.errors import SynthaugError, suggest
from synthaug.files import new_folder, write_json
from synthaug.runs import Run
from synthaug.training.state import Counters, TrainingState

_NAME = re.compile(r"kimg\d{6}")


def name_for(images: int) -> str:
    return f"kimg{images // 1000:06d}"


def names(run: Run) -> list[str]:
    """Complete checkpoints of a run, oldest first."""
    if not run.checkpoints.is_dir():
        return []
    return sorted(p.name for p in run.checkpoints.iterdir() if _NAME.fullmatch(p.name) and (p / "state.json").exists())


def save(run: Run, state: TrainingState) -> str:
    """Write one checkpoint and return its name."""
    name = name_for(state.counters.images)
    for left_over in run.checkpoints.glob(".kimg*"):  # of a process that was killed
        shutil.rmtree(left_over, ignore_errors=True)
    tensors = {f"{prefix}.{k}": v for prefix, module in state.networks.items() for k, v in module.state_dict().items()}
    for prefix, player in state.players.items():
        entries = player.optimizer.state_dict()["state"].items()
        tensors |= {f"{prefix}_optimizer.{i}.{key}": value for i, entry in entries for key, value in entry.items()}
    document = {"counters": vars(state.counters), "architecture": dict(state.architecture)}
    with new_folder(run.checkpoints / name, replace=True) as folder:
        save_file(_contiguous(state.average.network.state_dict()), folder / "generator.safetensors")
        save_file(_contiguous(tensors), folder / "training.safetensors")
        write_json(folder / "state.json", document)
    return name


def restore(run: Run, name: str, state: TrainingState) -> None:
    """Load a checkpoint into the networks, optimisers, average and counters of `state`.

    Raises:
        SynthaugError: it is damaged, or of another architecture.
    """
    folder = run.checkpoints / name
    tensors = load_tensors(folder / "training.safetensors")
    for prefix, module in state.networks.items():
        load_weights(module, with_prefix(tensors, f"{prefix}."), folder)
    for prefix, player in state.players.items():
        _restore_optimizer(player.optimizer, with_prefix(tensors, f"{prefix}_optimizer."))
    load_weights(state.average.network, load_tensors(folder / "generator.safetensors"), folder)
    vars(state.counters).update(vars(Counters(**read_state(folder)["counters"])))


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
    file = run.checkpoints / name / "state.json"
    write_json(file, {**read_state(file.parent), "counters": vars(counters)})


def images_at(run: Run, name: str) -> int:
    """How many images the discriminator had been shown at a checkpoint."""
    return int(read_state(run.checkpoints / name)["counters"]["images"])


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


def read_state(folder: Path) -> dict[str, Any]:
    """The `counters` and the `architecture` of a checkpoint.

    Raises:
        SynthaugError: it is damaged.
    """
    try:
        state: dict[str, Any] = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        return {"counters": state["counters"], "architecture": state["architecture"]}
    except (OSError, ValueError, KeyError) as error:
        raise SynthaugError(
            f"the checkpoint {str(folder)!r} is damaged: state.json cannot be read", "choose another with --checkpoint"
        ) from error


def with_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, under the rest of their names."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def load_tensors(file: Path, prefix: str = "") -> dict[str, Tensor]:
    """The tensors of a file in a checkpoint: those whose names begin with `prefix`, under the rest of their names.

    Raises:
        SynthaugError: it is damaged.
    """
    try:
        with safe_open(file, "pt") as opened:
            wanted = [name for name in list(opened.keys()) if name.startswith(prefix)]
            return {name.removeprefix(prefix): opened.get_tensor(name) for name in wanted}
    except (OSError, SafetensorError) as error:
        raise SynthaugError(
            f"the checkpoint {str(file.parent)!r} is damaged: {file.name} cannot be read",
            "choose another with --checkpoint",
        ) from error


def load_weights(module: nn.Module, tensors: Mapping[str, Tensor], folder: Path) -> None:
    try:
        module.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise SynthaugError(
            f"the checkpoint {str(folder)!r} is of another architecture than its run",
            "give the checkpoint's own run, whose config.yaml has the right model section",
        ) from error


def find_checkpoint(run: Run, which: str | Path) -> Path:
    """The folder of a checkpoint: `best`, `last`, a name such as `kimg000100`, or a folder.

    Raises:
        SynthaugError: there is no such checkpoint.
    """
    available = names(run)
    if not available:
        raise SynthaugError(
            f"the run {str(run.path)!r} has no checkpoint yet",
            "finish it with `synthaug fit DATA --resume " + str(run.path) + "`",
        )
    if str(which) == "last":
        return run.checkpoints / available[-1]
    if str(which) == "best":
        best = run.status().get("best_checkpoint")
        return run.checkpoints / (best if best in available else available[-1])
    if str(which) in available:
        return run.checkpoints / str(which)
    if (Path(which) / "state.json").exists():
        return Path(which)
    raise SynthaugError(
        f"there is no checkpoint {str(which)!r} in {str(run.path)!r}", suggest(str(which), ["best", "last", *available])
    )
