"""Metrics of synthetic images: fidelity, diversity, copies, detectability, usefulness, bias, the verdict on collapse.

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
        "precision": "synthaug.metrics.fidelity:prdc",
        "recall": "synthaug.metrics.fidelity:prdc",
        "density": "synthaug.metrics.fidelity:prdc",
        "coverage": "synthaug.metrics.fidelity:prdc",
        "pairwise_ratio": "synthaug.metrics.diversity:pairwise_ratio",
        "vendi_ratio": "synthaug.metrics.diversity:vendi_ratio",
        "duplicate_rate": "synthaug.metrics.diversity:duplicate_rate",
        "missed_clusters": "synthaug.metrics.diversity:missed_clusters",
        "dcr": "synthaug.metrics.memorisation:dcr",
        "authenticity": "synthaug.metrics.memorisation:authenticity",
        "c_t": "synthaug.metrics.memorisation:c_t",
        "memorisation": "synthaug.metrics.memorisation:memorisation",
        "detect_auc": "synthaug.metrics.detectability:detect_auc",
        "agreement": "synthaug.metrics.class_judge:class_judge",
        "ms_ssim_ratio": "synthaug.metrics.ms_ssim:ms_ssim_ratio",
        "gan_train": "synthaug.metrics.usefulness:usefulness",
        "gan_test": "synthaug.metrics.usefulness:usefulness",
        "bias": "synthaug.metrics.bias:bias",
        "collapse": "synthaug.metrics.collapse:judge",
    },
)
"""Name → the function that computes it; the names are those of the `check` document."""
