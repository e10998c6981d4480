"""Fine-tuning: a training that starts from the weights of an earlier run with other classes (`fit --from RUN`).

Everything that does not belong to a class is taken over. A class of the same name takes its embedding along; the others
begin with a fresh one. Optimisers, schedules and counters begin anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from synthaug.config import Config
from synthaug.errors import SynthaugError
from synthaug.files import sha256
from synthaug.models.family import ImageShape
from synthaug.runs import Run, StartedFrom
from synthaug.training import checkpoint
from synthaug.training.ema import Average


@dataclass(frozen=True)
class Source:
    """A checkpoint to start from."""

    run: Run
    checkpoint: str
    classes: list[str]

    def note(self) -> StartedFrom:
        """What a run that starts here notes of it."""
        file = self.run.checkpoints / self.checkpoint / "generator.safetensors"
        return StartedFrom(run=self.run.path.resolve(), checkpoint=self.checkpoint, sha256=sha256(file))


def open_source(run: Run, config: Config, shape: ImageShape) -> Source:
    """The best checkpoint of `run`, if networks of `config` for images of `shape` can take its weights.

    Raises:
        SynthaugError: every difference that stands in the way, in one message; or there is no checkpoint.
    """
    theirs, facts = run.config(), run.facts()
    differences: dict[str, tuple[Any, Any]] = {
        "data.resolution": (theirs.data.resolution, shape.resolution),
        "data.channels": (facts.channels, shape.channels),
    }
    old, new = theirs.model.model_dump(), config.model.model_dump()
    differences |= {f"model.{key}": (old[key], new[key]) for key in new}
    differences = {key: (a, b) for key, (a, b) in differences.items() if a != b}
    if differences:
        listed = ", ".join(f"{key} is {a} there and {b} here" for key, (a, b) in differences.items())
        settings = " ".join(f"--set {key}={str(a).replace(' ', '')}" for key, (a, _) in differences.items())
        raise SynthaugError(
            f"cannot start from the run {run.name!r}: {listed}",
            f"train with its settings: {settings}",
        )
    return Source(run, checkpoint.find_checkpoint(run, "best").name, facts.classes)


def noted_source(run: Run) -> Source | None:
    """What `run` began with, by its own notes; None: with random weights.

    Raises:
        SynthaugError: that is gone, or no longer what it was.
    """
    noted = run.facts().started_from
    if noted is None:
        return None
    earlier = Run(noted.run)
    source = Source(earlier, noted.checkpoint, [])
    try:
        same = source.note().sha256 == noted.sha256
    except OSError:
        same = False
    if not same:
        raise SynthaugError(
            f"the run {run.name!r} has no checkpoint yet, and what it began with is gone: "
            f"{noted.checkpoint} of {str(noted.run)!r}",
            "start another with --from RUN, without --resume",
        )
    return replace(source, classes=earlier.facts().classes)


def transfer(
    source: Source, generator: nn.Module, discriminator: nn.Module, average: Average, classes: Sequence[str]
) -> None:
    """Put the weights of `source` into freshly built networks for `classes`.

    Raises:
        SynthaugError: some weight has another shape, other than by the number of classes in an embedding.
    """
    folder = source.run.checkpoints / source.checkpoint
    training = checkpoint.load_tensors(folder / "training.safetensors")
    rows = [(classes.index(name), source.classes.index(name)) for name in classes if name in source.classes]
    for prefix, network in (("generator", generator), ("discriminator", discriminator)):
        own = {k.removeprefix(f"{prefix}."): v for k, v in training.items() if k.startswith(f"{prefix}.")}
        _take_over(network, own, rows, source)
    _take_over(average.generator, checkpoint.load_tensors(folder / "generator.safetensors"), rows, source)


def _take_over(network: nn.Module, theirs: Mapping[str, Tensor], rows: list[tuple[int, int]], source: Source) -> None:
    own = network.state_dict()
    if missing := sorted(own.keys() ^ theirs.keys()):
        raise SynthaugError(
            f"cannot start from the run {source.run.name!r}: its networks are built otherwise ({missing[0]})",
            "start from a run of the same family that this version of synthaug trained",
        )
    of_classes = _class_tensors(network)
    taken = {}
    for name, mine in own.items():
        if name in of_classes:
            taken[name] = mine.clone()
            for new, old in rows:
                taken[name][new] = theirs[name][old]
        elif mine.shape == theirs[name].shape:
            taken[name] = theirs[name]
        else:
            raise SynthaugError(
                f"cannot start from the run {source.run.name!r}: {name} is {list(theirs[name].shape)} there and "
                f"{list(mine.shape)} here",
                "this family keeps its classes elsewhere than in embeddings: give data with as many classes",
            )
    network.load_state_dict(taken)


def _class_tensors(network: nn.Module) -> set[str]:
    """Names of the tensors with a row a class: embeddings, and what spectral norm keeps for each of their rows."""
    names = set()
    for name, module in network.named_modules():
        if isinstance(module, nn.Embedding):
            prefix = f"{name}." if name else ""
            names |= {f"{prefix}{key}" for key in module.state_dict() if not key.endswith("._v")}
    return names
