"""The documents of `synthaug run`: its plan, and its result."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from synthaug.documents.base import Document
from synthaug.documents.evaluation import NextStep, Verdict
from synthaug.errors import plural


class PlannedStep(Document):
    """One step of `synthaug run`."""

    name: Literal["fit", "evaluate", "export"]
    what: str
    seconds: float | None = Field(None, description="measured on this device with a few steps; null: not known before")


class EvaluationSize(Document):
    """What the time of an evaluation depends on."""

    seeds: int
    steps: int = Field(description="of each classifier")
    gate_steps: int = Field(description="of each classifier of the gate; 0: there is none")

    def text(self) -> str:
        return f"{plural(self.seeds, 'seed')} of {self.steps} steps and a gate of {self.gate_steps}"


class WorkflowPlan(Document):
    """What `synthaug run` does; kept in its folder as `plan.json`."""

    out: str
    data: str
    images: int
    training_images: dict[str, int] = Field(description="class → training images")
    targets: list[str]
    budget: str = Field(description="of the training")
    evaluation: EvaluationSize
    steps: list[PlannedStep]
    request: dict[str, Any] = Field(description="the options, which a second call must give again to continue")
    warnings: list[str] = Field(default_factory=list)


class WorkflowDocument(Document):
    """The result of `synthaug run`."""

    plan: WorkflowPlan
    run: str
    verdict: Verdict
    sentence: str
    report: str
    export: str | None = Field(description="null: synthetic images did not help, so nothing was exported")
    next: NextStep | None = None
