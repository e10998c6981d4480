"""One file a game. A step updates each player, once or more; a family names its step in `Family.step`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from synthaug.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

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


def take_step(game: Any, number: int, seed: int) -> dict[str, Tensor]:
    """One step of a `Game`, in micro-batches where it is divided so. Returns detached scalars."""
    step = partial(STEPS.get(game.family.step), game, number, seed)
    if game.micro_batches is None:
        return step()
    import torch  # takes seconds, which `synthaug list steps` can save

    parts = game.micro_batches.run(step)
    return {name: torch.stack([part[name] for part in parts]).mean(dim=0) for name in parts[0]}
