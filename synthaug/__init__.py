"""Synthetic images for rare classes, and a test of whether they help.

Each command of `synthaug --help` is a function here, with the same names and defaults:

>>> import synthaug
>>> found = synthaug.inspect("photos")
>>> found.targets
['rare']
>>> trained = synthaug.fit("photos", target_class="rare", budget="10min")  # doctest: +SKIP
>>> trained.samples("rare", 16)  # doctest: +SKIP
16 images of 32 × 32 px, RGB
>>> print(synthaug.evaluate(trained))  # doctest: +SKIP
Yes: with synthetic images the classifier recognises “rare” better.

For training loops there are `synthaug.torch` (data sets of real and synthetic images) and `synthaug.Sampler`
(imbalanced-learn's interface, on arrays). All faults are a `SynthaugError`, with a `hint`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from synthaug.version import __version__

__all__ = [
    "Sampler", "SynthaugError", "__version__", "check", "curate", "demo", "evaluate", "export", "fit", "inspect",
    "load", "regenerate", "run", "samples", "torch", "traverse", "upscale",
]  # fmt: skip

if TYPE_CHECKING:
    from synthaug import torch as torch
    from synthaug.errors import SynthaugError
    from synthaug.imbalanced import Sampler
    from synthaug.pipelines.check import check
    from synthaug.pipelines.curate import curate
    from synthaug.pipelines.demo import demo
    from synthaug.pipelines.evaluate import evaluate
    from synthaug.pipelines.export import export
    from synthaug.pipelines.fit import fit
    from synthaug.pipelines.inspect import inspect
    from synthaug.pipelines.regenerate import regenerate
    from synthaug.pipelines.run import run
    from synthaug.pipelines.samples import samples
    from synthaug.pipelines.traverse import traverse
    from synthaug.pipelines.upscale import upscale
    from synthaug.sampling.generate import load

_COMMANDS = (
    "check", "curate", "demo", "evaluate", "export", "fit", "inspect", "regenerate", "run", "samples", "traverse",
    "upscale",
)  # fmt: skip
_WHERE = {
    "Sampler": "synthaug.imbalanced",
    "SynthaugError": "synthaug.errors",
    "load": "synthaug.sampling.generate",
    **{name: f"synthaug.pipelines.{name}" for name in _COMMANDS},
}


def __getattr__(name: str) -> Any:  # importing synthaug must not import torch (PEP 562)
    if name == "torch":
        return importlib.import_module("synthaug.torch")
    if name not in _WHERE:
        raise AttributeError(f"module 'synthaug' has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return __all__
