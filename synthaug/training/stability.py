"""Divergence: how it is noticed, and the way back to the last good checkpoint with other noise and a lower rate.

Noticed are, at each row of `metrics.jsonl` (every 500 images), losses and gradients that are not finite or explode, and
a discriminator that has won; at each score, averaged weights that are not finite, and a generator that has collapsed.
What is judged stands in the checkpoint and in `metrics.jsonl`: a resumed training judges as one that went through.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from synthaug.errors import RunFailed
from synthaug.progress import Progress
from synthaug.runs import Run
from synthaug.training import checkpoint
from synthaug.training.checkpoint import Counters

if TYPE_CHECKING:
    from synthaug.training.loop import Parts

EXPLODING = 1e6  # norm of a network's gradient; Adam's steps do not grow with it, so that only an absurd one is a sign
WON = 1e-3  # a discriminator's loss this close to its floor teaches the generator nothing,
WON_IMAGES = 5000  # … if it stays there for so many images, or for a monitor's interval where that is shorter
SETTLED = 2000  # images before which it may: it learns faster than the generator, which then catches up
ROW = 500  # images between two rows of metrics.jsonl, or less: where scores are due there is one more
LOST = 0.25  # variety of the samples as a share of what the generator has shown before
COLLAPSED = 0.05  # … or as a share of what real images have
EARLY = 0.2  # share of the training in which samples may be noise, which varies much, or one blob, which does not
RATE = 0.5  # learning rates after a rollback, as a share of those before


class Diverged(Exception):
    """The training goes nowhere from here; the message says by which sign.

    Args:
        since: the kimg at which the sign was there first, where it takes a while to be sure of it.
    """

    def __init__(self, message: str, since: float | None = None) -> None:
        super().__init__(message)
        self.since = since


def attempt_seed(seed: int, attempt: int) -> int:
    """The seed of the steps' noise, of 31 bits: the run's own until the first rollback, another one after each.

    >>> attempt_seed(7, 0)
    7
    >>> attempt_seed(7, 1) == attempt_seed(7, 2)
    False
    """
    if attempt == 0:
        return seed
    return int.from_bytes(hashlib.sha256(f"{seed} attempt {attempt}".encode()).digest()[:4], "little") >> 1


def set_rates(optimizers: Mapping[str, Any], attempt: int) -> None:
    """Lower the learning rates to what they are after `attempt` rollbacks."""
    for optimizer in optimizers.values():
        inner = getattr(optimizer, "optimizer", optimizer)  # Fabric's wrapper may show groups from before a restore
        for group in inner.param_groups:
            group["lr"] = group.setdefault("initial_lr", group["lr"]) * RATE**attempt


class Watch:
    """Raises `Diverged` at the first sign of it.

    Args:
        run: whose `metrics.jsonl` holds what the training showed before.
        floor: the objective's `floor`.
        shown: images a step.
    """

    def __init__(self, run: Run, floor: float | None, shown: int) -> None:
        self._run, self._floor = run, floor
        self._slack = max(ROW, shown) + shown  # images that a fault may be older than the first row that shows it
        self._won: list[float] = []  # the kimg of the latest rows in a row in which the discriminator wins
        for row in run.metrics():
            if row["kind"] == "step":
                self._wins(row)
            elif row["kind"] == "rollback":
                self._won.clear()

    def step(self, losses: Mapping[str, float], generator: nn.Module, discriminator: nn.Module) -> None:
        """Look at one step's scalars and at the gradients that it left behind."""
        shown = ", ".join(f"{name} = {value}" for name, value in losses.items())
        if not all(math.isfinite(value) for value in losses.values()):
            raise Diverged(f"a loss is not finite ({shown})")
        for name, network in (("generator", generator), ("discriminator", discriminator)):
            norm = gradient_norm(network)
            if not norm < EXPLODING:
                raise Diverged(f"the {name}'s gradients explode (norm {norm:.3g}; {shown})")

    def healthy(self, losses: Mapping[str, Any], parts: Parts) -> bool:
        """Whether the state behind a step may be saved as one to go back to."""
        try:
            self.step({k: float(v) for k, v in losses.items()}, parts.family.generator, parts.family.discriminator)
            self.averaged(parts.average.generator)
        except Diverged:
            return False
        return True

    def discriminator(self, row: Mapping[str, Any], interval: int | None) -> None:
        """Look at the row of a step, and back at those before it, where the images between two scores are known."""
        self._wins(row)
        if interval is None or len(self._won) < 2:
            return
        if (row["kimg"] - self._won[0]) * 1000 >= min(WON_IMAGES, interval) - self._slack:
            raise Diverged(
                f"the discriminator has won: its loss stays at its floor ({row['loss_d']:.3g})", self._won[0]
            )

    def _wins(self, row: Mapping[str, Any]) -> None:
        lost = self._floor is None or row["loss_d"] >= self._floor + WON
        if not lost and row["kimg"] * 1000 >= SETTLED:
            self._won.append(row["kimg"])
        else:
            self._won.clear()

    def averaged(self, generator: nn.Module) -> None:
        """Look at the weights that are to be scored."""
        if not all(bool(p.isfinite().all()) for p in generator.state_dict().values() if p.is_floating_point()):
            raise Diverged("weights of the generator are not finite")

    def monitor(self, row: Mapping[str, Any], images: int, total: int | None) -> None:
        """Look at a score after `images` of `total`; in the first part of a training nothing is called collapsed."""
        spread = row.get("spread")
        if spread is None or total is None or images <= EARLY * total:
            return
        scores = [r for r in self._run.metrics() if r["kind"] == "monitor" and r["kimg"] * 1000 > EARLY * total]

        def check(now: float, before: list[float], of: str) -> None:
            best = min(max(before, default=0.0), 1.0)
            if now < max(LOST * best, COLLAPSED):
                earlier = f" (before: {best:.0%})" if before else ""
                raise Diverged(f"the generator has collapsed: {of} vary {now:.0%} as much as real ones{earlier}")

        check(spread, [r["spread"] for r in scores if r.get("spread") is not None], "its samples")
        # the mean over many classes hardly moves where a rare one is lost, which is what the training is for
        for name, now in row.get("target_spread", {}).items():
            before = [r["target_spread"][name] for r in scores if name in r.get("target_spread", {})]
            check(now, before, f"its samples of {name}")


