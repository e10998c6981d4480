"""Several processes that train as one; each has a part of the rows of every batch.

Process r of n has rows r · B/n to (r + 1) · B/n − 1 of a batch of B. Each process draws the random numbers of all rows
and keeps those of its own. Statistics over a batch are means over all processes. So n processes take the same steps as
one, up to rounding. Files are written by the first process alone.

The part of a process may be divided once more, into micro-batches that take turns (`synthaug.turns`).

Everything here does nothing special in a single process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

from synthaug import turns
from synthaug.errors import RunFailed

S = TypeVar("S")
T = TypeVar("T")


def count() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if count() > 1 else 0


def join(kind: str, devices: int, nodes: int) -> None:
    """Start the other processes, unless `torchrun` or SLURM did, and wait for them. Each runs the same command line.

    Args:
        kind: of the devices, `cpu` or `cuda`.
        devices: processes on each machine, one a device.
        nodes: machines.
    """
    if devices * nodes > 1 and count() == 1:
        from lightning_fabric import Fabric

        Fabric(accelerator=kind, devices=devices, num_nodes=nodes, strategy="ddp").launch()


def parts() -> int:
    """Into how many parts a batch is divided, over all processes."""
    return count() * turns.count()


def own(rows: Tensor) -> Tensor:
    """This part of the rows of a whole batch."""
    n = parts()
    return rows if n == 1 else rows.chunk(n)[rank() * turns.count() + turns.part()]


def rand(rows: int, *shape: int, rng: torch.Generator, dtype: torch.dtype | None = None) -> Tensor:
    """U(0, 1) for this part's `rows` rows, [rows, *shape], on the device of `rng`."""
    return own(torch.rand(rows * parts(), *shape, generator=rng, dtype=dtype, device=rng.device))


def randn(rows: int, *shape: int, rng: torch.Generator) -> Tensor:
    """N(0, 1) for this part's `rows` rows, [rows, *shape], on the device of `rng`."""
    return own(torch.randn(rows * parts(), *shape, generator=rng, device=rng.device))


def randint(high: int, rows: int, *shape: int, rng: torch.Generator) -> Tensor:
    """Integers below `high` for this part's `rows` rows, int64[rows, *shape]."""
    return own(torch.randint(high, (rows * parts(), *shape), generator=rng, device=rng.device))


def mean(values: Tensor) -> Tensor:
    """The mean over the parts, entry by entry; gradients pass through it from process to process."""
    assert turns.count() == 1 or not values.requires_grad, "the graphs of all micro-batches would have to be kept"
    return turns.meet(values, lambda each: _over_processes(torch.stack(each).mean(dim=0) if each[1:] else each[0]))


def _over_processes(values: Tensor) -> Tensor:
    return values if count() == 1 else cast(Tensor, _Mean.apply(values))


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(_: Any, values: Tensor) -> Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total / count()

    @staticmethod
    def backward(_: Any, gradient: Tensor) -> Tensor:
        return _Mean.forward(_, gradient)


def gathered(rows: Tensor) -> Tensor:
    """The rows of all parts, in the order of the whole batch; without gradients."""
    return turns.meet(rows.detach(), lambda each: _from_processes(torch.cat(each) if each[1:] else each[0]))


def _from_processes(rows: Tensor) -> Tensor:
    n = count()
    if n == 1:
        return rows
    rows = rows.contiguous()
    parts = [torch.empty_like(rows) for _ in range(n)]
    dist.all_gather(parts, rows)
    return torch.cat(parts)


@torch.no_grad()
def average_(tensors: Sequence[Tensor]) -> None:
    """Replace each tensor by its mean over the processes, in one exchange for each data type."""
    n = count()
    if n == 1 or not tensors:
        return
    for dtype in dict.fromkeys(t.dtype for t in tensors):
        alike = [t for t in tensors if t.dtype == dtype]
        flat = torch.cat([t.reshape(-1) for t in alike])
        dist.all_reduce(flat)
        parts = torch.split(flat / n, [t.numel() for t in alike])
        for tensor, part in zip(alike, parts, strict=True):
            tensor.copy_(part.view(tensor.shape))


def largest(number: int) -> int:
    """The largest of the processes' numbers."""
    if count() == 1:
        return number
    shared = torch.tensor(number, device="cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.all_reduce(shared, dist.ReduceOp.MAX)
    return int(shared)


def first(action: Callable[[], T]) -> T:
    """What the first process's `action` returns or raises; the others wait for it."""
    if count() == 1:
        return action()
    outcome: list[Any] = [None, None]
    if rank() == 0:
        try:
            outcome[0] = action()
        except Exception as error:  # raised below, by all
            outcome[1] = error
    dist.broadcast_object_list(outcome)
    if outcome[1] is not None:
        raise outcome[1]
    found: T = outcome[0]
    return found


def divided(items: Sequence[S], work: Callable[[S], T]) -> list[T]:
    """`work` of each item, in their order, for the first process; the others do a part of it and get an empty list.

    What `work` raises in one process, all raise.
    """
    n = count()
    if n == 1:
        return [work(item) for item in items]
    outcome: tuple[list[T], Exception | None]
    try:
        outcome = [work(item) for item in items[rank() :: n]], None
    except Exception as error:  # raised below, by all
        outcome = [], error
    outcomes: list[Any] | None = [None] * n if rank() == 0 else None
    dist.gather_object(outcome, outcomes)
    errors = first(lambda: [error for _, error in outcomes or [] if error is not None])
    if errors:
        raise errors[0]
    found = [done for done, _ in outcomes or []]
    return [found[k % n][k // n] for k in range(len(items))] if found else []


@contextmanager
def together() -> Iterator[None]:
    """Where an exchange fails because another process has ended, raise an error that says so.

    Raises:
        RunFailed: another process ended.
    """
    try:
        yield
    except RuntimeError as error:
        lost = isinstance(error, dist.DistError) or "gloo" in str(error) or "onnection" in str(error)
        if count() == 1 or not lost:
            raise
        raise RunFailed(
            f"a process of this training ended: process {rank() + 1} of {count()} lost its connection",
            "look above for its own error; then go on from the last checkpoint with --resume auto and the same options",
        ) from error
