"""Requests of the commands that make images: export, samples, traverse, upscale, regenerate."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from synthaug.data.plan import Strategy
from synthaug.errors import SynthaugError
from synthaug.requests.base import Flag, Request
from synthaug.requests.options import (
    Balance,
    Cache,
    Checkpoint,
    Decisions,
    Device,
    Inputs,
    Jobs,
    Many,
    Mode,
    NoiseSeed,
    OnlyAccepted,
    Overwrite,
    Port,
    Reference,
    RunName,
    Runs,
    Scheduler,
    TaskBackend,
    Text,
    Truncation,
    Upscaler,
    Where,
    check_decisions,
    workers_of,
)
from synthaug.sampling.options import KEEP, LEAST
from synthaug.storage import place

MOST_IMAGES = 10**9
"""The largest total of a class, and the largest number of a row."""


def _totals(value: Any) -> Any:
    """Read `5000` as a total for all classes, and a list such as `rare=5000`, `other=100` as class → total."""
    if value is None or isinstance(value, (int, float, Mapping)):
        totals = value if isinstance(value, Mapping) else {"": value}
        for name, count in totals.items():
            if count is not None:
                _total(count, f"{name}={count}" if name else str(count))
        return value
    texts = [value] if isinstance(value, str) else list(value)
    found: dict[str, int] = {}
    for text in texts:
        name, equals, number = str(text).rpartition("=")
        if not equals and len(texts) > 1:
            raise SynthaugError(
                f"--per-class {text!r} was given with other totals",
                "give one number for all classes, or NAME=N for each",
            )
        found[name] = _total(number, text)
    return found.get("", found or None)


def _total(number: Any, text: str) -> int:
    if isinstance(number, bool) or not str(number).strip().lstrip("+-").isdecimal():
        raise SynthaugError(
            f"--per-class {text!r} is not a number of images",
            "write it like --per-class 5000 or --per-class rare=5000",
        )
    if int(number) < 1:
        raise SynthaugError(
            f"--per-class {text!r}: a class needs at least one image",
            "give the total that each class should have, such as 5000",
        )
    if int(number) > MOST_IMAGES:
        raise SynthaugError(f"--per-class {text!r} is too many", f"give at most {MOST_IMAGES}")
    return int(number)


def _format(name: str) -> str:
    from synthaug.exporters import FORMATS

    return FORMATS.check(name)


def _picture(path: Path | None) -> Path | None:
    if path is not None and path.suffix.lower() != ".png":
        raise SynthaugError(f"--out {str(path)!r} is not the name of a PNG file", "give a name that ends in .png")
    return path


class ExportRequest(Request):
    """Write a dataset of real and synthetic images."""

    run: RunName = None
    per_class: Annotated[
        int | dict[str, int] | None, BeforeValidator(_totals), Flag("N|NAME=N", "Amount", many=True)
    ] = Field(None, description="Total images of every class, or of one. [default: as many as the largest class has]")
    recommended: Annotated[bool, Flag(group="Amount")] = Field(
        False, description="Add as many synthetic images to each class as `evaluate` recommends."
    )
    out: Annotated[Path | str | None, BeforeValidator(place), Flag("DIR|URL", "Output")] = Field(
        None, description="The folder of the dataset. [default: ./exports/RUN]"
    )
    synthetic_only: Annotated[bool, Flag(group="Amount")] = Field(
        False, description="Write synthetic images only, N of each class."
    )
    cap: Annotated[bool, Flag(group="Amount")] = Field(
        False, description="Drop real images of classes that have more than N."
    )
    strategy: Annotated[Strategy, Flag("all|not majority|not minority|minority|auto", "Amount")] = Field(
        "all", description="Which classes to fill up."
    )
    format: Annotated[str, AfterValidator(_format), Flag("NAME", "Output")] = Field(
        "folder", description="The format: `synthaug list formats`."
    )
    gate: Annotated[bool, Flag(group="Sampling")] = Field(
        True, description="Reject copies, duplicates and images of another class."
    )
    truncation: Truncation = 1.0
    select: Annotated[Literal["drs", "top-k"] | None, Flag("drs|top-k", "Sampling")] = Field(
        None, description="Keep the images that the discriminator finds most real."
    )
    keep: Annotated[float | None, Flag("SHARE", "Sampling")] = Field(
        None, ge=LEAST, le=1, description=f"Share of the images that --select keeps. [default: {KEEP}]"
    )
    mode: Mode = None
    inputs: Inputs = None
    where: Where = ()
    text: Text = None
    balance: Balance = ()
    curation: Decisions = None
    only_accepted: OnlyAccepted = False
    allow_short: Annotated[bool, Flag(group="Amount")] = Field(
        False, description="Continue if a class cannot be filled; the manifest records it."
    )
    size: Annotated[Literal["native", "model"], Flag("native|model", "Output")] = Field(
        "native", description="Size of the synthetic images: like the real ones, or as generated."
    )
    upscaler: Upscaler = None
    link: Annotated[bool, Flag(group="Output")] = Field(
        False, description="Hard-link real images instead of copying them."
    )
    with_heldout: Annotated[bool, Flag(group="Output")] = Field(
        False, description="Add val/ and test/, each with its own metadata.jsonl."
    )
    overwrite: Overwrite = False
    seed: NoiseSeed = None
    checkpoint: Checkpoint = "best"
    runs: Runs = None
    device: Device = "auto"
    cache: Cache = None
    jobs: Jobs = None
    backend: TaskBackend = "loky"
    scheduler: Scheduler = None

    def share_kept(self) -> float:
        """The share of the candidates that `select` keeps; 1 without it."""
        if self.select is None:
            return 1.0
        return KEEP if self.keep is None else self.keep

    def _check(self) -> None:
        workers_of(self)
        check_decisions(self)
        if isinstance(self.out, str) and self.format == "folder":
            raise SynthaugError(
                f"--out {self.out!r} is a URL, and the format 'folder' writes a file for each image",
                "write large files with --format webdataset or --format parquet",
            )
        self._exclusive("synthetic_only", "cap", "link")
        self._exclusive("inputs", "mode")
        self._exclusive("balance", "where")
        self._exclusive("balance", "text")
        if self.upscaler is not None and self.size != "native":
            raise SynthaugError(
                f"--upscaler {self.upscaler} needs --size native, not {self.size}", "leave one of them out"
            )
        self._exclusive("recommended", "per_class", "synthetic_only", "cap", "strategy")
        if self.keep is not None and self.select is None:
            raise SynthaugError(f"--keep {self.keep:g} needs --select", "add --select drs or --select top-k")
        if isinstance(self.per_class, dict) and self.strategy not in ("all", "auto"):
            raise SynthaugError(
                f"--strategy {self.strategy!r} and totals of single classes contradict each other",
                "give one number with a strategy, or leave the strategy out",
            )


class SamplesRequest(Request):
    """Generate a few images."""

    run: RunName = None
    class_: Annotated[str | None, Flag("NAME", "Amount")] = Field(
        None, description="The class to generate images of. [default: all target classes, or those of --inputs]"
    )
    count: Annotated[int, Flag("N", "Amount")] = Field(16, ge=1, le=100_000, description="Images per class.")
    out: Annotated[Path | None, Flag("DIR", "Output")] = Field(None, description="The folder. [default: ./samples/RUN]")
    truncation: Truncation = 1.0
    mode: Mode = None
    inputs: Inputs = None
    where: Where = ()
    text: Text = None
    overwrite: Overwrite = False
    seed: NoiseSeed = None
    checkpoint: Checkpoint = "best"
    runs: Runs = None
    device: Device = "auto"
    cache: Cache = None

    def _check(self) -> None:
        self._exclusive("inputs", "mode")


class TraverseRequest(Request):
    """Draw a walk through the generator's inputs."""

    run: RunName = None
    along: Annotated[str, Flag("codes|noise|classes|COLUMN", "Sampling")] = Field(
        "codes", description="What changes along a row: codes, noise, the class, or a condition of the run."
    )
    where: Where = ()
    text: Text = None
    code: Annotated[int | None, Flag("K", "Sampling")] = Field(
        None, ge=0, le=1000, description="The number of a code, counted from 0, categorical codes first. [default: all]"
    )
    class_: Annotated[str | None, Flag("NAME", "Sampling")] = Field(
        None,
        description="The class to draw, or to start at. [default: the first target class; along classes in a run that "
        "starts from images: its nearest source class]",
    )
    to: Annotated[str | None, Flag("NAME", "Sampling")] = Field(
        None,
        description="The class to end at. [default: the largest other class; in a run that starts from images: the "
        "first target class]",
    )
    rows: Annotated[int, Flag("N", "Amount")] = Field(6, ge=1, le=100, description="Rows, each with its own noise.")
    steps: Annotated[int, Flag("N", "Amount")] = Field(
        9, ge=2, le=100, description="Columns: values of a continuous code, or steps of the walk."
    )
    out: Annotated[Path | None, AfterValidator(_picture), Flag("FILE", "Output")] = Field(
        None, description="The picture. [default: traverse-RUN.png]"
    )
    overwrite: Overwrite = False
    seed: NoiseSeed = None
    checkpoint: Checkpoint = "best"
    runs: Runs = None
    device: Device = "auto"
    cache: Cache = None

    def _check(self) -> None:
        if self.code is not None and self.along != "codes":
            raise SynthaugError(
                f"--code {self.code} and --along {self.along} contradict each other", "leave one of them out"
            )
        if self.to is not None and self.along != "classes":
            raise SynthaugError(
                f"--to {self.to!r} needs a walk along classes, not along {self.along}", "add --along classes"
            )


