"""One file a game. A step updates each player, once or more; a family names its step in `Family.step`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from synthaug.registry import Registry

STEPS: Registry[Callable[[Any, int, int], dict[str, Tensor]]] = Registry(
    "steps",
    {
        "adversarial": "synthaug.training.steps.adversarial:adversarial_step",
        "translation": "synthaug.training.steps.translation:translation_step",
        "cyclegan": "synthaug.training.steps.cyclegan:cyclegan_step",
        "cut": "synthaug.training.steps.cut:cut_step",
        "dagan": "synthaug.training.steps.dagan:dagan_step",
        "pix2pix": "synthaug.training.steps.pix2pix:pix2pix_step",
        "super-resolution": "synthaug.training.steps.super_resolution:super_resolution_step",
        "pyramid": "synthaug.training.steps.pyramid:pyramid_step",
    },
)
"""Name → `step(game, number, seed)`, which returns detached scalars for metrics.jsonl."""
