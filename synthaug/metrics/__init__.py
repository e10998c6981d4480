"""Metrics of synthetic images: fidelity, diversity, memorisation, detectability, and the verdict on collapse.

They work on features, not on images; `quality.quality` brings both together into a `CheckDocument`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from synthaug.registry import Registry

METRICS: Registry[Callable[..., Any]] = Registry(
    "metrics",
    {
        "kid": "synthaug.metrics.fidelity:kid",
        "fid": "synthaug.metrics.fidelity:fid",
        "prdc": "synthaug.metrics.fidelity:prdc",
    },
)
"""Name → the function that computes it."""
