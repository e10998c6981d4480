"""Requests of the commands that judge images: evaluate, check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from synthaug.budget import MOST_FOLDS
from synthaug.errors import SynthaugError
from synthaug.requests.base import Flag, Request
from synthaug.requests.options import (
    OFF,
    Balance,
    Cache,
    Checkpoint,
    Decisions,
    Device,
    Features,
    GroupBy,
    Jobs,
    Mode,
    OnlyAccepted,
    Reference,
    Resolution,
    RunName,
    Runs,
    Scheduler,
    TargetClass,
    TaskBackend,
    Upscaler,
    check_decisions,
    parts,
    workers_of,
)
from synthaug.storage import place


def _shares(value: Any) -> Any:
    hint = "write it like --shares 0.1,0.25,0.5"
    if value is None:
        return None
    try:
        shares = [float(item) for item in parts(value)]
    except (TypeError, ValueError):
        raise SynthaugError(f"--shares {value!r} is not a list of numbers", hint) from None
    for share in shares:
        if not 0 < share < 1:
            raise SynthaugError(f"--shares {value!r}: {share:g} is not between 0 and 1", hint)
    return shares


def _size(value: Any) -> Any:
    """`model`, `native`, or a number of pixels."""
    text = str(value).strip()
    if text in ("model", "native"):
        return text
    hint = f"give model, native, or a side from {SIDES[0]} to {SIDES[1]} pixels, such as --size 96"
    if isinstance(value, bool) or not text.lstrip("+-").isdecimal():
        raise SynthaugError(f"--size {text!r} is not known", hint)
    if not SIDES[0] <= int(text) <= SIDES[1]:
        raise SynthaugError(f"--size {text} is out of range", hint)
    return int(text)


def _classifier(name: str) -> str:
    from synthaug.classifiers import full_name

    return full_name(name)


def _second_judge(name: str) -> str:
    from synthaug.features import check_features

    return name if name in ("auto", "none") else check_features(name)


Classifier = Annotated[
    str,
    AfterValidator(_classifier),
    Field(
        description="The classifier to train: `synthaug list classifiers`, `finetune:NET` for another pretrained net, "
        "or a file of your own."
    ),
    Flag("NAME[:NET]|FILE.py", "Classifier"),
]
Seeds = Annotated[
    int,
    Field(ge=2, le=10_000, description="Classifiers per arm; a reliable verdict needs at least 5."),
    Flag("N", "Classifier"),
]
Steps = Annotated[
    int,
    Field(ge=1, le=10**6, description="Optimiser steps of every classifier, the same in all arms but `longer`."),
    Flag("N", "Classifier"),
]
SIDES = (16, 1024)
"""Bounds of `--size`, in pixels."""


class EvaluateRequest(Request):
    """Do the synthetic images help?"""

    run: RunName = None
    test: Annotated[Path | None, Flag("DIR", "Data")] = Field(
        None, description="Test images of your own. [default: those that `fit` set aside]"
    )
    synthetic: Annotated[Path | None, Flag("DIR", "Data")] = Field(
        None, description="Judge the synthetic images in this folder, made by any tool."
    )
    data: Annotated[Path | str | None, BeforeValidator(place), Flag("DATA", "Data")] = Field(
        None, description="With --synthetic and without a run: the real images. They are split as `fit` does."
    )
    target_class: TargetClass = Field(
        "auto", description="With --data: a class of the synthetic images. [default: auto, the rare classes]"
    )
    resolution: Resolution = Field(None, description="With --data: side of the images, in pixels. [default: 32]")
    group_by: GroupBy = None
    folds: Annotated[int | None, Flag("K", "Comparison")] = Field(
        None,
        ge=2,
        le=MOST_FOLDS,
        description="For few images: train a generator for each of K folds, and test on all images.",
    )
    generators: Annotated[int | None, Flag("N", "Comparison")] = Field(
        None,
        ge=2,
        le=MOST_FOLDS,
        description="Judge N generators: train further ones with other seeds. The intervals contain what differs.",
    )
    replicates: Annotated[tuple[str, ...] | None, BeforeValidator(parts), Flag("RUN,RUN,…", "Comparison")] = Field(
        None, description="The same with runs that you have trained: same images, split and settings, other seeds."
    )
    classifier: Classifier = "cnn"
    weights: Annotated[Path | None, Flag("FILE", "Classifier")] = Field(
        None, description="With --classifier finetune: your own weights of the net, .safetensors or .pth."
    )
    size: Annotated[Literal["model", "native"] | int, BeforeValidator(_size), Flag("model|native|N", "Classifier")] = (
        Field(
            "model",
            description="Size at which the classifier sees all images: the generator's; that of the real images, with "
            "synthetic ones as export writes them; or N pixels.",
        )
    )
    upscaler: Upscaler = None
    seeds: Seeds = 5
    steps: Steps = 600
    shares: Annotated[tuple[float, ...] | None, BeforeValidator(_shares), Flag("S,S,…", "Comparison")] = Field(
        None,
        description="Shares of synthetic images in a class's batches; the best one on val is used. "
        "[default: 0.1,0.25,0.5]",
    )
    arms: Annotated[tuple[str, ...] | None, BeforeValidator(parts), Flag("A,A,…", "Comparison")] = Field(
        None, description="Arms to train: names, `default`, or `all`; see docs/concepts.md. [default: default]"
    )
    mix: Annotated[Literal["targets", "all"] | None, Flag("targets|all", "Comparison")] = Field(
        None,
        description="Which classes get synthetic images in the synthetic arms. [default: targets; all if they are made "
        "from images]",
    )
    mode: Mode = None
    balance: Balance = ()
    by: Annotated[tuple[str, ...] | None, BeforeValidator(parts), Flag("COLUMN,COLUMN,…", "Comparison")] = Field(
        None,
        description="Also score the test images by columns of their metadata table, such as camera,site: each "
        "combination of values, the worst first.",
    )
    learning_curve: Annotated[bool, Flag(group="Comparison")] = Field(
        False, description="Also train with fewer real images, to express the gain as a number of real images."
    )
    out: Annotated[Path | None, Flag("DIR", "Output")] = Field(
        None, description="The folder of the report. [default: inside the run]"
    )
    fail_under: Annotated[float | None, Flag("X", "Output")] = Field(
        None,
        ge=-1,
        le=1,
        description="Exit with 1 if the better comparison gains less than X in mean F1 of the target classes.",
    )
    gate: Annotated[bool, Flag(group="Sampling")] = Field(
        True, description="Judge images that pass the gate, as export writes them."
    )
    curation: Decisions = None
    only_accepted: OnlyAccepted = False
    checkpoint: Checkpoint = "best"
    features: Features = Field(
        None, description="The network that compares images. [default: that of the run's monitor]"
    )
    runs: Runs = None
    device: Device = "auto"
    cache: Cache = None
    jobs: Jobs = None
    backend: TaskBackend = "loky"
    scheduler: Scheduler = None

    def flags(self) -> dict[str, Any]:
        """The given configuration keys for `data`, dotted."""
        keys = {"data.resolution": self.resolution, "data.group_by": self.group_by}
        return {key: value for key, value in keys.items() if value is not None}

    def _check(self) -> None:
        workers_of(self)
        check_decisions(self)
        if self.weights is not None:
            from synthaug.classifiers import full_name

            full_name(self.classifier, self.weights)
        self._check_data()
        if self.synthetic is not None:
            beside = f"--synthetic {str(self.synthetic)!r}, whose images are judged as they are"
            self._refuse({"checkpoint": "--checkpoint", "gate": "--gate or --no-gate"}, beside)
        if self.upscaler is not None:
            self._check_upscaler()
        self._exclusive("folds", "generators", "replicates")
        self._exclusive("balance", "synthetic")
        self._exclusive("generators", "replicates")
        if self.folds is not None:
            does = f"--folds {self.folds} trains a generator for each fold of the run's images"
            self._check_several(does, ("data", "synthetic", "test"))
        elif self.generators is not None:
            does = f"--generators {self.generators} trains more generators on the run's images"
            self._check_several(does, ("data", "synthetic"))
        elif self.replicates is not None:
            does = f"--replicates {','.join(self.replicates)} judges the generators of runs"
            self._check_several(does, ("data", "synthetic"))

    def _check_upscaler(self) -> None:
        given = f"--upscaler {self.upscaler}"
        if self.size == "model":
            raise SynthaugError(
                f"{given} has no effect at the generator's size", "add --size native, or leave --upscaler out"
            )
        if self.folds is not None:
            raise SynthaugError(
                f"{given} has seen test images of --folds {self.folds}: it was trained on one split",
                "evaluate one split, or leave --upscaler out",
            )
        if self.synthetic is not None:
            raise SynthaugError(
                f"{given} was given with --synthetic {str(self.synthetic)!r}, whose images are judged as they are",
                "leave it out",
            )

    def _check_several(self, does: str, without: Sequence[str]) -> None:
        """With several generators, some options make no sense. `does` says what they are for."""
        for name in (*without, "curation", "only_accepted"):
            if (value := getattr(self, name)) not in (None, False, OFF):
                raise SynthaugError(
                    f"{does}, but {self.option(name)} {str(value)!r} was given too", "leave one of them out"
                )
        if str(self.checkpoint) not in ("best", "last"):
            raise SynthaugError(
                f"{does}, but one checkpoint {str(self.checkpoint)!r} was given", "give --checkpoint best or last"
            )

    def _check_data(self) -> None:
        if self.data is None:
            for name in ("target_class", "resolution", "group_by"):
                if name in self.model_fields_set and getattr(self, name) is not None:
                    raise SynthaugError(
                        f"{self.option(name)} was given without --data",
                        "a run has its own; give --data DATA, or leave it out",
                    )
            return
        given = f"--data {str(self.data)!r}"
        if self.run is not None:
            raise SynthaugError(f"{given} and the run {self.run!r} are both given", "leave one of them out")
        if self.synthetic is None:
            raise SynthaugError(
                f"{given} without a run has no synthetic images to judge",
                "give their folder with --synthetic DIR, or train a generator: synthaug fit DATA",
            )
        self._refuse({"runs": "--runs"}, f"{given}, which needs no run")

    def _refuse(self, options: Mapping[str, str], beside: str) -> None:
        """Refuse options that would have no effect; `options`: field → how it is written."""
        for name, option in options.items():
            if name in self.model_fields_set:
                raise SynthaugError(f"{option} was given with {beside}", "leave it out")


class CheckRequest(Request):
    """How good are synthetic images?"""

    target: Annotated[Reference, Flag("RUN|DIR", argument=True)] = Field(
        None, description="A run, or a folder of synthetic images, one folder per class. [default: the latest run]"
    )
    reference: Annotated[Path | None, Flag("DIR", "Data")] = Field(
        None, description="Real images to compare with; needed with a folder of synthetic images."
    )
    features: Features = Field(
        None,
        description="The network that compares images: `synthaug list features`. [default: the monitor's of the run]",
    )
    second_judge: Annotated[str, AfterValidator(_second_judge), Flag("NAME|none", "Comparison")] = Field(
        "auto", description="Another network, which says whether it agrees. [default: one of another origin]"
    )
    count: Annotated[int | None, Flag("N", "Amount")] = Field(
        None, ge=8, le=100_000, description="Images to generate per class of a run. [default: 500]"
    )
    checkpoint: Checkpoint = "best"
    runs: Runs = None
    device: Device = "auto"
    cache: Cache = None
    jobs: Jobs = Field(1, description="Classes judged at once. [default: 1]")
    backend: TaskBackend = "loky"
    scheduler: Scheduler = None

    def _check(self) -> None:
        workers_of(self)