class UpscaleRequest(Request):
    """Enlarge the images of a folder."""

    run: Annotated[Reference, Flag("RUN", argument=True)] = Field(
        description="The path, name or number of a run of an upscaler (`fit --family srgan`)."
    )
    folder: Annotated[Path, Flag("FOLDER", argument=True)] = Field(
        description="Folder of images, also in folders below it."
    )
    out: Annotated[Path, Flag("DIR", "Output")] = Field(description="The folder of the enlarged images.")
    overwrite: Overwrite = False
    checkpoint: Checkpoint = "best"
    runs: Runs = None
    device: Device = "auto"


class CurateRequest(Request):
    """Accept and reject images by hand."""

    target: Annotated[Reference, Flag("RUN|EXPORT", argument=True)] = Field(
        None, description="A run, or the folder of an export. [default: the latest run]"
    )
    class_: Annotated[tuple[str, ...], Many, Flag("NAME", "Amount", many=True)] = Field(
        (), description="A class to look at. [default: all target classes]"
    )
    count: Annotated[int, Flag("N", "Amount")] = Field(100, ge=1, le=10_000, description="Images of each class.")
    gate: Annotated[bool, Flag(group="Sampling")] = Field(True, description="Leave out what an export would reject.")
    seed: NoiseSeed = None
    checkpoint: Checkpoint = "best"
    port: Port = None
    runs: Runs = None
    device: Device = "auto"
    cache: Cache = None


class RegenerateRequest(Request):
    """Make synthetic images of an export again."""

    manifest: Annotated[Path, Flag("MANIFEST", argument=True)] = Field(
        description="An export's folder, its manifest.json, or its train/metadata.jsonl."
    )
    row: Annotated[tuple[Annotated[int, Field(ge=0, le=MOST_IMAGES)], ...], Many, Flag("N", "Amount", many=True)] = (
        Field((), description="Only this row of train/metadata.jsonl, counted from 0. [default: all]")
    )
    verify: Annotated[bool, Flag(group="Output")] = Field(
        False, description="Fail if an image differs. Without --out, this is always on."
    )
    out: Annotated[Path | None, Flag("DIR", "Output")] = Field(
        None, description="The folder of the images. [default: none is written]"
    )
    runs: Runs = None
    device: Device = "auto"
    cache: Cache = None