def gradient_norm(network: nn.Module) -> float:
    """The norm of all gradients of a network together; 0 where it has none."""
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    return float(torch.stack(torch._foreach_norm(gradients)).norm()) if gradients else 0.0


class Recovery:
    """The way back: at most `training.rollbacks` times in a run, each with other noise and half the rate.

    Until there is a checkpoint, the way leads back to the start, which is kept in memory.
    """

    def __init__(
        self,
        run: Run,
        parts: Parts,
        counters: Counters,
        progress: Progress,
        on_row: Callable[[dict[str, Any]], None],
    ) -> None:
        self._run, self._parts, self._counters = run, parts, counters
        self._progress, self._on_row = progress, on_row
        self._start: dict[str, dict[str, Tensor]] | None = None
        if not checkpoint.names(run):
            self._start = {
                name: {key: value.detach().to("cpu", copy=True) for key, value in module.state_dict().items()}
                for name, module in self._modules().items()
            }
        set_rates(parts.optimizers(), counters.attempt)

    def roll_back(self, reason: str, since: float | None = None) -> bool:
        """Go back and return whether to try again; otherwise the last good checkpoint is what the training leaves.

        Args:
            reason: what went wrong.
            since: the kimg from which on it did; checkpoints made then are deleted. None: since the last checkpoint.

        Raises:
            RunFailed: no rollback is left, and there is no checkpoint to end with.
        """
        counters, run, limit = self._counters, self._run, self._parts.config.training.rollbacks
        reached, attempt, seconds = counters.images, counters.attempt + 1, counters.seconds
        existing = checkpoint.names(run)
        again = attempt <= limit
        run.log(f"diverged at {reached / 1000:.1f} kimg: {reason}")
        if not again and not existing:
            raise RunFailed(
                f"training diverged at {reached / 1000:.1f} kimg: {reason}",
                "lower the rate, such as --set training.discriminator_lr=0.0001, or use --precision 32-true",
            )
        target = self._target(existing, since, again)
        restored = self._restore(target) if target is not None else self._restart()
        restored = replace(restored, attempt=attempt if again else attempt - 1, seconds=seconds)
        vars(counters).update(vars(restored))
        # a kill between this and the checkpoint's new counters makes the same rollback happen once more
        same = {"kind": "rollback", "attempt": attempt}
        rows = [
            row for row in run.metrics() if row["kimg"] <= counters.images / 1000 and not same.items() <= row.items()
        ]
        row = {
            "kind": "rollback",
            "kimg": counters.images / 1000,
            "from_kimg": reached / 1000,
            "attempt": attempt,
            "again": again,
            "reason": reason,
        }
        run.replace_metrics([*rows, row])
        self._on_row(row)
        checkpoint.discard(run, target)
        run.set_status(best_checkpoint=counters.best_checkpoint, last_checkpoint=target)
        where = target if target is not None else "the start"
        if again:
            set_rates(self._parts.optimizers(), attempt)
            if target is not None:
                checkpoint.save_counters(run, target, counters)
            said = f"back to {where} with other noise and {RATE**attempt:g} × the learning rates ({attempt} of {limit})"
        else:
            counters.diverged = f"at {reached / 1000:.1f} kimg, after {limit} rollbacks: {reason}"
            said = f"no rollback is left ({limit}); the run ends with {where}"
        run.log(said)
        self._progress.warn(f"training diverged at {reached / 1000:.1f} kimg ({reason}): {said}")
        return again

    def _target(self, existing: list[str], since: float | None, again: bool) -> str | None:
        """The newest good checkpoint; None for the start, where a way leads back to it."""
        good = [k for k in existing if since is None or checkpoint.images_at(self._run, k) < since * 1000]
        if good:
            return good[-1]
        return existing[0] if existing and (self._start is None or not again) else None

    def _modules(self) -> dict[str, nn.Module]:
        return {**self._parts.networks(), "average": self._parts.average.generator}

    def _restore(self, name: str) -> Counters:
        parts = self._parts
        return checkpoint.restore(self._run, name, parts.networks(), parts.average.generator, parts.optimizers())

    def _restart(self) -> Counters:
        assert self._start is not None
        for name, module in self._modules().items():
            module.load_state_dict(self._start[name])
        for optimizer in self._parts.optimizers().values():
            optimizer.load_state_dict({"state": {}, "param_groups": optimizer.state_dict()["param_groups"]})
        now = self._counters
        return Counters(total=now.total, interval=now.interval, compiled=now.compiled)
