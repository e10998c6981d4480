"""Fine-tuning: a training that starts from the weights of an earlier run with other classes (`fit --from RUN`).

All weights are loaded but the class embeddings. A class of the same name keeps its embedding, others get a fresh one.
Optimisers, schedules and counters begin anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from synthaug.config import Config
from synthaug.errors import SynthaugError
from synthaug.files import sha256
from synthaug.models.family import ImageShape
from synthaug.runs import Run, StartedFrom
from synthaug.training import checkpoint


@dataclass(frozen=True)
class StartingPoint:
    """A checkpoint to start from."""

    run: Run
    checkpoint: str
    classes: list[str]

    def note(self) -> StartedFrom:
        """What the new run stores of it."""
        file = self.run.checkpoints / self.checkpoint / "generator.safetensors"
        return StartedFrom(run=self.run.path.resolve(), checkpoint=self.checkpoint, sha256=sha256(file))


def open_starting_point(run: Run, config: Config, shape: ImageShape, which: str | Path = "best") -> StartingPoint:
    """The checkpoint `which` of `run`, if its weights fit networks of `config` for images of `shape`.

    Raises:
        SynthaugError: they do not fit (all differences in one message), or there is no checkpoint.
    """
    theirs, facts = run.config(), run.facts()
    differences: dict[str, tuple[Any, Any]] = {
        "data.resolution": (theirs.data.resolution, shape.resolution),
        "data.channels": (facts.channels, shape.channels),
    }
    old, new = theirs.model.model_dump(), config.model.model_dump()
    differences |= {f"model.{key}": (old[key], new[key]) for key in new if key in old}
    differences = {key: (a, b) for key, (a, b) in differences.items() if a != b}
    if differences:
        listed = ", ".join(f"{key} is {a} in that run and {b} here" for key, (a, b) in differences.items())
        settings = " ".join(f"--set {key}={str(a).replace(' ', '')}" for key, (a, _) in differences.items())
        raise SynthaugError(
            f"cannot start from the run {run.name!r}: {listed}",
            f"train with its settings: {settings}",
        )
    return StartingPoint(run, checkpoint.find_own(run, which).name, facts.classes)


def noted_starting_point(run: Run) -> StartingPoint | None:
    """What `run` started from by its own notes; None: from random weights.

    Raises:
        SynthaugError: that checkpoint is gone, or has changed.
    """
    noted = run.facts().started_from
    if noted is None:
        return None
    earlier = Run(noted.run)
    start = StartingPoint(earlier, noted.checkpoint, [])
    try:
        same = start.note().sha256 == noted.sha256
    except OSError:
        same = False
    if not same:
        raise SynthaugError(
            f"the run {run.name!r} has no checkpoint yet, and the weights that it started from are gone: "
            f"{noted.checkpoint} of {str(noted.run)!r}",
            "start another with --from RUN, without --resume",
        )
    return replace(start, classes=earlier.facts().classes)


def transfer(
    start: StartingPoint, networks: Mapping[str, nn.Module], averaged: nn.Module, classes: Sequence[str]
) -> None:
    """Put the weights of a checkpoint into freshly built networks for `classes`, and into the averaged one.

    Raises:
        SynthaugError: a weight has another shape, and not only because of the number of classes in an embedding.
    """
    folder = start.run.checkpoints / start.checkpoint
    training = checkpoint.load_tensors(folder / "training.safetensors")
    rows = [(classes.index(name), start.classes.index(name)) for name in classes if name in start.classes]
    for name, network in networks.items():
        _load_shared(network, checkpoint.with_prefix(training, f"{name}."), rows, start)
    _load_shared(averaged, checkpoint.load_tensors(folder / "generator.safetensors"), rows, start)


def _load_shared(
    network: nn.Module, stored: Mapping[str, Tensor], rows: list[tuple[int, int]], start: StartingPoint
) -> None:
    """Load all that does not belong to a class, and of embeddings the `rows` (new, old) of classes known to both.

    Embeddings of conditions stay fresh: other columns would mean something else.
    """
    fresh = network.state_dict()
    of_conditions = _condition_tensors(network)
    stored = {**{k: v for k, v in stored.items() if ".attributes." not in k}, **{k: fresh[k] for k in of_conditions}}
    if different := sorted(fresh.keys() ^ stored.keys()):
        raise SynthaugError(
            f"cannot start from the run {start.run.name!r}: its networks have other layers ({different[0]})",
            "start from a run of the same family that this version of synthaug trained",
        )
    of_classes = _class_tensors(network)
    loaded = {}
    for name, tensor in fresh.items():
        if name in of_classes:
            loaded[name] = tensor.clone()
            for new, old in rows:
                loaded[name][new] = stored[name][old]
        elif tensor.shape == stored[name].shape:
            loaded[name] = stored[name]
        else:
            raise SynthaugError(
                f"cannot start from the run {start.run.name!r}: {name} is {list(stored[name].shape)} in it and "
                f"{list(tensor.shape)} here",
                "this family has weights of classes outside of embeddings: give data with as many classes",
            )
    network.load_state_dict(loaded)


def _class_tensors(network: nn.Module) -> set[str]:
    """Names of the tensors with one row a class: embeddings, and the vectors of spectral norm with a row for each."""
    names = set()
    for name, module in network.named_modules():
        if isinstance(module, nn.Embedding):
            prefix = f"{name}." if name else ""
            names |= {f"{prefix}{key}" for key in module.state_dict() if not key.endswith("._v")}
    return names - _condition_tensors(network)


def _condition_tensors(network: nn.Module) -> set[str]:
    """Names of the tensors that embed conditions."""
    return {name for name in network.state_dict() if ".attributes." in name}
