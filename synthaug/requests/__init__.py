"""Requests: one model for each command, used by the command line and by the Python functions.

A field has the name and the default of its flag, and its description is the flag's help text. All checks that need no
data are here; they raise a `SynthaugError`.
"""

from __future__ import annotations

from synthaug.requests.base import Flag, Request, documented, flag
from synthaug.requests.evaluate import CheckRequest, EvaluateRequest
from synthaug.requests.export import (
    CurateRequest,
    ExportRequest,
    RegenerateRequest,
    SamplesRequest,
    TraverseRequest,
    UpscaleRequest,
)
from synthaug.requests.fit import FitRequest, InspectRequest
from synthaug.requests.workflow import RunRequest

__all__ = [
    "CheckRequest", "CurateRequest", "EvaluateRequest", "ExportRequest", "FitRequest", "Flag", "InspectRequest",
    "RegenerateRequest", "Request", "RunRequest", "SamplesRequest", "TraverseRequest", "UpscaleRequest", "documented",
    "flag",
]  # fmt: skip
