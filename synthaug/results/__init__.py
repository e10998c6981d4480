"""What the Python functions return: the documents of the commands, which also print well and give samples."""

from __future__ import annotations

from synthaug.results.commands import CheckResult, ExportResult, InspectResult, SamplesResult, TraverseResult
from synthaug.results.images import Images
from synthaug.results.trained import EvaluateResult, FitResult, RunResult

__all__ = [
    "CheckResult", "EvaluateResult", "ExportResult", "FitResult", "Images", "InspectResult", "RunResult",
    "SamplesResult", "TraverseResult",
]  # fmt: skip
