"""What the `runs` commands print."""

from __future__ import annotations

from pydantic import Field

from synthaug.documents.base import Document
from synthaug.documents.evaluation import Contrast


class RunDocument(Document):
    """A run directory as its files describe it."""

    run: str
    state: str = Field(description="running, finished, interrupted, failed, or broken and the reason")
    kimg: float | None = None
    updated: str | None = None
    data: str | None = None
    classes: list[str] = Field(default_factory=list)
    targets: list[str] = Field(default_factory=list)
    family: str | None = None
    resolution: int | None = None
    seed: int | None = None
    checkpoints: list[str] = Field(default_factory=list)
    seconds: float | None = Field(None, description="of training")
    best_checkpoint: str | None = None
    score: float | None = Field(None, description="the monitor's, of the best checkpoint; lower is better")
    verdict: str | None = Field(None, description="of the evaluation that is kept in the run; null: none is")
    gain: Contrast | None = Field(
        None, description="the mean F1 of the targets above the best control, of the synthetic arm with the most"
    )


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


class CompareDocument(Document):
    """What `synthaug runs compare` shows, in the order of the command."""

    runs: list[RunDocument]
    page: str | None = Field(None, description="the page with the samples side by side, if --out was given")
