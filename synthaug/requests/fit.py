"""Requests of the commands that read a folder of images: inspect, fit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from synthaug.errors import SynthaugError
from synthaug.requests.base import Flag, Request
from synthaug.requests.options import (
    Cache,
    Data,
    Device,
    GroupBy,
    Many,
    Port,
    Reference,
    Resolution,
    Runs,
    Strict,
    TargetClass,
    parts,
)


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


Settings = Annotated[
    tuple[str, ...] | dict[str, Any],
    Many,
    Field(description="Any key of a recipe, such as training.batch_size=32."),
    Flag("KEY=VALUE", "Recipe", many=True),
]
TrainingSeed = Annotated[
    int | None, Field(description="Seed of the split and the training. [default: 0]"), Flag("N", "Training")
]  # fmt: skip


class InspectRequest(Request):
    """What is in a folder of images?"""

    data: Data = Field(
        description="Folder of images: one folder per class, or train/ and test/, or metadata.jsonl; or .tar or "
        ".parquet files, also at a URL."
    )
    group_by: GroupBy = None
    strict: Strict = False
    cache: Cache = None


class FitRequest(Request):
    """Train a generator."""

    data: Data = Field(description="Folder of images, as `synthaug inspect` reads it.")
    target_class: TargetClass = Field(
        "auto", description="A class to generate images of. [default: auto, the rare classes]"
    )
    budget: Annotated[str | None, Flag("10min|90s|200kimg", "Training")] = Field(
        None, description="How long to train. [default: the recipe's]"
    )
    recipe: Annotated[str | None, Flag("NAME", "Recipe")] = Field(
        None,
        description="A recipe of `synthaug recipes ls`, or auto: settings chosen from the images. [default: default]",
    )
    family: Annotated[str | None, Flag("NAME", "Model")] = Field(
        None, description="Architecture: `synthaug list families`. [default: the recipe's]"
    )
    objective: Annotated[str | None, Flag("NAME", "Training")] = Field(
        None, description="Loss: `synthaug list objectives`. [default: the recipe's]"
    )
    config: Annotated[Path | None, Flag("FILE", "Recipe")] = Field(None, description="A recipe file.")
    set: Settings = ()
    source_classes: Annotated[tuple[str, ...] | None, BeforeValidator(parts), Flag("NAME,NAME,…", "Model")] = Field(
        None,
        description="Families that start from images: classes to translate. [default: the nearest ones]",
    )
    pairs: Annotated[str | None, BeforeValidator(_text), Flag("DIR|edges", "Model")] = Field(
        None,
        description="pix2pix: a folder with a map for each image, or edges: edge maps, drawn from the images. "
        "[default: edges]",
    )
    condition: Annotated[tuple[str, ...] | None, BeforeValidator(parts), Flag("COLUMN,COLUMN,…", "Model")] = Field(
        None,
        description="Columns of metadata.csv or .jsonl that the generator is told beside the class, such as camera, "
        "age or a caption. [default: none]",
    )
    resolution: Resolution = Field(None, description="Side of the generated images, in pixels. [default: the recipe's]")
    scale: Annotated[int | None, Flag("2|4", "Model")] = Field(
        None,
        description="With an upscaler, such as --family srgan: how many times it enlarges --resolution. [default: 2]",
    )
    fit: Annotated[str | None, Flag("pad|crop|stretch", "Data")] = Field(
        None, description="How images that are not square are made square. [default: the recipe's]"
    )
    group_by: GroupBy = None
    seed: TrainingSeed = None
    device: Device = "auto"
    devices: Annotated[int | None, Flag("N", "Machine")] = Field(
        None, ge=1, description="Processes that train as one on this machine, one a GPU. [default: 1, or torchrun's]"
    )
    nodes: Annotated[int | None, Flag("N", "Machine")] = Field(
        None, ge=1, description="Machines that each start this command. [default: 1, or SLURM's]"
    )
    precision: Annotated[str | None, Flag("auto|32-true|bf16-mixed", "Machine")] = Field(
        None, description="Number format of the training. [default: the recipe's]"
    )
    features: Annotated[str | None, Flag("NAME|FILE", "Training")] = Field(
        None, description="The monitor's network: `synthaug list features`. [default: efficientnet_lite0]"
    )
    name: Annotated[str | None, Flag("NAME", "Run")] = Field(
        None, description="The run's name, after its number. [default: made of family, classes, size and seed]"
    )
    resume: Annotated[Reference, Flag("PATH|auto", "Run")] = Field(
        None,
        description="Continue a run. auto: continue the latest unfinished run of equal configuration, or start one.",
    )
    checkpoint: Annotated[
        str | None, BeforeValidator(lambda value: None if value is None else str(value)), Flag("NAME", "Run")
    ] = Field(
        None,
        description="The checkpoint to continue from, or to start from with --from. [default: the last; the best]",
    )
    from_: Annotated[Reference, Flag("RUN", "Run")] = Field(
        None, description="Start from the weights of an earlier run, which may have other classes."
    )
    preview: Annotated[bool, Flag(group="Output")] = Field(
        False, description="Show samples, losses and time left on a page in the browser, which stays in the run."
    )
    port: Port = None
    strict: Strict = False
    runs: Runs = None
    cache: Cache = None

    def flags(self) -> dict[str, Any]:
        """The given configuration keys, dotted: those of a mapping `set`, then those of single options."""
        keys = {
            "training.budget": self.budget, "model.family": self.family, "training.objective": self.objective,
            "data.resolution": self.resolution, "data.fit": self.fit, "data.group_by": self.group_by, "seed": self.seed,
            "model.source_classes": None if self.source_classes is None else list(self.source_classes),
            "data.conditions": None if self.condition is None else list(self.condition),
            "training.precision": self.precision, "model.scale": self.scale, "model.pairs": self.pairs,
            "monitor.features": self.features,
        }  # fmt: skip
        given = self.set if isinstance(self.set, dict) else {}
        return {**given, **{key: value for key, value in keys.items() if value is not None}}

    def settings(self) -> tuple[str, ...]:
        """The `KEY=VALUE` texts of `set`."""
        return () if isinstance(self.set, dict) else self.set

    def continues(self) -> bool:
        """Whether `resume` names a run. Its own configuration is then used."""
        return self.resume not in (None, "auto")

    def continuing(self, run: Path) -> str:
        """The command that continues this training in its run, to be pasted."""
        own = ("device", "devices", "nodes", "features", "strict", "cache")
        return FitRequest(data=self.data, resume=run, **{name: getattr(self, name) for name in own}).command()

    def _check(self) -> None:
        if self.port is not None and not self.preview:
            raise SynthaugError(f"--port {self.port} is for a page, and there is none", "add --preview")
        if self.checkpoint is not None and self.resume is None and self.from_ is None:
            raise SynthaugError(
                f"--checkpoint {self.checkpoint} was given without a run", "add --resume RUN or --from RUN"
            )
        if self.source_classes == ():
            raise SynthaugError(
                "--source-classes names no class",
                "name classes, as in --source-classes coat,dress, or leave it out for the nearest ones",
            )
        if self.condition == ():
            raise SynthaugError("--condition names no column", "name columns, as in --condition camera,age")
        if not self.continues():
            return
        self._exclusive("resume", "name", "from_")
        fields = (
            "budget",
            "recipe",
            "family",
            "objective",
            "config",
            "resolution",
            "scale",
            "fit",
            "group_by",
            "seed",
            "source_classes",
            "pairs",
            "condition",
        )
        given = [self.option(name) for name in (*fields, "precision") if self._given(name)]
        given += [f"--set {key}" for key in self.set]
        if given:
            raise SynthaugError(
                f"--resume {self.resume} uses the run's own configuration, but {', '.join(given)} was given",
                "leave the other settings out, or start a new run without --resume",
            )
