"""Divergence: how it is noticed, and the rollback to the last good checkpoint with other noise and a lower rate.

Each row of `metrics.jsonl` (every 500 images) is checked for losses and gradients that explode or are not finite, and
for a discriminator that has won. Each score is checked for averaged weights that are not finite, and for a collapsed
generator. All checks read only the checkpoint and `metrics.jsonl`: a resumed training decides as an uninterrupted one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from synthaug import processes
from synthaug.errors import RunFailed
from synthaug.models.family import Family
from synthaug.progress import Progress
from synthaug.runs import Run
from synthaug.training import checkpoint
from synthaug.training.game import Game
from synthaug.training.schedule import ROW_IMAGES
from synthaug.training.state import Counters

EXPLODING = 1e6
"""Norm of a network's gradient. Adam's steps do not grow with the norm, so only an absurd one is a sign."""
WON = 1e-3
"""Distance of the discriminator's loss from its floor below which the generator learns nothing …"""
WON_IMAGES = 5000
"""… if it stays there for so many images, or for an interval between two scores where that is shorter."""
SETTLED = 2000
"""Images before which the discriminator may be that far ahead: it learns faster, and the generator catches up."""
LOST = 0.25
"""Variety of the samples, as a share of the best so far, below which the generator has collapsed …"""
COLLAPSED = 0.05
"""… or as a share of the variety of real images."""
UNSETTLED = 0.2
"""Share of the training in which variety says nothing: samples may be noise, which varies much, or one blob."""
RATE = 0.5
"""Factor of the learning rates at each rollback."""


class Diverged(Exception):
    """The training has failed; the message says how it shows.

    Args:
        since: the kimg at which it showed first, where it takes a while to be sure.
    """

    def __init__(self, message: str, since: float | None = None) -> None:
        super().__init__(message)
        self.since = since


class Watch:
    """Raises `Diverged` at the first sign of it.

    Args:
        run: its `metrics.jsonl` holds the rows and scores so far.
        floor: the objective's `floor`.
        images_per_step: shown to the discriminator.
    """

    def __init__(self, run: Run, floor: float | None, images_per_step: int) -> None:
        self._run, self._floor = run, floor
        # A fault may be this many images older than the first row that shows it.
        self._slack = max(ROW_IMAGES, images_per_step) + images_per_step
        self._won: list[float] = []  # kimg of the latest consecutive rows in which the discriminator wins
        for row in run.metrics():
            if row["kind"] == "step":
                self._wins(row)
            elif row["kind"] == "rollback":
                self._won.clear()

    def step(self, losses: Mapping[str, float], family: Family) -> None:
        """Check one step's scalars and the gradients that it left behind."""
        shown = ", ".join(f"{name} = {value}" for name, value in losses.items())
        if not all(math.isfinite(value) for value in losses.values()):
            raise Diverged(f"a loss is not finite ({shown})")
        for name, network in family.networks.items():
            norm = gradient_norm(network)
            if not norm < EXPLODING:
                raise Diverged(f"the {name}'s gradients explode (norm {norm:.3g}; {shown})")

    def healthy(self, losses: Mapping[str, Any], game: Game) -> bool:
        """Whether the state after a step may be saved as a checkpoint to go back to."""
        try:
            self.step({k: float(v) for k, v in losses.items()}, game.family)
            self.averaged(game.state.average.network)
        except Diverged:
            return False
        return True

    def discriminator(self, row: Mapping[str, Any], interval: int | None) -> None:
        """Check the row of a step together with the rows before it. `interval`: images between two scores, if known."""
        self._wins(row)
        if interval is None or len(self._won) < 2:
            return
        if (row["kimg"] - self._won[0]) * 1000 >= min(WON_IMAGES, interval) - self._slack:
            raise Diverged(
                f"the discriminator is too strong: its loss stays at its lower bound ({row['loss_d']:.3g})",
                self._won[0],
            )

    def _wins(self, row: Mapping[str, Any]) -> None:
        if "loss_d" not in row:  # a game in which the discriminator does not play yet
            return
        lost = self._floor is None or row["loss_d"] >= self._floor + WON
        if not lost and row["kimg"] * 1000 >= SETTLED:
            self._won.append(row["kimg"])
        else:
            self._won.clear()

    def averaged(self, network: nn.Module) -> None:
        """Check the weights that are to be scored."""
        if not all(bool(p.isfinite().all()) for p in network.state_dict().values() if p.is_floating_point()):
            raise Diverged("weights of the generator are not finite")

    def monitor(self, row: Mapping[str, Any], images: int, total: int | None) -> None:
        """Check a score after `images` of `total` for collapse. Early scores are not checked."""
        spread = row.get("spread")
        if spread is None or total is None or images <= UNSETTLED * total:
            return
        scores = [r for r in self._run.metrics() if r["kind"] == "monitor" and r["kimg"] * 1000 > UNSETTLED * total]

        def check(now: float, before: list[float], of: str) -> None:
            best = min(max(before, default=0.0), 1.0)
            if now < max(LOST * best, COLLAPSED):
                earlier = f" (before: {best:.0%})" if before else ""
                raise Diverged(f"the generator has collapsed: {of} vary {now:.0%} as much as real ones{earlier}")

        check(spread, [r["spread"] for r in scores if r.get("spread") is not None], "its samples")
        # The mean over many classes hardly moves when one rare class collapses, and that is the class that counts.
        for name, now in row.get("target_spread", {}).items():
            before = [r["target_spread"][name] for r in scores if name in r.get("target_spread", {})]
            check(now, before, f"its samples of {name}")


