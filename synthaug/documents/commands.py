"""The documents of all commands but `check` and `evaluate`."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field

from synthaug.documents.base import Document
from synthaug.documents.conditions import CombinationPlan


class ClassCount(Document):
    count: int
    share: float


class Unreadable(Document):
    path: str
    reason: str


class Mirroring(Document):
    """Whether the classes survive mirroring: what `--recipe auto` sets `training.flip` to."""

    allowed: bool
    reason: str


class SeriesProposal(Document):
    """Series that the file names show and the images confirm."""

    group_by: str = Field(description="for --group-by")
    groups: int
    reason: str
    warning: str = ""


class TrainingProposal(Document):
    """What `--recipe auto` chooses for these images on a CPU, and a budget for a first training."""

    resolution: int
    resolution_reason: str
    channels: int
    budget: str
    budget_reason: str


class ColumnSummary(Document):
    """A column of the metadata table beside the label."""

    kind: Literal["words", "numbers"]
    values: dict[str, int] = Field(description="value, or range of a number → training images")


class RareCombination(Document):
    """A class and a value that are seldom together, or never."""

    label: str
    column: str
    value: str
    images: int = Field(description="training images with both")
    expected: float = Field(description="how many there would be if the class and the column had nothing in common")


class InspectDocument(Document):
    """What `synthaug inspect` found in a folder."""

    data: str
    layout: Literal["classes", "splits", "metadata", "shards"]
    images: int
    classes: dict[str, ClassCount]
    splits: dict[str, dict[str, int]] = Field(description="split → class → images; empty for an unsplit folder")
    imbalance_ratio: float = Field(description="largest class ÷ smallest class")
    sizes: dict[str, int] = Field(description='"WIDTHxHEIGHT" → images, most frequent first')
    channels: dict[str, int] = Field(description="colour mode (L, RGB, RGBA, P, CMYK, I;16, …) → images")
    formats: dict[str, int]
    unreadable: list[Unreadable]
    ignored: list[str] = Field(description="files and folders that hold no labelled image")
    duplicates: list[list[str]] = Field(description="groups of files with equal pixels")
    near_duplicates: list[list[str]] = Field(description="groups of similar images; each group stays in one split")
    conflicting_labels: list[list[str]] = Field(description="groups of files with equal pixels and different labels")
    targets: list[str] = Field(description="classes proposed for --target-class")
    columns: dict[str, ColumnSummary] = Field(
        default_factory=dict, description="columns of the metadata table with 2 to 20 values, or numbers"
    )
    rare_combinations: list[RareCombination] = Field(
        default_factory=list, description="the rarest first, compared with what is expected"
    )
    mirroring: Mirroring
    series: SeriesProposal | None = Field(None, description="null: no series found, or --group-by was given")
    training: TrainingProposal
    command: str = Field(description="the proposed next command")
    warnings: list[str] = Field(
        default_factory=list, description="problems with the data, also those for which `fit` would refuse it"
    )


class MonitorScores(Document):
    """Scores of one class (or of all, pooled) at one point of the training."""

    kid: float | None = None
    coverage: float | None = None
    samples: int = 0
    reference: Literal["val", "train", "pooled val"] = "val"


class UpscalingScores(Document):
    """Held-out images that were reduced and enlarged again, compared with the real ones: means over the images."""

    psnr: float = Field(description="dB")
    ssim: float
    distance: float = Field(description="between the features of `monitor.features`")
    bicubic_psnr: float = Field(description="the same for bicubic interpolation")
    bicubic_ssim: float
    bicubic_distance: float
    images: int

    @property
    def better(self) -> bool:
        """Whether the upscaler beats bicubic interpolation: in pixels and in features."""
        return self.psnr > self.bicubic_psnr and self.distance < self.bicubic_distance

    def text(self) -> str:
        """The scores in a sentence."""
        return (
            f"PSNR {self.psnr:.2f} dB (bicubic {self.bicubic_psnr:.2f}), SSIM {self.ssim:.3f} "
            f"({self.bicubic_ssim:.3f}), feature distance {self.distance:.3f} ({self.bicubic_distance:.3f}) on "
            f"{self.images} held-out images"
        )


class FitDocument(Document):
    """What `synthaug fit` made."""

    run: str
    kimg: float
    seconds: float
    images_per_second: float
    best_checkpoint: str
    diverged: str | None = Field(None, description="why training ended before its budget; null if it did not")
    targets: list[str]
    split: dict[str, dict[str, int]] = Field(description="train, val, test → class → images")
    monitor: dict[str, MonitorScores] = Field(description="class or `pooled` → scores of the best checkpoint")
    upscaling: UpscalingScores | None = Field(None, description="scores of the best checkpoint of an upscaler")


class UpscaledFakes(Document):
    """What an upscaler makes of images of the generator, which are no reduced photographs."""

    images: int
    difference: float = Field(description="mean difference in grey levels from the generator's image, reduced again")
    sharpness: float = Field(description="median, ÷ that of real images of that size")
    bicubic_sharpness: float = Field(description="the same for bicubic interpolation")

    @property
    def better(self) -> bool:
        """Whether it keeps the image, and comes nearer to the sharpness of real images than bicubic interpolation."""
        ours, bicubic = (abs(math.log(ratio)) for ratio in (self.sharpness, self.bicubic_sharpness))
        return self.difference <= 1 and ours < bicubic

    def text(self) -> str:
        """The scores in a sentence."""
        return (
            f"on {self.images} generated images its sharpness is {self.sharpness:.2f} times that of real ones (bicubic "
            f"{self.bicubic_sharpness:.2f}), and reduced again they differ by {self.difference:.2f} grey levels"
        )


class UpscalerReference(Document):
    """The upscaler of an export."""

    name: str
    path: str
    checkpoint: str
    checkpoint_sha256: str
    scale: int
    used: bool = Field(description="false: it does not beat bicubic interpolation, which was used instead")
    scores: UpscalingScores
    on_fakes: UpscaledFakes | None = Field(None, description="in an export that uses it; decides nothing")

    def text(self) -> str:
        """What it did, and why."""
        did = "is used" if self.used else "does not beat bicubic interpolation, which is used instead"
        fakes = f"; {self.on_fakes.text()}" if self.on_fakes is not None else ""
        return f"the upscaler {self.name!r} {did}: {self.scores.text()}{fakes}"


class ByHand(Document):
    """Decisions of a person about images of a class (`synthaug curate`)."""

    accepted: int
    rejected: int

    def __bool__(self) -> bool:
        return self.accepted + self.rejected > 0

    def text(self) -> str:
        """Both numbers in words."""
        return f"{self.accepted:,} accepted and {self.rejected:,} rejected by hand"


class CuratedClass(Document):
    """The images of a class on the page of `synthaug curate`."""

    shown: int
    accepted: int
    rejected: int


class CurateDocument(Document):
    """What was decided on the page of `synthaug curate`, in this call and before it."""

    run: str
    decisions: str = Field(description="the file that keeps the decisions")
    per_class: dict[str, CuratedClass]
    checkpoint: str
    seed: int


class ExportedCombination(CombinationPlan):
    """A combination as it was exported."""

    synthetic: int


class ExportedClass(Document):
    asked: int
    real: int
    synthetic: int
    rejected: dict[str, int] = Field(default_factory=dict, description="reason → rejected candidates")
    short: int = 0
    by_hand: ByHand | None = Field(None, description="of these images and of those left out; null: nobody decided")
    enlarged: float | None = Field(
        None, description="how many times synthetic images are enlarged (median); null for a class without them"
    )
    sources: int | None = Field(
        None, description="different real images (or maps) that synthetic ones were made from, if any"
    )
    combinations: list[ExportedCombination] = Field(
        default_factory=list, description="with `--balance`: images of each combination of conditions"
    )


class ExportDocument(Document):
    """What `synthaug export` wrote; also in `manifest.json`, with relative paths and without the speed."""

    out: str
    per_class: dict[str, ExportedClass]
    manifest: str
    upscaler: UpscalerReference | None = Field(None, description="that of `--upscaler`; in `manifest.json` at its root")
    images_per_second: float | None = Field(description="synthetic images generated, checked and written per second")


class SamplesDocument(Document):
    """What `synthaug samples` wrote."""

    out: str
    per_class: dict[str, list[str]] = Field(description="class → files, relative to `out`")
    grid: str = Field(description="one picture with all images, relative to `out`")
    checkpoint: str
    seed: int
    truncation: float = Field(1.0, description="ψ: factor on the distance of each latent from the centre of its class")
    where: dict[str, str] = Field(default_factory=dict, description="column → value that was asked for")
    extrapolated: list[str] = Field(
        default_factory=list, description="classes of which no training image has these values"
    )


class UpscaleDocument(Document):
    """What `synthaug upscale` wrote."""

    out: str
    images: int
    scale: int
    checkpoint: str
    scores: UpscalingScores | None = Field(description="on held-out images of the run; null: the checkpoint has none")
    unreadable: list[Unreadable] = Field(default_factory=list)


class TraverseDocument(Document):
    """What `synthaug traverse` drew."""

    out: str
    along: str = Field(
        "codes", description="what changes along a row of the picture: codes, noise, classes, or a condition"
    )
    label: str = Field(description="the class; in a walk along classes, the first one")
    to: str | None = Field(None, description="in a walk along classes, the last class")
    codes: dict[str, list[float]] = Field(description="code → its values, one for each column")
    places: list[float] = Field(
        default_factory=list, description="position of each column from 0 to 1, in a walk along noise or classes"
    )
    values: list[str] = Field(default_factory=list, description="of each column, in a walk along a condition")
    where: dict[str, str] = Field(default_factory=dict, description="column → value that was asked for")
    extrapolated: list[str] = Field(
        default_factory=list, description="those of `values` that no training image of the class has"
    )
    rows: int = Field(description="number of rows (for each code); each has its own noise")
    checkpoint: str
    seed: int


class Mismatch(Document):
    """A synthetic image that could not be regenerated."""

    row: int
    file_name: str
    reason: str


class RegenerateDocument(Document):
    """What `synthaug regenerate` made, and whether it equals the export."""

    manifest: str
    rows: int = Field(description="number of regenerated images")
    equal: int = Field(description="how many of them are equal bit for bit")
    close: int = Field(
        description="how many others are within one grey level (after a change of device or library version)"
    )
    different: list[Mismatch]
    device: str
    out: str | None = None


class RecipeDocument(Document):
    """A recipe: the head of its file, its text, and the resulting configuration."""

    name: str
    purpose: str = ""
    cost: str = ""
    run: str = ""
    text: str
    config: dict[str, Any]


class RecipesDocument(Document):
    """What `synthaug recipes ls` lists."""

    recipes: dict[str, RecipeDocument]


class TableDocument(Document):
    """What `synthaug list KIND` lists: name → one line."""

    kind: str
    entries: dict[str, str]


class GuessForGPU(Document):
    """What a training would cost on a GPU: a guess from its arithmetic, because nothing was measured on one."""

    images_per_second: float
    seconds: float
    gigaflops_per_image: float = Field(description="10⁹ floating-point operations of a step, for each of its images")
    teraflops_per_second: float = Field(description="10¹² operations a second: the speed that is assumed")
    memory_megabytes: float | None = Field(description="of the GPU, in float32; bfloat16 needs less. null: unknown")


class FitPlan(Document):
    """What `synthaug fit --dry-run` would do; nothing is written."""

    data: str
    images: int
    split: dict[str, dict[str, int]] = Field(description="train, val, test → class → images")
    targets: list[str]
    draws: dict[str, float] = Field(description="class → share of the training batches")
    channels: int
    device: str
    precision: str
    parameters: dict[str, int] = Field(description="generator, discriminator → trainable parameters")
    config: dict[str, Any] = Field(description="dotted key → value")
    origins: dict[str, str] = Field(description="dotted key → where the value comes from")
    estimated_seconds: float = Field(description="from the speed of a few steps on this device")
    estimated_kimg: float
    estimated_megabytes: float = Field(description="on disk, for the run's checkpoints and the decoded images")
    memory_megabytes: float | None = Field(description="of the device, at the peak of a step; null: unknown")
    guess_for_gpu: GuessForGPU | None = Field(description="null where the steps ran on a GPU: all numbers are measured")
    warnings: list[str] = Field(default_factory=list)
