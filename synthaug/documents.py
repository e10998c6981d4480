"""The JSON documents that the commands print with `--json` and leave in run and export folders.

Every number that could not be measured is null, and `reasons` says why.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Verdict = Literal["helps", "no measurable effect", "hurts"]
Collapse = Literal["healthy", "thinning", "collapsed", "insufficient data"]
Memorisation = Literal["clear", "suspect", "copying", "insufficient held-out data"]


class Document(BaseModel):
    """Base of all documents."""

    model_config = ConfigDict(extra="forbid")


class ClassCount(Document):
    count: int
    share: float


class Unreadable(Document):
    path: str
    reason: str


class InspectDocument(Document):
    """What `synthaug inspect` found in a folder."""

    data: str
    layout: Literal["classes", "splits", "metadata"]
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
    near_duplicates: list[list[str]] = Field(description="groups that look alike and are kept in one split")
    conflicting_labels: list[list[str]] = Field(description="groups with equal pixels in more than one class")
    targets: list[str] = Field(description="classes proposed for --target-class")
    recipe: str
    command: str = Field(description="the proposed next command")
    warnings: list[str] = Field(
        default_factory=list, description="what `fit` would refuse, or what a person should know"
    )


class MonitorScores(Document):
    """Scores of one class (or of all, pooled) at one point of the training."""

    kid: float | None = None
    coverage: float | None = None
    samples: int = 0
    reference: Literal["val", "train", "pooled val"] = "val"


class FitDocument(Document):
    """What `synthaug fit` made."""

    run: str
    kimg: float
    seconds: float
    images_per_second: float
    best_checkpoint: str
    diverged: str | None = Field(None, description="why the training ended before its budget; null if it did not")
    targets: list[str]
    split: dict[str, dict[str, int]] = Field(description="train, val, test → class → images")
    monitor: dict[str, MonitorScores] = Field(description="class, or `pooled`, at the best checkpoint")


class ExportedClass(Document):
    asked: int
    real: int
    synthetic: int
    rejected: dict[str, int] = Field(default_factory=dict, description="reason → candidates turned away")
    short: int = 0


class ExportDocument(Document):
    """What `synthaug export` wrote; also inside `manifest.json`, with paths relative to it and without the speed."""

    out: str
    per_class: dict[str, ExportedClass]
    manifest: str
    images_per_second: float | None = Field(description="synthetic images generated, judged and written in a second")


class SamplesDocument(Document):
    """What `synthaug samples` wrote."""

    out: str
    per_class: dict[str, list[str]] = Field(description="class → files, relative to `out`")
    grid: str = Field(description="one picture of all of them, relative to `out`")
    checkpoint: str
    seed: int
    truncation: float = Field(1.0, description="ψ: the share of each image's distance from its class's centre")


class TraverseDocument(Document):
    """What `synthaug traverse` drew."""

    out: str
    along: Literal["codes", "noise", "classes"] = Field("codes", description="what changes along a line")
    label: str = Field(description="the class, or the one where a walk along classes begins")
    to: str | None = Field(None, description="where it ends")
    codes: dict[str, list[float]] = Field(description="code → its values, one a column")
    places: list[float] = Field(
        default_factory=list, description="shares of the way along noise or classes, one a column"
    )
    rows: int = Field(description="lines (of each code), each with a noise of its own")
    checkpoint: str
    seed: int


class Mismatch(Document):
    """A synthetic image that could not be made again."""

    row: int
    file_name: str
    reason: str


class RegenerateDocument(Document):
    """What `synthaug regenerate` made again, and whether it is the same."""

    manifest: str
    rows: int = Field(description="synthetic images made again")
    equal: int = Field(description="of them, with the same pixels bit for bit")
    close: int = Field(description="of them, within one grey level (another device or library version)")
    different: list[Mismatch]
    device: str
    out: str | None = None


class Interval(Document):
    mean: float
    low: float
    high: float
    per_seed: list[float] = Field(default_factory=list)


class ClassScores(Document):
    precision: float
    recall: float
    f1: float
    average_precision: float


class Arm(Document):
    """One training regime of the classifier. Scores are on the test images; `confusion` is summed over the seeds."""

    share: float = Field(description="of the draws of each class of the mix; with folds, their mean")
    shares: list[float] = Field(default_factory=list, description="of each fold; empty without folds")
    steps: int | None
    macro_f1: Interval
    balanced_accuracy: Interval
    geometric_mean: Interval
    per_class: dict[str, ClassScores]
    f1_per_seed: dict[str, list[float]] = Field(description="class → F1 of each seed, paired over arms")
    confusion: list[list[int]] = Field(description="rows: true class, columns: predicted, in the order of `classes`")


class Contrast(Document):
    """Difference of two arms, paired over seeds, with the 95% interval of DESIGN §6.4."""

    mean: float
    low: float
    high: float
    p_value: float | None = None


class TargetVerdict(Document):
    verdict: Verdict
    contrasts: dict[str, Contrast]
    best_control: str
    against_best: dict[str, Contrast] = Field(
        default_factory=dict, description="synthetic arm → its difference to the best control"
    )
    helping: str | None = Field(None, description="the contrast whose arm beats every control, the surer one of two")
    smallest_detectable: float
    real_image_equivalents: str | None = None
    reason: str


class VerdictDocument(Document):
    overall: Verdict
    sentence: str = Field(description="the verdict as a person would say it")
    per_target: dict[str, Verdict] = Field(description="corrected for their number (Holm)")
    details: dict[str, TargetVerdict] = Field(description="target class, and `macro-F1`")
    contrasts: dict[str, Contrast] = Field(description="on the mean F1 of the target classes")
    best_control: str
    against_best: dict[str, Contrast] = Field(
        default_factory=dict, description="synthetic arm → its difference to the best control"
    )
    missing_controls: list[str] = Field(
        default_factory=list, description="controls that were not trained; with any, nothing is said to help"
    )
    smallest_detectable: float
    real_image_equivalents: str | None = None
    caveats: list[str] = Field(default_factory=list)


class CurvePoint(Document):
    """F1 of the control with this many real images of the class."""

    images: int
    mean: float
    low: float
    high: float
    per_seed: list[float] = Field(default_factory=list)


class TargetCurve(Document):
    """The learning curve of one class, F1 = ceiling − drop · n^(−exponent), and what the gain is worth on it."""

    points: list[CurvePoint]
    fitted: list[float] = Field(description="of the power law, at the points")
    ceiling: float
    drop: float
    exponent: float
    gain: float = Field(description="F1 that the synthetic images gained over the control")
    more_images: float | None = Field(None, description="real images that would have given the same; null: see worth")
    more_images_low: float | None = None
    more_images_high: float | None = Field(None, description="null: beyond the curve")
    worth: str


class LearningCurve(Document):
    """`evaluate --learning-curve`: the control with fewer real images of the target classes."""

    contrast: str
    arm: str
    control: str
    per_target: dict[str, TargetCurve]


class Recommendation(Document):
    """How many synthetic images of a class to export; `export --recommended` follows it."""

    real: int = Field(description="real training images of the class")
    synthetic: int
    share: float = Field(description="synthetic ÷ all images of the class, after rounding")
    arm: str = Field(description="the synthetic arm that it was judged by")
    chosen_on: Literal["val", "default", "user", "test"] = Field(description="test only ever says none")
    reason: str


class Range(Document):
    """An estimate with the spread of its subsamples."""

    mean: float
    low: float
    high: float


class BiasRow(Document):
    """One thing that the synthetic images of a class may change, in standard deviations of the real images."""

    name: str = Field(description='"brightness", "contrast", "saturation", "red", "object size", "cluster 3 of 12", …')
    real: float = Field(description="mean of the real images; of a cluster, its share")
    synthetic: float = Field(description="mean of the synthetic images; of a cluster, its share")
    difference: Range = Field(description="(synthetic − real) ÷ standard deviation of the real images, with 95% range")
    floor: Range | None = Field(None, description="the same difference of other real images, with 95% range")
    beyond: bool = Field(False, description="more than chance and the floor explain (5% for all rows of the class)")
    example: str | None = Field(None, description="of a cluster: the training image nearest to its middle")


class QualityScores(Document):
    """How good synthetic images are, beside what real images score against real ones.

    `x_range` is the 95% interval of `x`, from half-samples without replacement unless `x` is a share of images.
    `x_floor` is what real images score against real ones at the same number of images.
    """

    n_real: int
    n_synthetic: int
    n_compared: int = Field(0, description="images on each side of KID, FID, precision, recall, density and coverage")
    n_diversity: int = Field(0, description="images on each side of the Vendi and duplicate scores")
    kid: Range | None = None
    kid_floor: Range | None = None
    fid: float | None = Field(
        None, description="at n_compared images; inflated below some 2,000: compare it at the same number only"
    )
    fid_range: Range | None = None
    fid_floor: Range | None = None
    precision: float | None = None
    precision_range: Range | None = None
    precision_floor: Range | None = None
    recall: float | None = None
    recall_range: Range | None = None
    recall_floor: Range | None = None
    density: float | None = None
    density_range: Range | None = None
    density_floor: Range | None = None
    coverage: float | None = None
    coverage_range: Range | None = None
    coverage_floor: Range | None = None
    vendi_ratio: float | None = None
    vendi_range: Range | None = None
    vendi_floor: Range | None = None
    pairwise_ratio: float | None = None
    pairwise_range: Range | None = None
    pairwise_floor: Range | None = None
    ms_ssim_ratio: float | None = Field(
        None, description="likeness of two synthetic images ÷ that of two real ones (MS-SSIM); above 1 is less varied"
    )
    ms_ssim_range: Range | None = None
    ms_ssim_floor: Range | None = None
    duplicate_rate: float | None = None
    duplicate_range: Range | None = None
    duplicate_floor: float | None = None
    duplicate_floor_range: Range | None = None
    agreement: float | None = Field(
        None, description="share of samples that a simple classifier of real features gives to this class"
    )
    agreement_range: Range | None = None
    agreement_floor: Range | None = Field(None, description="the same share of real images, cross-validated")
    detect_auc: float | None = Field(
        None, description="of a classifier told real from synthetic: 0.5 cannot, 1 always can"
    )
    detect_auc_range: Range | None = None
    detect_auc_floor: Range | None = Field(None, description="the same classifier told two sets of real images")
    gan_train: float | None = Field(
        None, description="recall on held-out real images of a classifier trained on synthetic ones"
    )
    gan_train_range: Range | None = None
    gan_train_floor: Range | None = Field(None, description="the same, trained on as many real images")
    gan_test: float | None = Field(None, description="recall on synthetic images of a classifier trained on real ones")
    gan_test_range: Range | None = None
    gan_test_floor: Range | None = Field(None, description="the same classifier's recall on held-out real images")


class ClassQuality(QualityScores):
    """How good the synthetic images of one class are, and the verdicts on it."""

    missed_clusters: str | None = Field(None, description='such as "3 of 12"')
    missed_clusters_floor: Range | None = Field(
        None,
        description="how many of as many clusters new real images miss: those of one half of the real images that the "
        "other half misses, over draws of the halves; null below 32 real images",
    )
    bias: list[BiasRow] = Field(
        default_factory=list, description="what the synthetic images change, the largest change first"
    )
    dcr: Range | None = Field(
        None, description="synthetic→train distance ÷ held-out→train distance, medians; below 1 is closer than real"
    )
    authenticity: float | None = Field(
        None, description="share of samples farther from their nearest training image than that is from its next one"
    )
    authenticity_range: Range | None = None
    authenticity_floor: Range | None = Field(None, description="the same share of held-out real images")
    c_t: float | None = Field(
        None, description="z-score of the distances to the training images; below −3 is nearer than held-out images are"
    )
    c_t_floor: Range | None = Field(
        None,
        description="of unseen real images: a standard normal, whatever the class and the numbers of images, so 0 and "
        "±1.96; images that come in groups, several of one subject, spread more",
    )
    collapse: Collapse = "insufficient data"
    memorisation: Memorisation = "insufficient held-out data"
    reasons: list[str] = Field(default_factory=list)


class CopyPair(Document):
    """A synthetic image and the training image nearest to it in feature space."""

    label: str
    synthetic: str
    train: str
    distance: float
    mirrored: bool = Field(False, description="the training image was flipped left to right for the comparison")


class CheckDocument(Document):
    """What `synthaug check` measured; `evaluate` holds it as `quality`."""

    per_class: dict[str, ClassQuality]
    pooled: QualityScores | None = Field(
        None, description="all judged classes together, each with as many real as synthetic images"
    )
    features: str = Field(description="name and hash of the feature net that judged")
    reference: Literal["test", "val", "train", "folder"]
    gated: bool
    worst_pairs: list[CopyPair] = Field(default_factory=list)


class EvaluateDocument(Document):
    """What `synthaug evaluate` found; written as `report.json`."""

    run: str | None = Field(description="null: no run of ours, `--data DATA --synthetic DIR`")
    data: str
    synthetic: str = Field(description='where the synthetic images came from: "fresh gated samples of RUN" or a folder')
    folds: int | None = Field(
        None, description="each real image is a test image in one of so many folds; null: one test set, kept apart"
    )
    fold_runs: list[str] = Field(default_factory=list, description="the run of each fold, relative to the run's folder")
    classifier: str
    seeds: int
    classes: list[str]
    targets: list[str]
    split: dict[str, dict[str, int]] = Field(
        description="train, val, test → class → images; with folds, train and val are those of the first fold"
    )
    mix: Literal["targets", "all"] = Field(
        "targets", description="which classes get synthetic images in the synthetic arms"
    )
    share_chosen_on: Literal["val", "default", "user"]
    arms: dict[str, Arm]
    verdict: VerdictDocument
    recommended: dict[str, Recommendation] = Field(
        default_factory=dict, description="class of the mix → what to export"
    )
    learning_curve: LearningCurve | None = None
    quality: CheckDocument = Field(description="the export's images, gated")
    generator_quality: CheckDocument | None = Field(None, description="the generator's images, ungated")
    warnings: list[str] = Field(default_factory=list)
    seconds: float
    report: str


class RecipeDocument(Document):
    """A recipe: what the head of its file says, its text, and the configuration that it gives."""

    name: str
    purpose: str = ""
    cost: str = ""
    run: str = ""
    text: str
    config: dict[str, Any]


class RecipesDocument(Document):
    """What `synthaug recipes ls` lists."""

    recipes: dict[str, RecipeDocument]


class RunDocument(Document):
    """A run directory as its files describe it."""

    run: str
    state: str = Field(description="running, finished, interrupted, failed, or broken with the reason")
    kimg: float | None = None
    updated: str | None = None
    data: str | None = None
    classes: list[str] = Field(default_factory=list)
    targets: list[str] = Field(default_factory=list)
    family: str | None = None
    resolution: int | None = None
    seed: int | None = None
    checkpoints: list[str] = Field(default_factory=list)


class RunsDocument(Document):
    """What `synthaug runs ls` lists, newest first."""

    root: str
    runs: list[RunDocument]


class PruneDocument(Document):
    """What `synthaug runs prune` removed, or would remove."""

    root: str
    runs: list[str]
    bytes: int
    removed: bool


class TableDocument(Document):
    """What `synthaug list KIND` lists: name → one line."""

    kind: str
    entries: dict[str, str]


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
    warnings: list[str] = Field(default_factory=list)
