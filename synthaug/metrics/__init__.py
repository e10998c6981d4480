"""Metrics of synthetic images: fidelity, variety, copies, detectability, usefulness.

`METRICS` is the table of scores. `quality.quality` measures each of them; `check`, the JSON documents and the report
show them. The other files are the mathematics, mostly on features instead of images.
"""

from __future__ import annotations

from synthaug.metrics.table import Metric
from synthaug.registry import Registry

METRICS: Registry[Metric] = Registry(
    "metrics",
    {
        "kid": "synthaug.metrics.scores:kid",
        "precision": "synthaug.metrics.scores:precision",
        "recall": "synthaug.metrics.scores:recall",
        "density": "synthaug.metrics.scores:density",
        "coverage": "synthaug.metrics.scores:coverage",
        "missed_clusters": "synthaug.metrics.scores:missed_clusters",
        "pairwise_ratio": "synthaug.metrics.scores:pairwise_ratio",
        "vendi_ratio": "synthaug.metrics.scores:vendi_ratio",
        "ms_ssim_ratio": "synthaug.metrics.scores:ms_ssim_ratio",
        "duplicate_rate": "synthaug.metrics.scores:duplicate_rate",
        "agreement": "synthaug.metrics.scores:agreement",
        "detect_auc": "synthaug.metrics.scores:detect_auc",
        "gan_train": "synthaug.metrics.scores:gan_train",
        "gan_test": "synthaug.metrics.scores:gan_test",
        "dcr": "synthaug.metrics.scores:dcr",
        "authenticity": "synthaug.metrics.scores:authenticity",
        "c_t": "synthaug.metrics.scores:c_t",
        "fid": "synthaug.metrics.scores:fid",
        "inception_score": "synthaug.metrics.inception_score:score",
    },
)
"""Name (the key in JSON) → metric, in the order of the report."""


def metrics() -> dict[str, Metric]:
    """All entries of the table, imported, without the plug-ins that cannot be loaded."""
    return METRICS.load()[0]
