"""The document of `synthaug evaluate`: the arms, the verdict, the recommended export."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from synthaug.documents.base import Document
from synthaug.documents.commands import ByHand, UpscalerReference
from synthaug.documents.quality import CheckDocument, Range
from synthaug.errors import plural

Verdict = Literal["helps", "no measurable effect", "hurts"]


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
    """One way to train the classifier. Scores are on the test images; `confusion` is summed over seeds."""

    share: float = Field(
        description="share of the draws of each class in the mix that are synthetic images, or, in the arms `down-up`, "
        "real ones reduced and enlarged; with folds, the mean",
    )
    shares: list[float] = Field(default_factory=list, description="the share in each fold; empty without folds")
    steps: int | None
    macro_f1: Interval
    balanced_accuracy: Interval
    geometric_mean: Interval
    per_class: dict[str, ClassScores]
    f1_per_seed: dict[str, list[float]] = Field(description="class → F1 of each seed, paired over arms")
    confusion: list[list[int]] = Field(description="rows: true class, columns: predicted, in the order of `classes`")


class Contrast(Document):
    """Difference of two arms, paired over seeds, with a 95% interval that combines seed and test-set variance."""

    mean: float
    low: float
    high: float
    p_value: float | None = None

    def text(self) -> str:
        """The difference with its interval."""
        return f"{self.mean:+.3f} ({self.low:+.3f} to {self.high:+.3f})"


class TargetVerdict(Document):
    verdict: Verdict
    contrasts: dict[str, Contrast]
    best_control: str
    against_best: dict[str, Contrast] = Field(
        default_factory=dict, description="synthetic arm → its difference to the best control"
    )
    helping: str | None = Field(None, description="the contrast whose arm beats every control")
    smallest_detectable: float | None = Field(
        None, description="the gain over the best control that is found in 80% of cases; null: none is"
    )
    real_image_equivalents: str | None = None
    reason: str


class LongerTraining(Document):
    """The best control, trained for more steps than all other arms; on the mean F1 of the target classes."""

    control: str
    times: int = Field(description="its steps ÷ those of the other arms")
    gain: Contrast = Field(description="its difference to the same control with the usual steps")
    against: dict[str, Contrast] = Field(description="synthetic arm → the arm's difference to it")


class VerdictDocument(Document):
    overall: Verdict
    sentence: str = Field(description="the verdict with its numbers, in one sentence")
    per_target: dict[str, Verdict] = Field(description="target class → verdict, with Holm's correction")
    details: dict[str, TargetVerdict] = Field(description="target class, and `macro-F1`")
    contrasts: dict[str, Contrast] = Field(description="on the mean F1 of the target classes")
    best_control: str
    best_control_chosen_on: Literal["val", "test"] = Field(
        "test",
        description="`val`: an arm must beat this control and those of `contrasts` to help; `test`: every control",
    )
    against_best: dict[str, Contrast] = Field(
        default_factory=dict, description="synthetic arm → its difference to the best control"
    )
    missing_controls: list[str] = Field(
        default_factory=list, description="controls that were not trained; if there are any, no verdict is `helps`"
    )
    smallest_detectable: float | None = Field(
        None, description="the gain over the best control that is found in 80% of cases; null: none is"
    )
    real_image_equivalents: str | None = None
    longer: LongerTraining | None = Field(None, description="null if the arm `longer` was not trained")
    caveats: list[str] = Field(default_factory=list)


class CurvePoint(Document):
    """F1 of the control with this many real images of the class."""

    images: int
    mean: float
    low: float
    high: float
    per_seed: list[float] = Field(default_factory=list)


class TargetCurve(Document):
    """The learning curve of one class, F1 = ceiling − drop · n^(−exponent), and the gain in real images."""

    points: list[CurvePoint]
    fitted: list[float] = Field(description="the power law at the points")
    ceiling: float
    drop: float
    exponent: float
    gain: float = Field(description="gain in F1 of the synthetic arm over the control")
    more_images: float | None = Field(
        None, description="further real images that would gain as much; null: see `worth`"
    )
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
    arm: str = Field(description="the synthetic arm behind the recommendation")
    chosen_on: Literal["val", "default", "user", "test"] = Field(
        description="where the share comes from; `test` only if no images are recommended"
    )
    reason: str


class Suspect(Document):
    """A test image that looks like a copy: mirrored, moved, turned, cropped, brightened or recompressed."""

    test: str
    label: str
    like: str = Field(description="the image that it looks like a copy of")
    source: Literal["train", "val", "synthetic"] = Field(description="where that image is from")
    nearness: float = Field(description="0: the same after alignment; from 1 on it would be no suspect")


class Leaks(Document):
    """The suspects among the test images, the nearest first."""

    suspects: list[Suspect]
    verdict: VerdictDocument | None = Field(
        None, description="without these test images; null: a target class has no other ones"
    )


class EvaluatedSize(Document):
    """The size at which classifiers saw real and synthetic images, and so the size of which the verdict holds."""

    asked: Literal["model", "native"] | int
    pixels: int = Field(description="side of the square images that classifiers saw")
    generator: int = Field(description="side of the images that the generator makes")
    real: int = Field(description="typical (median) shorter side of the real training images")
    enlarged: float = Field(description="how many times `export --size native` enlarges an image (median)")
    upscaler: UpscalerReference | None = Field(None, description="the upscaler that was asked for")


class Sharpness(Document):
    """Whether sharpness alone tells synthetic images of a class from held-out real ones."""

    auc: Range = Field(description="share of pairs in which the real image is sharper, with 95% interval; 0.5: chance")
    floor: Range | None = Field(None, description="the same for real training images in place of the synthetic ones")
    told_apart: bool


class MadeFrom(Document):
    """What stands behind the synthetic images of a class: their variety is limited by it."""

    images: int = Field(description="synthetic images")
    sources: int = Field(description="different real images that these were made from")

    def text(self) -> str:
        return f"{plural(self.images, 'image')} from {plural(self.sources, 'real image')}"


class ChangedImage(Document):
    """A test image that one arm recognises and the other does not."""

    test: str
    label: str
    before: str = Field(description="the class that most classifiers without synthetic images take it for")
    after: str = Field(description="the same with synthetic images")
    right_before: int = Field(description="how many classifiers without synthetic images are right")
    right_after: int


class ChangedImages(Document):
    """What the best control and a synthetic arm do differently. An arm recognises an image if most classifiers do."""

    before: str = Field(description="the best control")
    after: str = Field(description="the synthetic arm")
    classifiers_before: int = Field(description="seeds")
    classifiers_after: int = Field(description="seeds, times generators")
    right: int = Field(description="number of test images that are newly right")
    wrong: int
    newly_right: list[ChangedImage] = Field(description="the first of them, those that concern a target class first")
    newly_wrong: list[ChangedImage]


class CombinationDocument(Document):
    """The target classes on the test images that have these values in the columns of `evaluate --by`."""

    values: dict[str, str] = Field(description="column → value, or the range of a number")
    images: int = Field(description="test images with these values, of all classes")
    targets: dict[str, int] = Field(description="target class → test images with these values; those that have some")
    before: float = Field(description="mean F1 of these target classes with the best control, on these images alone")
    after: float = Field(description="the same with the synthetic arm of the report")
    gain: Contrast | None = Field(
        description="the difference, not corrected for the number of combinations; null: a target class has one group"
    )

    def name(self) -> str:
        """The values in words."""
        return ", ".join(f"{column} {value}" for column, value in self.values.items())


class NextStep(Document):
    """What to do after the evaluation."""

    sentence: str
    command: str


class EvaluateDocument(Document):
    """The result of `synthaug evaluate`; written as `report.json`."""

    run: str | None = Field(
        description="its folder; null for images of another generator, `--data DATA --synthetic DIR`"
    )
    data: str
    synthetic: str = Field(description='origin of the synthetic images: "fresh gated samples of RUN" or a folder')
    folds: int | None = Field(
        None, description="number of folds; each real image is a test image in one of them; null: one held-out test set"
    )
    fold_runs: list[str] = Field(default_factory=list, description="the run of each fold, relative to the run's folder")
    generators: list[str] = Field(
        default_factory=list,
        description="the runs, if several generators of one split were judged; the intervals contain what differs",
    )
    classifier: str
    seeds: int
    classes: list[str]
    targets: list[str]
    split: dict[str, dict[str, int]] = Field(
        description="train, val, test → class → images; with folds, train and val are those of the first fold"
    )
    size: EvaluatedSize | None = Field(None, description="null in documents of versions before this key")
    sharpness: dict[str, Sharpness] = Field(
        default_factory=dict, description="target class → comparison, at the size of the evaluation"
    )
    mix: Literal["targets", "all"] = Field(
        "targets", description="which classes get synthetic images in the synthetic arms"
    )
    made_from: dict[str, MadeFrom] = Field(
        default_factory=dict,
        description="class of the mix → its synthetic images and their sources, with folds or several generators those "
        "of the first; empty for images from noise",
    )
    extrapolated: dict[str, int] = Field(
        default_factory=dict,
        description="class of the mix → its synthetic images with conditions that no training image of it has",
    )
    by_hand: dict[str, ByHand] = Field(
        default_factory=dict, description="class of the mix → decisions by hand that were followed"
    )
    share_chosen_on: Literal["val", "default", "user"]
    arms: dict[str, Arm]
    verdict: VerdictDocument
    changed: ChangedImages | None = Field(
        None, description="test images newly right and newly wrong; null in documents of versions before this key"
    )
    balance: list[str] = Field(
        default_factory=list, description="columns whose rarest combinations the synthetic images fill up"
    )
    combinations: list[CombinationDocument] = Field(
        default_factory=list, description="with `--by`: parts of the test images, the worst one first"
    )
    leaks: Leaks | None = Field(None, description="test images that look like copies; null: none was found")
    recommended: dict[str, Recommendation] = Field(
        default_factory=dict, description="class of the mix → what to export"
    )
    learning_curve: LearningCurve | None = None
    quality: CheckDocument = Field(description="the export's images, gated")
    generator_quality: CheckDocument | None = Field(None, description="the generator's images, ungated")
    next: NextStep | None = Field(None, description="null in documents of versions before this key")
    warnings: list[str] = Field(default_factory=list)
    seconds: float
    report: str