def gradient_norm(network: nn.Module) -> float:
    """Norm of all gradients of a network together; 0 if it has none."""
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    return float(torch.stack(torch._foreach_norm(gradients)).norm()) if gradients else 0.0


class Recovery:
    """Rollbacks: at most `training.rollbacks` in a run, each with other noise and half the learning rate.

    Until there is a checkpoint, a rollback leads to the start, which is kept in memory.
    """

    def __init__(self, run: Run, game: Game, progress: Progress, on_row: Callable[[dict[str, Any]], None]) -> None:
        self._run, self._state, self._limit = run, game.state, game.config.training.rollbacks
        self._progress, self._on_row = progress, on_row
        self._start: dict[str, dict[str, Tensor]] | None = None
        if not checkpoint.names(run):
            self._start = {
                name: {key: value.detach().to("cpu", copy=True) for key, value in module.state_dict().items()}
                for name, module in self._modules().items()
            }
        self._state.scale_rates(RATE**self._state.counters.attempt)

    def roll_back(self, reason: str, since: float | None = None) -> bool:
        """Restore the newest good checkpoint and return whether to try again.

        Args:
            reason: what went wrong.
            since: the kimg from which on it went wrong; checkpoints made then are deleted. None: the last one is good.

        Raises:
            RunFailed: no rollback is left, and there is no checkpoint to end with.
        """
        reached, attempt = self._state.counters.images / 1000, self._state.counters.attempt + 1
        again = attempt <= self._limit
        target = processes.first(lambda: self._target(reason, reached, since, again))
        self._restore(target, attempt if again else attempt - 1)
        if again:
            self._state.scale_rates(RATE**attempt)
        else:
            self._state.counters.diverged = f"at {reached:.1f} kimg, after {self._limit} rollbacks: {reason}"
        processes.first(lambda: self._write(target, reason, reached, attempt, again))
        return again

    def _write(self, target: str | None, reason: str, reached: float, attempt: int, again: bool) -> None:
        """Note the rollback in the run, and delete what came after the checkpoint."""
        run, counters = self._run, self._state.counters
        self._note(reason, reached, attempt, again)
        checkpoint.discard(run, target)
        run.set_status(best_checkpoint=counters.best_checkpoint, last_checkpoint=target)
        where = target if target is not None else "the start"
        done = f"no rollback is left ({self._limit}); the run ends with {where}"
        if again:
            if target is not None:
                checkpoint.save_counters(run, target, counters)
            rates = f"{RATE**attempt:g} × the learning rates"
            done = f"back to {where} with other noise and {rates} ({attempt} of {self._limit})"
        run.log(done)
        self._progress.warn(f"training diverged at {reached:.1f} kimg ({reason}): {done}")

    def _target(self, reason: str, reached: float, since: float | None, again: bool) -> str | None:
        """The newest good checkpoint; None for the start, where that can be restored."""
        existing = checkpoint.names(self._run)
        self._run.log(f"diverged at {reached:.1f} kimg: {reason}")
        if not again and not existing:
            raise RunFailed(
                f"training diverged at {reached:.1f} kimg: {reason}",
                "lower the rate, such as --set training.discriminator_lr=0.0001, or use --precision 32-true",
            )
        good = [k for k in existing if since is None or checkpoint.images_at(self._run, k) < since * 1000]
        if good:
            return good[-1]
        return existing[0] if existing and (self._start is None or not again) else None

    def _restore(self, target: str | None, attempt: int) -> None:
        """Restore a checkpoint, or the start; the time spent and the number of attempts are kept."""
        counters, before = self._state.counters, replace(self._state.counters)
        if target is not None:
            checkpoint.restore(self._run, target, self._state)
        else:
            assert self._start is not None
            for name, module in self._modules().items():
                module.load_state_dict(self._start[name])
            self._state.reset_optimizers()
            begun = Counters(total=before.total, interval=before.interval, compiled=before.compiled)
            vars(counters).update(vars(begun))
        counters.attempt, counters.seconds = attempt, before.seconds

    def _note(self, reason: str, reached: float, attempt: int, again: bool) -> None:
        """Drop the rows behind the checkpoint from metrics.jsonl, and add one for the rollback."""
        kimg = self._state.counters.images / 1000
        # A kill between this and the checkpoint's new counters makes the same rollback happen once more.
        same = {"kind": "rollback", "attempt": attempt}
        rows = [row for row in self._run.metrics() if row["kimg"] <= kimg and not same.items() <= row.items()]
        row = {**same, "kimg": kimg, "from_kimg": reached, "again": again, "reason": reason}
        self._run.replace_metrics([*rows, row])
        self._on_row(row)

    def _modules(self) -> dict[str, nn.Module]:
        return {**self._state.networks, "average": self._state.average.network}
