"""Requests: one model for each command, used by the command line and by the Python functions.

A field has the name and the default of its flag, and its description is the flag's help text. All checks that need no
data are here; they raise a `SynthaugError`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from synthaug.requests.base import Flag, Request, documented, flag

if TYPE_CHECKING:
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

_MODULES = {
    "InspectRequest": "fit", "FitRequest": "fit", "RunRequest": "workflow",
    "CheckRequest": "evaluate", "EvaluateRequest": "evaluate",
    "CurateRequest": "export", "ExportRequest": "export", "RegenerateRequest": "export", "SamplesRequest": "export",
    "TraverseRequest": "export", "UpscaleRequest": "export",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """The module of a request is imported when the request is asked for: the models of all take a tenth of a second."""
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
