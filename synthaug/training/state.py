"""What a training is made of and what its checkpoints hold: networks, players, the average, counters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from synthaug import processes, turns
from synthaug.training.ema import Average


@dataclass
class Counters:
    """Where a training stands. `total` and `interval` are images; None until a time budget is measured.

    `compiled` is None until it is decided. Compiled kernels round differently, so a resumed run keeps the decision.
    `attempt` counts the rollbacks so far: noise and learning rates depend on it.
    """

    step: int = 0
    images: int = 0
    total: int | None = None
    interval: int | None = None
    seconds: float = 0.0
    best_score: float | None = None
    best_checkpoint: str | None = None
    best_strength: float = 1.0  # of the class condition, when the best checkpoint was made
    compiled: bool | None = None
    attempt: int = 0
    diverged: str | None = None


class Player:
    """Networks that one optimiser trains. `update` is the only place where gradients are made and applied.

    Networks are called directly, never through a wrapper that reduces gradients on its own: gradient penalties
    differentiate twice, and auxiliary heads and pyramids call other methods than `forward`.

    Args:
        parameters: those that learn; frozen layers are not among them.
        optimizer: of these parameters.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], optimizer: torch.optim.Optimizer, fabric: Fabric) -> None:
        self.parameters = list(parameters)
        self.optimizer = optimizer
        self._fabric = fabric

    def update(self, loss: Tensor, rate: float = 1.0) -> None:
        """Take one step down the gradient of `loss`, averaged over the parts, at `rate` times the learning rate."""
        if turns.part() == 0:
            self.optimizer.zero_grad()
        self._fabric.backward(loss / turns.count())
        turns.meet(None, lambda _: self._step(rate))

    def _step(self, rate: float) -> None:
        processes.average_([p.grad for p in self.parameters if p.grad is not None])
        groups = self.optimizer.param_groups
        rates = [group["lr"] for group in groups]
        for group in groups:
            group["lr"] *= rate
        self.optimizer.step()
        for group, full in zip(groups, rates, strict=True):
            group["lr"] = full

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let gradients pass through this player's networks without being stored in them."""
        for parameter in self.parameters:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in self.parameters:
                parameter.requires_grad_(True)


@dataclass
class TrainingState:
    """Everything that changes during a training; a checkpoint holds all of it.

    Randomness has no place in it: step k draws from a generator seeded by (seed, k).
    """

    networks: dict[str, nn.Module]  # every module with weights or buffers, by its name in a checkpoint
    players: dict[str, Player]
    average: Average
    architecture: Mapping[str, Any] = field(default_factory=dict)  # how the networks were built
    counters: Counters = field(default_factory=Counters)

    def reset_optimizers(self) -> None:
        """Forget the moments; learning rates stay."""
        for player in self.players.values():
            groups = player.optimizer.state_dict()["param_groups"]
            player.optimizer.load_state_dict({"state": {}, "param_groups": groups})

    def scale_rates(self, factor: float) -> None:
        """Set each learning rate to `factor` times what it was at the beginning."""
        for player in self.players.values():
            for group in player.optimizer.param_groups:
                group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor
