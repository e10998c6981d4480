"""The JSON documents that the commands print with `--json` and leave in run and export folders.

Every number that could not be measured is null, and `reasons` says why. Nothing here imports numpy or torch.
"""

# fmt: off
# isort: skip_file
from synthaug.documents.base import Document as Document
from synthaug.documents.commands import (
    ByHand as ByHand, ClassCount as ClassCount, CurateDocument as CurateDocument, CuratedClass as CuratedClass,
    ExportedCombination as ExportedCombination,
    ColumnSummary as ColumnSummary, RareCombination as RareCombination,
    ExportDocument as ExportDocument, ExportedClass as ExportedClass,
    FitDocument as FitDocument, FitPlan as FitPlan, GuessForGPU as GuessForGPU,
    InspectDocument as InspectDocument, Mirroring as Mirroring, Mismatch as Mismatch,
    MonitorScores as MonitorScores, RecipeDocument as RecipeDocument,
    RecipesDocument as RecipesDocument, RegenerateDocument as RegenerateDocument,
    SamplesDocument as SamplesDocument, SeriesProposal as SeriesProposal,
    TableDocument as TableDocument, TrainingProposal as TrainingProposal, TraverseDocument as TraverseDocument,
    Unreadable as Unreadable,
    UpscaleDocument as UpscaleDocument, UpscaledFakes as UpscaledFakes,
    UpscalerReference as UpscalerReference, UpscalingScores as UpscalingScores,
)
from synthaug.documents.conditions import (
    CombinationPlan as CombinationPlan, Condition as Condition, ConditionPlan as ConditionPlan,
)
from synthaug.documents.evaluation import (
    Arm as Arm, ChangedImage as ChangedImage, ChangedImages as ChangedImages,
    CombinationDocument as CombinationDocument,
    ClassScores as ClassScores, Contrast as Contrast, CurvePoint as CurvePoint,
    EvaluateDocument as EvaluateDocument, EvaluatedSize as EvaluatedSize, Interval as Interval, MadeFrom as MadeFrom,
    LearningCurve as LearningCurve, Leaks as Leaks, LongerTraining as LongerTraining,
    NextStep as NextStep,
    Recommendation as Recommendation, Sharpness as Sharpness,
    Suspect as Suspect, TargetCurve as TargetCurve, TargetVerdict as TargetVerdict, Verdict as Verdict,
    VerdictDocument as VerdictDocument,
)
from synthaug.documents.quality import (
    BiasRow as BiasRow, CheckDocument as CheckDocument, ClassQuality as ClassQuality, Collapse as Collapse,
    ConditionEffect as ConditionEffect,
    CopyPair as CopyPair, Memorisation as Memorisation, Opinion as Opinion, Opinions as Opinions,
    QualityScores as QualityScores, Range as Range, Score as Score, SecondJudge as SecondJudge,
)
from synthaug.documents.runs import (
    CompareDocument as CompareDocument, PruneDocument as PruneDocument, RunDocument as RunDocument,
    RunsDocument as RunsDocument,
)
from synthaug.documents.workflow import (
    EvaluationSize as EvaluationSize, PlannedStep as PlannedStep, WorkflowDocument as WorkflowDocument,
    WorkflowPlan as WorkflowPlan,
)
