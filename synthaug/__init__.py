"""Synthetic images for rare classes, and a test of whether they help.

>>> import synthaug
>>> run = synthaug.fit("data", target_class="rare")  # doctest: +SKIP
>>> images = synthaug.load(run).sample("rare", 16)  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from synthaug.version import __version__

__all__ = ["SynthaugError", "__version__", "check", "evaluate", "export", "fit", "inspect", "load", "run"]

if TYPE_CHECKING:
    from synthaug.errors import SynthaugError
    from synthaug.pipelines.check import check
    from synthaug.pipelines.evaluate import evaluate
    from synthaug.pipelines.export import export
    from synthaug.pipelines.fit import fit
    from synthaug.pipelines.inspect import inspect
    from synthaug.pipelines.run import run
    from synthaug.sampling.generate import load

_WHERE = {
    "SynthaugError": "synthaug.errors",
    "check": "synthaug.pipelines.check",
    "evaluate": "synthaug.pipelines.evaluate",
    "export": "synthaug.pipelines.export",
    "fit": "synthaug.pipelines.fit",
    "inspect": "synthaug.pipelines.inspect",
    "load": "synthaug.sampling.generate",
    "run": "synthaug.pipelines.run",
}


def __getattr__(name: str) -> Any:  # importing synthaug must not import torch (PEP 562)
    if name not in _WHERE:
        raise AttributeError(f"module 'synthaug' has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)
