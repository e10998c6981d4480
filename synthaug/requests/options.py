"""Options that several commands share; their descriptions are the help texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Protocol

from pydantic import AfterValidator, BeforeValidator, Field

from synthaug.data.where import as_texts
from synthaug.errors import SynthaugError, suggest
from synthaug.requests.base import Flag
from synthaug.sampling.options import check_truncation
from synthaug.storage import place
from synthaug.tasks import Backend, Workers
from synthaug.translators import modes

OFF = Path("off")
"""In the place of a file: none."""
DEVICES = ("auto", "cpu", "cuda", "mps")


def _device(name: str) -> str:
    kind, colon, number = name.partition(":")
    if name not in DEVICES and not (kind == "cuda" and colon and number.isdecimal()):
        raise SynthaugError(f"--device {name!r} is not known", suggest(name, DEVICES))
    return name


def _reference(value: Any) -> Any:
    """A run's path, name or number. A `Run`, or a document with a run, is replaced by the path of its folder."""
    from synthaug.documents import EvaluateDocument, FitDocument, WorkflowDocument
    from synthaug.runs import Run

    if isinstance(value, (FitDocument, EvaluateDocument, WorkflowDocument)):
        return value.run
    if isinstance(value, Run):
        return str(value.path)
    return str(value) if isinstance(value, (Path, int)) else value


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, (str, int)) else value


def parts(value: Any) -> Any:
    """The items of a list that is written with commas."""
    return [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value


def _columns(value: Any) -> Any:
    """Columns that are written with commas; the class may be among them, for it always counts."""
    found = parts(value)
    return tuple(name for name in found if name != "class") if isinstance(found, (list, tuple)) else found


Many = BeforeValidator(_listed)
"""A list; a single item may be given without brackets."""
Reference = Annotated[str | None, BeforeValidator(_reference)]
RunName = Annotated[
    Reference,
    Field(description="A run's path, name or number. [default: the latest run]"),
    Flag("RUN", argument=True),
]
Data = Annotated[Path | str, BeforeValidator(place), Flag("DATA", argument=True)]
TargetClass = Annotated[str | tuple[str, ...], Flag("NAME", "Data", many=True)]
Resolution = Annotated[int | None, Flag("16|32|64|96|128|192|256", "Data")]
GroupBy = Annotated[
    str | None,
    Field(
        description="A regular expression, such as 'patient(\\d+)'. Images whose paths give the same first group stay "
        "in one split."
    ),
    Flag("REGEX", "Data"),
]
Strict = Annotated[bool, Field(description="Stop if a single file cannot be read."), Flag(group="Data")]
Runs = Annotated[
    Path | None, Field(description="The folder of runs. [default: $SYNTHAUG_RUNS, or ./runs]"), Flag("DIR", "Run")
]
Cache = Annotated[
    Path | None,
    Field(description="The folder for decoded images. [default: ~/.cache/synthaug]"),
    Flag("DIR", "Machine"),
]
Device = Annotated[
    str, AfterValidator(_device), Field(description="Where to compute; cuda:1 is the second GPU."),
    Flag("auto|cpu|cuda|mps", "Machine"),
]  # fmt: skip
Checkpoint = Annotated[
    str | Path, Field(description="Which checkpoint of the run to use."), Flag("best|last|PATH", "Run")
]
NoiseSeed = Annotated[
    int | None,
    Field(description="Seed of the noise. [default: the run's seed]", ge=0, le=2**31 - 1),
    Flag("N", "Sampling"),
]
Truncation = Annotated[
    float,
    AfterValidator(check_truncation),
    Field(description="Below 1, images are more typical of their class and less varied."),
    Flag("PSI", "Sampling"),
]
Mode = Annotated[
    modes.Mode | None,
    Field(
        description="Families that start from images: translate those of other classes, vary the class's own, or both. "
        "[default: as the run was trained]"
    ),
    Flag("translate|vary|both", "Sampling"),
]
Inputs = Annotated[
    Path | None,
    Field(description="pix2pix: maps of your own to paint, in DIR/CLASS, or in DIR for the only target class."),
    Flag("DIR", "Sampling"),
]
Where = Annotated[
    tuple[str, ...],
    BeforeValidator(as_texts),
    Field(
        description="Runs with conditions: values that all images get, such as age=60,camera=b. "
        "[default: those of training images]"
    ),
    Flag("COLUMN=VALUE,…", "Sampling", many=True),
]
Text = Annotated[
    str | None,
    Field(
        description="Runs whose conditions are texts: what the images should show, such as 'a red sign'. "
        "[default: as in training images]"
    ),
    Flag("TEXT", "Sampling"),
]
Balance = Annotated[
    tuple[str, ...],
    BeforeValidator(_columns),
    Field(description="Runs with conditions: within each class, fill up the rarest combinations of these columns."),
    Flag("COLUMN,COLUMN,…", "Sampling"),
]
Features = Annotated[str | None, Flag("NAME|FILE", "Comparison")]
Upscaler = Annotated[
    Reference,
    Field(
        description="A run of an upscaler (`fit --family srgan`), which enlarges synthetic images before resampling."
    ),
    Flag("RUN", "Sampling"),
]
Jobs = Annotated[
    int | None, Field(description="Tasks at once. [default: one per core]", ge=1, le=4096), Flag("N", "Machine")
]  # fmt: skip
TaskBackend = Annotated[
    Backend,
    Field(description="Where tasks run: loky, processes of this machine, or a cluster: docs/scale.md."),
    Flag("loky|dask|ray", "Machine"),
]
Scheduler = Annotated[
    str | None,
    Field(description="With --backend dask or ray: the cluster's address. [default: one is started here]"),
    Flag("ADDRESS", "Machine"),
]
Decisions = Annotated[
    Path | None,
    Field(description="Decisions of `synthaug curate`, or off. [default: those that the run keeps]"),
    Flag("FILE|off", "Sampling"),
]
OnlyAccepted = Annotated[
    bool,
    Field(description="Of classes that were looked at, use only images that were accepted by hand."),
    Flag(group="Sampling"),
]
Port = Annotated[
    int | None, Field(description="The page's port on this machine. [default: any free one]", ge=1, le=65535),
    Flag("N", "Output"),
]  # fmt: skip
Overwrite = Annotated[bool, Field(description="Replace the output of an earlier call."), Flag(group="Output")]


class HasDecisions(Protocol):
    """A request of a command that follows decisions by hand."""

    @property
    def curation(self) -> Path | None: ...
    @property
    def only_accepted(self) -> bool: ...


def check_decisions(request: HasDecisions) -> None:
    """Check that both options fit together.

    Raises:
        SynthaugError: they do not.
    """
    if request.only_accepted and request.curation == OFF:
        raise SynthaugError("--only-accepted and --curation off contradict each other", "leave one of them out")


class HasTasks(Protocol):
    """A request of a command that runs tasks."""

    @property
    def jobs(self) -> int | None: ...
    @property
    def backend(self) -> Backend: ...
    @property
    def scheduler(self) -> str | None: ...


def workers_of(request: HasTasks) -> Workers:
    """Where a command's tasks run.

    Raises:
        SynthaugError: the options contradict each other, or the backend's package is missing.
    """
    return Workers(request.jobs, request.backend, request.scheduler)
